"""Where connections and rooms meet: requests in, the rooms' actions out to connections.

Theory of operation. The rooms (:class:`~simopen.rendezvous.protocol.Rooms`) are pure and know
connections by number. Each of their answers is carried out here at once and completely, before the
loop turns: sending never waits (:mod:`._outbox`), so both members of a pair are introduced in the
same turn, whatever the other does with its connection. One task waits for the rooms' next deadline.

Invariants:

- A session is known here from its acceptance to its end, and to the rooms no longer than here.
- A session that crashes is the only one that notices.
- Metrics or a store of the operator's that raise are logged, once a minute each, and cost what was
  being done.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import anyio
from anyio.abc import TaskGroup

from simopen._endpoints import Endpoint

from ._admission import Admission
from ._log import COMPLAINT_INTERVAL, Throttle, log
from ._metrics import Metrics
from ._session import FAREWELL, Ending, Session
from ._tls_files import CertificateFiles
from .protocol import (
    Action,
    Asked,
    Close,
    Code,
    CoordinatorLimits,
    CoordinatorMessage,
    Error,
    Hit,
    Limit,
    Paired,
    Postponed,
    Reject,
    Reported,
    Rooms,
    Send,
    Welcome,
    encode_frame,
)

_BUSY = Reject(code=Code.BUSY, message="it is busy: try again in a moment")


class Desk:
    """All sessions of one coordinator, and its rooms.

    Attributes:
        limits: The coordinator's.
        metrics: Told of everything.
        rooms: Who waits for whom.
        proxied: Connections begin with a PROXY header.
    """

    def __init__(
        self,
        limits: CoordinatorLimits,
        rooms: Rooms,
        *,
        metrics: Metrics,
        certificate: CertificateFiles | ssl.SSLContext | None,
        proxied: bool,
        group: TaskGroup,
    ) -> None:
        """Begin without connections.

        Args:
            limits: The coordinator's.
            rooms: All empty.
            metrics: Told of everything.
            certificate: For TLS; None for plain TCP.
            proxied: Connections begin with a PROXY header.
            group: Where the sessions run.
        """
        self.limits = limits
        self.metrics = metrics
        self.rooms = rooms
        self.proxied = proxied
        self._certificate = certificate
        self._group = group
        self._admission = Admission(limits, self.hit)
        self._sessions: dict[int, Session] = {}
        self._numbers = itertools.count()
        self._planned = math.inf  # when the rooms are looked at next
        self._sooner = anyio.Event()  # than planned
        self._drained: anyio.Event | None = None  # while stopping: until nobody meets any more
        self._complaints = Throttle(COMPLAINT_INTERVAL)
        self._emptied: anyio.Event | None = None  # and then, until the last connection is closed

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._sessions)

    @property
    def is_stopping(self) -> bool:
        """Whether :meth:`drain` has begun."""
        return self._drained is not None

    def take(self, sock: socket.socket, client: Endpoint, *, probing: bool) -> None:
        """Serve an accepted connection, in a task of its own.

        Args:
            sock: The session closes it.
            client: Where the connection comes from.
            probing: It came in on the second port.

        Raises:
            OSError: It cannot be served; closing it is left to the caller.
        """
        if len(self._sessions) >= self.limits.connections:
            self._tell(self.metrics.opened)
            self.hit(Limit.CONNECTIONS)
            self._turn_away(sock, _BUSY)
            self._tell(self.metrics.ended, Ending.REFUSED)
            raise ConnectionRefusedError("as many connections as may be")
        number = next(self._numbers)
        now = anyio.current_time()
        session = Session(number, sock, client, self, probing=probing, now=now)
        self._tell(self.metrics.opened)  # not before: a client that has gone already has no end
        self._sessions[number] = session
        self._group.start_soon(self._serve, session)

    async def _serve(self, session: Session) -> None:
        """One session's task: whatever happens in it, the others go on."""
        try:
            try:
                await session.run()
            finally:
                self._lose(session)  # before its last words: nobody is introduced to it any more
            await session.farewell()
        except Exception as error:  # noqa: BLE001 - an error of ours costs one connection, not all
            session.ending = Ending.CRASHED
            self._complain("connection.crashed", error, type(error).__name__)
        finally:
            session.close()
            del self._sessions[session.number]
            if session.is_admitted:
                self._admission.release(session.client.host)
            self._tell(self.metrics.ended, session.ending or Ending.STOPPED)
            self._note_emptiness()

    def _lose(self, session: Session) -> None:
        if not self.rooms.knows(session.number):
            return
        with self._guarded("rooms.crashed"):
            self._carry_out(self.rooms.lost(session.number, anyio.current_time()))

    # -- for sessions ------------------------------------------------------------------------------

    def tls(self) -> ssl.SSLContext | None:
        """The certificate for a new connection; None for plain TCP."""
        if isinstance(self._certificate, CertificateFiles):
            return self._certificate.context
        return self._certificate

    def spawn(self, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start a task that may outlive a turn of the loop."""
        self._group.start_soon(task)

    def admit(self, session: Session, now: float) -> bool:
        """Count one more connection of this address, or refuse it."""
        return self._admission.admit(session.client.host, now)

    def request(self, session: Session, message: Asked, now: float) -> None:
        """Give a client's request to the rooms."""
        self._carry_out(self.rooms.handle(session.number, session.path(), message, now))

    # -- the rooms ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look at the rooms whenever they ask for it, for ever."""
        while True:
            self._sooner = anyio.Event()
            self._planned = self.rooms.next_deadline()
            with anyio.CancelScope(deadline=self._planned):
                await self._sooner.wait()
            self._look()

    def _look(self) -> None:
        with self._guarded("rooms.crashed"):
            self._carry_out(self.rooms.tick(anyio.current_time()))

    async def drain(self) -> None:
        """Stop in order: dismiss who waits, give meetings their time, let last words leave.

        Takes ``limits.drain`` seconds and a moment at most.
        """
        self._drained, self._emptied = anyio.Event(), anyio.Event()
        with self._guarded("rooms.crashed"):
            self._carry_out(self.rooms.drain(anyio.current_time()))
        with anyio.move_on_after(self.limits.drain):
            await self._drained.wait()
        self._look()  # whichever of the two clocks has come first: who still meets is told
        for session in list(self._sessions.values()):
            session.hang_up(Ending.STOPPED)
        self._note_emptiness()
        with anyio.move_on_after(FAREWELL):
            await self._emptied.wait()

    def _carry_out(self, actions: list[Action]) -> None:
        """Do what the rooms say, all of it before anybody else has a turn."""
        frames: dict[int, bytes] = {}  # what goes to one connection goes in one piece
        for action in actions:
            if isinstance(action, Send):
                number, message = action.connection, action.message
                frames[number] = frames.get(number, b"") + encode_frame(message)
                self.note(message)
            elif isinstance(action, Close):
                if action.connection in self._sessions:
                    self._sessions[action.connection].hang_up(Ending.HUNG_UP)
            elif isinstance(action, Postponed):
                self._complain("store.failed", action.error)
            else:
                self.note(action)
        for number, data in frames.items():
            if number in self._sessions:
                self._sessions[number].send(data)
        if self.rooms.next_deadline() < self._planned:
            self._sooner.set()
        self._note_emptiness()

    def note(self, event: CoordinatorMessage | Paired | Reported | Hit) -> None:
        """Tell the metrics of a message that is sent, or of what else happens."""
        match event:
            case Welcome():
                self._tell(self.metrics.welcomed)
            case Reject(code=code) | Error(code=code):
                self._tell(self.metrics.dismissed, code)
            case Paired():
                self._tell(self.metrics.introduced, event.waited)
            case Reported(outcome, elapsed):
                self._tell(self.metrics.reported, outcome, elapsed)
            case Hit(limit):
                self._tell(self.metrics.limit_hit, limit)

    def hit(self, limit: Limit) -> None:
        """Tell the metrics that a limit was hit."""
        self._tell(self.metrics.limit_hit, limit)

    def _tell(self, note: Callable[..., None], *args: object) -> None:
        try:
            note(*args)
        except Exception as error:  # noqa: BLE001 - whatever the operator's metrics raise
            self._complain("metrics.crashed", error, getattr(note, "__name__", ""))

    def _note_emptiness(self) -> None:
        if self._drained is not None and self.rooms.drained:
            self._drained.set()
        if self._emptied is not None and not self._sessions:
            self._emptied.set()

    def _turn_away(self, sock: socket.socket, words: Reject) -> None:
        """Say why, where that needs no handshake and no waiting."""
        if self.tls() is None and not self.proxied:
            with contextlib.suppress(OSError):
                sock.setblocking(False)
                sock.send(encode_frame(words))
                self.note(words)

    @contextlib.contextmanager
    def _guarded(self, event: str) -> Iterator[None]:
        """Log an error of what the operator has put in; the coordinator goes on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is
            self._complain(event, error)

    def _complain(self, event: str, error: Exception, part: str = "") -> None:
        if self._complaints.allows((event, part), anyio.current_time()):
            log.error(event, exc_info=error)

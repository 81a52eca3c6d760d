"""A call whose caller knows both endpoints: resolved, punched, and proven where there is a secret.

With a secret the two sides have nobody to carry their offers: these cross on each connection that
opens, and from there on all is as after a rendezvous (:mod:`.security._handshake`). Without one the
connection is handed over as it is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import anyio

from ._diagnosis import name_not_resolved
from ._endpoints import Candidate, literal_address
from ._errors import NameResolutionError, PeerConnectError, PeerProofError, PeerTimeoutError
from ._events import PunchFailed
from ._meeting_diagnosis import no_time_for_keys, not_proven
from ._proving import Prover, authentication_error
from ._report import PunchReport
from .net._addresses import Addresses, UnresolvedError
from .net._executor import Punch, Race
from .net._pairs import resolve_pairs
from .net._stream import PeerStream, TcpStream
from .security._certificate import Identity
from .security._handshake import Handshake, Nomination, exchange_offers
from .security._keys import MODE_DIRECT
from .security._secret import derive_keys

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from anyio.abc import ByteStream

    from ._events import Event
    from .punch import PunchOptions
    from .security._keys import GroupKeys
    from .security._secret import SecretLike


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectCall:
    """What the caller asked for.

    Attributes:
        ours: Our candidates.
        theirs: The peer's.
        began: When the call began, on :func:`time.monotonic`'s clock.
        timeout: Seconds for all of it, or None.
        options: The engine's numbers.
        announce: Takes every event.
    """

    ours: tuple[Candidate, ...]
    theirs: tuple[Candidate, ...]
    began: float
    timeout: float | None
    options: PunchOptions
    announce: Callable[[Event], None]

    async def socket(self, prover: Prover | None = None) -> tuple[socket.socket, PunchReport]:
        """Resolve and punch; the socket is the caller's to close.

        Args:
            prover: Proves connections before one is handed over; None to take the first.

        Raises:
            SimopenError: As :func:`simopen.connect_peer`.
        """
        punch = Punch(
            Race(await self._resolve()),
            options=self.options,
            began=self.began,
            timeout=self.timeout,
            announce=self.announce,
            prove=prover,
            complete=lambda report: replace(report, encrypted=prover is not None),
        )
        return await punch.run()

    async def stream(self, secret: SecretLike | None) -> PeerStream:
        """The same, as a stream; encrypted and proven where there is a secret.

        Raises:
            SimopenError: As :func:`simopen.connect_peer`.
        """
        if secret is None:
            sock, report = await self.socket()
            return PeerStream(TcpStream(sock), report)
        prover = await self._prover(secret)
        try:
            _, report = await self.socket(prover)
        except PeerConnectError as error:
            raise _told(error, prover) from None
        assert prover.stream is not None  # noqa: S101 - or there were no socket
        return PeerStream(prover.stream, report)

    async def _prover(self, secret: SecretLike) -> Prover:
        keys = await self._keys(secret)
        identity = Identity.generate()
        nomination = Nomination()

        async def prepare(transport: ByteStream) -> Handshake:
            return await exchange_offers(
                transport,
                keys,
                identity,
                mode=MODE_DIRECT,
                room_tag=keys.room_tag(None),
                nomination=nomination,
            )

        end = None if self.timeout is None else self.began + self.timeout
        return Prover(prepare, end=end, began=self.began, announce=self.announce)

    async def _keys(self, secret: SecretLike) -> GroupKeys:
        with anyio.move_on_after(self._time_left()):
            return await derive_keys(secret)
        report = self._nothing_sent()
        diagnosis = no_time_for_keys(report)
        self.announce(PunchFailed(at=report.elapsed, report=report, diagnosis=diagnosis))
        raise PeerTimeoutError(report=report, diagnosis=diagnosis)

    async def _resolve(self) -> tuple[Addresses, ...]:
        named = (*self.theirs, *self.ours)
        names = [each for each, *_ in named if literal_address(each.host) is None]
        if not names:
            return await resolve_pairs(self.ours, self.theirs)
        kind: type[PeerConnectError] = PeerTimeoutError
        reason = "no answer from the resolver in the time allowed"
        with anyio.move_on_after(self._time_left()):
            try:
                return await resolve_pairs(self.ours, self.theirs)
            except UnresolvedError as error:
                kind, reason = NameResolutionError, str(error)
        report = self._nothing_sent()
        diagnosis = name_not_resolved(report.local, names[0], reason)
        self.announce(PunchFailed(at=report.elapsed, report=report, diagnosis=diagnosis))
        raise kind(report=report, diagnosis=diagnosis)

    def _time_left(self) -> float | None:
        if self.timeout is None:
            return None
        return max(0.0, self.began + self.timeout - time.monotonic())

    def _nothing_sent(self) -> PunchReport:
        return PunchReport(
            local=self.ours[0][0],
            remote=self.theirs[0][0],
            elapsed=time.monotonic() - self.began,
        )


def _told(error: PeerConnectError, prover: Prover) -> PeerConnectError:
    """What a punch's failure is, given what became of the connections that had opened."""
    kind: type[PeerConnectError]
    if prover.failures:
        kind, failure = authentication_error(prover.failures)
    elif not prover.doubts:
        return error
    else:
        kind = PeerTimeoutError if isinstance(error, PeerTimeoutError) else PeerProofError
        failure = prover.doubts[-1]
    return kind(report=error.report, diagnosis=not_proven(error.report, str(failure)))

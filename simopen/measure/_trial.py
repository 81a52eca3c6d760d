"""One trial: a call as any program would make it, timed, and what became of it in figures.

Theory of operation. The two ways to find the peer are two kinds of target, which know the arguments
of each trial's call. Whatever the call raises is an outcome like any other. Trials have a secret of
their own, made from the one that was given: so they never meet another program of the same room,
and a text is not stretched anew, for a tenth of a second, in each of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

import simopen

from ._records import MOST_EVENTS, Moment, Side
from ._timetable import room_of_trial, shifted

OPENING = 0  # its number
_PERSON = b"simopen measure"
_PROBES = 3  # connections that time the way to the coordinator
_PROBE_TIMEOUT = 2.0  # seconds for all of them


@dataclass(frozen=True, slots=True)
class Direct:
    """Both sides know both endpoints; each trial has the next ports.

    Attributes:
        remote: The peer's endpoint for the opening.
        local: Ours.
        secret: What both hold, or None for plain TCP.
    """

    mode: ClassVar[Literal["direct"]] = "direct"
    remote: simopen.Endpoint
    local: simopen.Endpoint
    secret: bytes | None = field(default=None, repr=False)

    def arguments(self, run: str | None, number: int) -> dict[str, Any]:  # noqa: ARG002 - as below
        """Of a trial's call.

        Raises:
            UsageError: The ports are at an end.
        """
        return {
            "remote": shifted(self.remote, number, role="remote"),
            "local": shifted(self.local, number, role="local"),
            "secret": self.secret,
        }


@dataclass(frozen=True, slots=True)
class Introduced:
    """A coordinator introduces them; each trial has a room of its own, and any free port.

    Attributes:
        rendezvous: The coordinator.
        room: The opening's room.
        secret: What both hold.
        local: The addresses to connect from, with port 0; None for any.
    """

    mode: ClassVar[Literal["rendezvous"]] = "rendezvous"
    rendezvous: simopen.Rendezvous
    room: str
    secret: bytes = field(repr=False)
    local: tuple[simopen.Endpoint, ...] | None = None

    def arguments(self, run: str | None, number: int) -> dict[str, Any]:
        """Of a trial's call; without a run it is the opening's."""
        return {
            "rendezvous": self.rendezvous,
            "room": self.room if run is None else room_of_trial(run, number),
            "secret": self.secret,
            "local": self.local,
        }

    @property
    def scheme(self) -> str:
        """How the coordinator is spoken to."""
        return urlsplit(self.rendezvous.url).scheme

    async def round_trip(self) -> float | None:
        """Seconds to the coordinator and back, by what TCP connections take; None for no answer."""
        took: list[float] = []
        with anyio.move_on_after(_PROBE_TIMEOUT), contextlib.suppress(OSError):
            endpoint = self.rendezvous.endpoint
            host = (await anyio.getaddrinfo(*endpoint))[0][4][0]  # names take a time of their own
            for _ in range(_PROBES):
                began = time.monotonic()
                async with await anyio.connect_tcp(host, endpoint.port):
                    took.append(round(time.monotonic() - began, 6))
        return min(took, default=None)


Target = Direct | Introduced


@dataclass(slots=True)
class Attempt:
    """What a call has come to.

    Attributes:
        began: When it began, on :func:`time.monotonic`'s clock.
        side: The figures.
        stream: The connection, or None.
        error: Why there is none.
    """

    began: float
    side: Side
    stream: simopen.PeerStream | None = None
    error: simopen.SimopenError | None = None

    @property
    def absent(self) -> bool:
        """Whether the peer never came, so that there was nobody to connect to."""
        return isinstance(self.error, simopen.PeerNotFoundError)

    @property
    def heard(self) -> bool:
        """Whether anything shows that the peer was there: an introduction, or a stream."""
        return self.stream is not None or self.side.rounds > 0


async def attempt(
    target: Target,
    *,
    run: str | None,
    number: int,
    timeout: float,  # noqa: ASYNC109 - the call's
) -> Attempt:
    """Make a trial's call; whatever it raises of ours is its outcome."""
    moments: list[Moment] = []

    def on_event(event: simopen.Event) -> None:
        if len(moments) < MOST_EVENTS:
            lane = getattr(event, "lane", None)
            moments.append(Moment(round(max(0.0, event.at), 6), event.name, lane))

    arguments = target.arguments(run, number)
    began = time.monotonic()
    try:
        stream = await simopen.connect_peer(**arguments, timeout=timeout, on_event=on_event)
    except simopen.SimopenError as error:
        side = _failed(error, time.monotonic() - began, tuple(moments))
        return Attempt(began, side, error=error)
    elapsed = time.monotonic() - began
    figures = _figures(stream.report)
    side = Side(ok=True, elapsed=round(elapsed, 6), events=tuple(moments), **figures)
    return Attempt(began, side, stream)


def _failed(error: simopen.SimopenError, elapsed: float, moments: tuple[Moment, ...]) -> Side:
    figures: dict[str, Any] = {}
    if isinstance(error, simopen.PeerConnectError):
        figures = _figures(error.report) | {"cause": error.diagnosis.cause.value}
    name = type(error).__name__
    return Side(ok=False, elapsed=round(elapsed, 6), error=name, events=moments, **figures)


def _figures(report: simopen.PunchReport) -> dict[str, Any]:
    """Of a report, what stands in the record."""
    figures = {
        "attempts": report.attempts,
        "refusals": report.refusals,
        "refreshes": report.refreshes,
        "path": report.path,
        "local": str(report.local),
        "remote": str(report.remote),
    }
    if report.meeting is not None:
        figures |= {
            "observed": tuple(map(str, report.meeting.observed)),
            "mapping": report.meeting.mapping,
            "rounds": report.meeting.rounds,
            "waited": round(report.meeting.waited, 6),
        }
    return figures


async def own_secret(secret: simopen.SecretLike) -> bytes:
    """The trials' secret, from the one that was given.

    A text of a person is stretched as simopen stretches it, so that it is no easier to guess.
    """
    if isinstance(secret, simopen.Invite):
        secret = secret.reveal().encode()
    if isinstance(secret, str):
        return await anyio.to_thread.run_sync(_stretched, secret)
    if not isinstance(secret, bytes):
        raise TypeError("a secret is an Invite, bytes or a str")
    return hashlib.blake2b(secret, digest_size=32, person=_PERSON).digest()


def _stretched(text: str) -> bytes:
    return hashlib.scrypt(text.encode(), salt=_PERSON, n=2**15, r=8, p=1, maxmem=64 << 20, dklen=32)

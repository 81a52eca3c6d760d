"""Everything that simopen raises.

::

    SimopenError
    ├ UsageError(ValueError)                  the call itself is wrong; nothing was sent
    │  └ SelfConnectionError                  both endpoints are the same socket address
    ├ LocalBindError(OSError)                 our own port or address is not to be had; errno kept
    ├ PeerConnectError(anyio.ConnectionFailed)   the peer was not reached; .report, .diagnosis
    │  ├ PeerTimeoutError(TimeoutError)       … within the time allowed
    │  ├ NameResolutionError                  … because its name has no usable address
    │  ├ RendezvousError                      … because nobody introduced us
    │  │  ├ CoordinatorUnavailable            the coordinator cannot be reached, or is stopping
    │  │  ├ RoomFullError                     two others are in the room
    │  │  └ PeerNotFoundError(TimeoutError)   nobody came with this room and this secret in time
    │  └ AuthenticationError                  … because nobody who was met is the peer
    │     ├ WrongSecretError                  its offer was made with another secret
    │     ├ ReflectedOfferError               our own offer came back to us
    │     └ PeerProofError                    it could not prove the key in its offer
    └ ProtocolError                           what is said does not follow the protocol
       ├ LocalProtocolError                   by us: a call at the wrong time
       └ RemoteProtocolError                  by the other end

All of them survive pickling with their attributes. Once a stream has been handed over, its errors
are anyio's own (``BrokenResourceError``, ``ClosedResourceError``, ``EndOfStream``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anyio import ConnectionFailed

if TYPE_CHECKING:
    from ._diagnosis import Diagnosis
    from ._endpoints import Endpoint
    from ._report import PunchReport


class SimopenError(Exception):
    """The root: catch this for anything simopen raises by itself."""


class UsageError(SimopenError, ValueError):
    """An argument cannot be used as it is; nothing was sent."""


class SelfConnectionError(UsageError):
    """The connection would be, or was, to our own socket.

    A TCP socket that connects to the address it is bound to becomes ESTABLISHED with itself
    (RFC 9293 §3.5 with one socket playing both sides), which looks like success and is none.
    """


class LocalBindError(SimopenError, OSError):
    """The local endpoint cannot be used.

    Attributes:
        errno: The operating system's reason (``EADDRINUSE``, ``EADDRNOTAVAIL``, ``EACCES``, …).
        local: The endpoint that was asked for.
        state: What holds the port as far as the system tells (``"LISTEN"``, ``"ESTABLISHED"``, …),
            or None where nothing is known.
    """

    def __init__(
        self, errno: int, message: str, *, local: Endpoint, state: str | None = None
    ) -> None:
        super().__init__(errno, message)
        self.local = local
        self.state = state

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (
            type(self),
            (self.errno, self.strerror),
            {"local": self.local, "state": self.state},
        )


class PeerConnectError(SimopenError, ConnectionFailed):
    """The peer could not be connected.

    Attributes:
        report: Attempts, refusals, time and endpoints.
        diagnosis: What was tried, what came back, the likeliest cause and what to do next.
    """

    def __init__(self, *, report: PunchReport, diagnosis: Diagnosis) -> None:
        super().__init__(str(diagnosis))
        self.report = report
        self.diagnosis = diagnosis

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (
            type(self),
            (),
            {"report": self.report, "diagnosis": self.diagnosis},
        )


class PeerTimeoutError(PeerConnectError, TimeoutError):
    """The time allowed ran out before the SYNs met, or before a given stream was proven."""


class NameResolutionError(PeerConnectError):
    """The peer's name has no address of the family that ``local`` asks for."""


class RendezvousError(PeerConnectError):
    """The coordinator did not introduce us to anybody."""


class CoordinatorUnavailable(RendezvousError):  # noqa: N818 - a state, as in LabUnavailable
    """The coordinator cannot be reached, refuses us for now, or is shutting down."""


class RoomFullError(RendezvousError):
    """Two others are in the room: it is for two."""


class PeerNotFoundError(RendezvousError, TimeoutError):
    """Nobody came with this room and this secret within the time allowed.

    A peer with another secret, or another spelling of the room, is in another room: it
    cannot be told from one that never came.
    """


class AuthenticationError(PeerConnectError):
    """Somebody was there, and is not the peer."""


class WrongSecretError(AuthenticationError):
    """What the other side offered was made with another secret, or is no offer."""


class ReflectedOfferError(AuthenticationError):
    """Our own offer came back to us: somebody reflects what we send."""


class PeerProofError(AuthenticationError):
    """Whoever was met could not prove the key in its offer.

    An old offer played again, a stranger on the punched port, or a broken connection each time.
    """


class ProtocolError(SimopenError):
    """What is said does not follow the protocol."""


class LocalProtocolError(ProtocolError):
    """We were about to say what has no place now: a mistake in the calling program."""


class RemoteProtocolError(ProtocolError):
    """The other end said what has no place in the protocol, or is no coordinator at all."""


def _rebuild(
    kind: type[SimopenError], args: tuple[object, ...], attributes: dict[str, Any]
) -> SimopenError:
    return kind(*args, **attributes)

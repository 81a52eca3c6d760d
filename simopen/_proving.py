"""Proves who is at the other end of the connections of one punch, and keeps the one that is chosen.

The proof itself is the security room's (:mod:`simopen.security._handshake`); what it needs of the
peer comes either out of an offer that a coordinator has brought, or over the connection itself.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

import anyio

from ._errors import AuthenticationError, PeerProofError, ReflectedOfferError, WrongSecretError
from ._events import ProofFailed, ProofStarted
from .net._executor import Verdict
from .net._stream import TcpStream
from .security._errors import (
    LateError,
    OfferError,
    ProofError,
    ReflectedError,
    SecurityError,
    UnableError,
)

if TYPE_CHECKING:
    import socket

    from anyio.abc import ByteStream

    from ._events import Event
    from .security._handshake import Handshake
    from .security._tls import TlsStream

# Seconds that a proof may take once it is the peer's turn. Four round trips of the longest usual
# path, or one lost flight, which costs a second while no round trip is known (RFC 6298 §2.1), and
# the proof itself. All connections are proven side by side, so a silent stranger holds nobody up.
PROOF_TIMEOUT = 4.0
# Seconds where nothing else ends it. Who has to be proven waits for the peer's choice among several
# connections, each of which may take that long.
LONGEST_PROOF = 4 * PROOF_TIMEOUT
# Connections of one lane without a proof before it counts as somebody else's: an honest one is lost
# when the last acknowledgement of the punch was, and hardly ever twice.
MOST_LOSSES = 5

Prepare: TypeAlias = "Callable[[ByteStream], Awaitable[Handshake]]"


class Prover:
    """The prover of one punch, as :class:`.net._executor.Punch` calls it.

    Args:
        prepare: Gives the handshake for a connection.
        end: When every proof is over, on :func:`time.monotonic`'s clock; None for
            ``LONGEST_PROOF`` after a connection has opened.
        began: When the call began, likewise.
        announce: Takes every event.

    Attributes:
        stream: The proven stream, once there is one.
        failures: What showed that somebody else was there, in order.
        doubts: What showed only that there was no proof: it was late, or the connection was lost.
    """

    def __init__(
        self,
        prepare: Prepare,
        *,
        end: float | None,
        began: float,
        announce: Callable[[Event], None],
    ) -> None:
        self.stream: TlsStream | None = None
        self.failures: list[SecurityError] = []
        self.doubts: list[SecurityError] = []
        self._prepare = prepare
        self._end = end
        self._began = began
        self._announce = announce
        self._losses: Counter[int] = Counter()

    async def __call__(self, lane: int, sock: socket.socket) -> Verdict:
        """Prove one connection."""
        self._announce(ProofStarted(at=time.monotonic() - self._began, lane=lane))
        transport = TcpStream(sock)
        try:
            with anyio.fail_after(self._time_left()):
                with anyio.fail_after(PROOF_TIMEOUT):
                    handshake = await self._prepare(transport)
                self.stream = await handshake.authenticate(
                    transport, lane=lane, deadline_s=PROOF_TIMEOUT
                )
        except LateError as error:
            return self._doubt(lane, error)
        except SecurityError as error:
            self.failures.append(error)
            return self._failed(lane, Verdict.FALSE, error)
        except (TimeoutError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
            late = isinstance(error, TimeoutError)
            words = "no proof in the time allowed" if late else "the connection was closed"
            return self._doubt(lane, ProofError(words))
        except OSError as error:  # no descriptor left for the keys
            return self._doubt(lane, UnableError(f"no proof can be made: {error.strerror}"))
        return Verdict.PROVEN

    def _doubt(self, lane: int, error: ProofError) -> Verdict:
        """No proof, and nothing that tells who is there: once more, but not for ever."""
        self.doubts.append(error)
        self._losses[lane] += 1
        again = self._losses[lane] < MOST_LOSSES
        return self._failed(lane, Verdict.LOST if again else Verdict.FALSE, error)

    def _failed(self, lane: int, verdict: Verdict, error: SecurityError) -> Verdict:
        at = time.monotonic() - self._began
        self._announce(ProofFailed(at=at, lane=lane, reason=str(error)))
        return verdict

    def _time_left(self) -> float:
        if self._end is None:
            return LONGEST_PROOF
        return max(0.0, self._end - time.monotonic())


# What is told of several failures: the one that says most of the other side.
_KINDS: tuple[tuple[type[SecurityError], type[AuthenticationError]], ...] = (
    (ReflectedError, ReflectedOfferError),
    (OfferError, WrongSecretError),
    (SecurityError, PeerProofError),
)


def authentication_error(
    failures: list[SecurityError],
) -> tuple[type[AuthenticationError], SecurityError]:
    """The public kind of error for what was wrong, and the failure that it stands for.

    Args:
        failures: At least one.
    """
    return next(
        (kind, failure)
        for cause, kind in _KINDS
        for failure in failures
        if isinstance(failure, cause)
    )

"""A stream that the caller has already: offers, TLS and hello over it, as over a punched one.

What is wrong is told by the errors of a call, so that a program handles both alike. Their report
is that of a connection for which nothing was punched.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
from anyio.abc import SocketAttribute

from ._diagnosis import Cause, Diagnosis
from ._endpoints import Endpoint
from ._errors import PeerTimeoutError
from ._proving import authentication_error
from ._report import PunchReport, format_seconds
from .net._addresses import endpoint_of
from .security._certificate import Identity
from .security._errors import ProofError, SecurityError
from .security._handshake import exchange_offers
from .security._keys import MODE_DIRECT
from .security._secret import derive_keys

if TYPE_CHECKING:
    from typing import Any

    from anyio.abc import ByteStream

    from .security._secret import SecretLike
    from .security._tls import TlsStream

_NOWHERE = Endpoint("0.0.0.0", 0)  # noqa: S104 - a report's, of a stream that is no socket


async def secure(
    stream: ByteStream,
    *,
    secret: SecretLike,
    began: float,
    timeout: float | None,  # noqa: ASYNC109 - ends in a diagnosis
) -> TlsStream:
    """Prove who is at the other end of a stream, and encrypt it.

    Args:
        stream: Becomes the result's, and stays the caller's on failure.
        secret: The group's.
        began: When the call began, on :func:`time.monotonic`'s clock.
        timeout: Seconds from then on for all of it, or None.

    Raises:
        AuthenticationError: Whoever is at the other end is not the peer.
        PeerTimeoutError: It took too long.
    """
    local = _endpoint(stream, SocketAttribute.local_address)
    remote = _endpoint(stream, SocketAttribute.remote_address)
    failure: SecurityError | None = None
    with anyio.move_on_after(None if timeout is None else began + timeout - time.monotonic()):
        try:
            return await _prove(stream, secret)
        except SecurityError as error:
            failure = error
        except anyio.BrokenResourceError:
            failure = ProofError("the stream broke before the proof")
    elapsed = time.monotonic() - began
    report = PunchReport(local=local, remote=remote, elapsed=elapsed, path="given")
    if failure is None:
        raise PeerTimeoutError(report=report, diagnosis=_too_late(report))
    kind, failure = authentication_error([failure])
    raise kind(report=report, diagnosis=_not_proven(report, str(failure)))


async def _prove(stream: ByteStream, secret: SecretLike) -> TlsStream:
    keys = await derive_keys(secret)
    handshake = await exchange_offers(
        stream, keys, Identity.generate(), mode=MODE_DIRECT, room_tag=keys.room_tag(None)
    )
    # Of several connections a slow one would hold up the others; here there is one, and the caller
    # knows best how slow it is.
    return await handshake.authenticate(stream, lane=0, deadline_s=math.inf)


def _endpoint(stream: ByteStream, attribute: Any) -> Endpoint:  # noqa: ANN401 - anyio's type
    """One end of the stream, where it is a socket's and still known."""
    with suppress(OSError):
        address = stream.extra(attribute, None)
        if isinstance(address, tuple):
            return endpoint_of(address)
    return _NOWHERE


def _not_proven(report: PunchReport, reason: str) -> Diagnosis:
    return Diagnosis(
        cause=Cause.NOT_PROVEN,
        tried=_tried(report),
        came_back=reason,
        explanation="Whoever is at the other end does not hold our secret, or somebody in between "
        "interferes",
        advice="Give both sides the same secret, and let both call secure_stream before anything "
        "else is sent; if they do, do not trust what the stream came from",
    )


def _too_late(report: PunchReport) -> Diagnosis:
    return Diagnosis(
        cause=Cause.NOT_PROVEN,
        tried=_tried(report),
        came_back="no proof in the time allowed",
        explanation="The other side has not called secure_stream, or is slower than that",
        advice="Let both sides call it at the same time, or allow more",
    )


def _tried(report: PunchReport) -> str:
    return f"asked for proof over the given stream for {format_seconds(report.elapsed)}"

"""Connect two hosts directly over TCP when neither can listen.

Both sides bind a fixed port and connect to each other until their SYNs cross: TCP simultaneous
open. Run this on one host and its mirror image on the other::

    stream = await simopen.connect_peer("203.0.113.2:40001", local="0.0.0.0:40000", timeout=10)
    await stream.send(b"hello")
    print(stream.report)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._api import PeerConnectable, connect_peer, connect_peer_socket, secure_stream
from ._diagnosis import Cause, Diagnosis
from ._endpoints import Endpoint
from ._errors import (
    AuthenticationError,
    CoordinatorUnavailable,
    LocalBindError,
    LocalProtocolError,
    NameResolutionError,
    PeerConnectError,
    PeerNotFoundError,
    PeerProofError,
    PeerTimeoutError,
    ProtocolError,
    ReflectedOfferError,
    RemoteProtocolError,
    RendezvousError,
    RoomFullError,
    SelfConnectionError,
    SimopenError,
    UsageError,
    WrongSecretError,
)
from ._events import (
    Event,
    OnEvent,
    ProofFailed,
    ProofStarted,
    PunchAttempt,
    PunchConnected,
    PunchFailed,
    PunchHalfOpen,
    PunchRefreshed,
    PunchRefused,
    PunchStarted,
    PunchUnsent,
    RendezvousFailed,
    RendezvousIntroduced,
    RendezvousJoined,
    RendezvousLost,
    RoundFailed,
)
from ._report import MeetingReport, PunchReport
from ._self_connection import connect_self, guard_self_connection
from ._telemetry import JsonLinesTrace
from ._version import __version__
from .net._stream import PeerAttribute, PeerStream
from .punch import PunchOptions
from .rendezvous._url import Rendezvous
from .security._secret import Invite, SecretLike

if TYPE_CHECKING:
    from .rendezvous._server import Coordinator
    from .rendezvous._tls_files import CertificateFiles
    from .rendezvous.protocol import CoordinatorLimits
    from .trace import HandshakeKind, HandshakeTrace, TraceStep

__all__ = [
    "AuthenticationError",
    "Cause",
    "CertificateFiles",
    "Coordinator",
    "CoordinatorLimits",
    "CoordinatorUnavailable",
    "Diagnosis",
    "Endpoint",
    "Event",
    "HandshakeKind",
    "HandshakeTrace",
    "Invite",
    "JsonLinesTrace",
    "LocalBindError",
    "LocalProtocolError",
    "MeetingReport",
    "NameResolutionError",
    "OnEvent",
    "PeerAttribute",
    "PeerConnectError",
    "PeerConnectable",
    "PeerNotFoundError",
    "PeerProofError",
    "PeerStream",
    "PeerTimeoutError",
    "ProofFailed",
    "ProofStarted",
    "ProtocolError",
    "PunchAttempt",
    "PunchConnected",
    "PunchFailed",
    "PunchHalfOpen",
    "PunchOptions",
    "PunchRefreshed",
    "PunchRefused",
    "PunchReport",
    "PunchStarted",
    "PunchUnsent",
    "ReflectedOfferError",
    "RemoteProtocolError",
    "Rendezvous",
    "RendezvousError",
    "RendezvousFailed",
    "RendezvousIntroduced",
    "RendezvousJoined",
    "RendezvousLost",
    "RoomFullError",
    "RoundFailed",
    "SecretLike",
    "SelfConnectionError",
    "SimopenError",
    "TraceStep",
    "UsageError",
    "WrongSecretError",
    "__version__",
    "connect_peer",
    "connect_peer_socket",
    "connect_self",
    "guard_self_connection",
    "secure_stream",
]

# The coordinator's names and the trace's, by their modules: most programs are clients, and trace
# nothing; the coordinator with its log takes as long to import as all the rest.
_LATER = {
    "CertificateFiles": "simopen.rendezvous._tls_files",
    "Coordinator": "simopen.rendezvous._server",
    "CoordinatorLimits": "simopen.rendezvous.protocol",
    "HandshakeKind": "simopen.trace",
    "HandshakeTrace": "simopen.trace",
    "TraceStep": "simopen.trace",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - typing sees the imports above
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(import_module(_LATER[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})

"""Connect two hosts directly over TCP when neither can listen.

Both sides bind a fixed port and connect to each other until their SYNs cross: TCP simultaneous
open. Run this on one host and its mirror image on the other::

    stream = await simopen.connect_peer("203.0.113.2:40001", local="0.0.0.0:40000", timeout=10)
    await stream.send(b"hello")
    print(stream.report)
"""

from ._api import PeerConnectable, connect_peer, connect_peer_socket
from ._diagnosis import Cause, Diagnosis
from ._endpoints import Endpoint
from ._errors import (
    LocalBindError,
    NameResolutionError,
    PeerConnectError,
    PeerTimeoutError,
    SelfConnectionError,
    SimopenError,
    UsageError,
)
from ._events import (
    Event,
    OnEvent,
    PunchAttempt,
    PunchConnected,
    PunchFailed,
    PunchHalfOpen,
    PunchRefreshed,
    PunchRefused,
    PunchStarted,
    PunchUnsent,
)
from ._report import PunchReport
from ._telemetry import JsonLinesTrace
from ._version import __version__
from .net._stream import PeerAttribute, PeerStream
from .punch import PunchOptions

__all__ = [
    "Cause",
    "Diagnosis",
    "Endpoint",
    "Event",
    "JsonLinesTrace",
    "LocalBindError",
    "NameResolutionError",
    "OnEvent",
    "PeerAttribute",
    "PeerConnectError",
    "PeerConnectable",
    "PeerStream",
    "PeerTimeoutError",
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
    "SelfConnectionError",
    "SimopenError",
    "UsageError",
    "__version__",
    "connect_peer",
    "connect_peer_socket",
]

"""Recording the packets of a call: the trace's sockets. Linux, with CAP_NET_RAW."""

from ._dial import dial
from ._tracing import Tracing

__all__ = ["Tracing", "dial"]

"""``trace=`` of a call: nothing at all unless it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from anyio.abc import SocketAttribute

from ._telemetry import Telemetry

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from types import TracebackType

    from ._events import Event, OnEvent
    from .net._stream import PeerStream
    from .trace import HandshakeTrace
    from .trace.recording import Tracing


class Traced:
    """A call that may be traced, as a context: the trace is filled however it is left.

    Args:
        trace: As for :func:`simopen.connect_peer`.
        on_event: Likewise.

    Attributes:
        announce: Takes every event of the call.
    """

    def __init__(self, trace: bool | HandshakeTrace, on_event: OnEvent | None) -> None:  # noqa: FBT001 - the caller's own argument
        self.announce: Callable[[Event], None] = Telemetry(on_event)
        self._tracing: Tracing | None = None
        self._trace: HandshakeTrace | None = None
        if trace is False:
            return
        # Here, since most calls do without.
        from .trace import HandshakeTrace  # noqa: PLC0415
        from .trace.recording import Tracing  # noqa: PLC0415

        self._trace = HandshakeTrace() if trace is True else trace
        self.announce = self._tracing = Tracing(self._trace, self.announce)

    def __enter__(self) -> Self:
        """Begin; recording starts with the engine."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Fill the trace of a call that has failed or was cancelled."""
        if self._tracing is not None:
            self._tracing.end()
            self._tracing = None

    def stream(self, stream: PeerStream) -> PeerStream:
        """Take what the call has led to, and give it the trace."""
        self.socket(stream.extra(SocketAttribute.raw_socket))
        stream.trace = self._trace
        return stream

    def socket(self, sock: socket.socket) -> socket.socket:
        """The same of a bare socket, which cannot carry a trace."""
        if self._tracing is not None:
            self._tracing.end(sock)
            self._tracing = None
        return sock

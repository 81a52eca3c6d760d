"""What a coordinator counts: an interface that does nothing, and an exporter for Prometheus.

Labels come from closed sets (codes, outcomes, reasons of our own); never a room, an address or
anything else that a client chooses, or a stranger could make a table grow without end.
"""

from __future__ import annotations

from collections.abc import Callable


class Metrics:
    """Takes note of what happens; this one of nothing."""

    def connection_opened(self) -> None:
        """A connection was accepted."""

    def connection_closed(self, reason: str) -> None:
        """A connection ended."""

    def connection_refused(self, reason: str) -> None:
        """A connection was closed before anything was read from it."""

    def joined(self) -> None:
        """A member was welcomed."""

    def introduced(self, waited: float) -> None:
        """Two members were introduced, ``waited`` seconds after the first of them had come."""

    def rejected(self, code: str) -> None:
        """A member was turned away."""

    def resulted(self, outcome: str) -> None:
        """A member told how its round went."""

    def gauges(self, sizes: Callable[[], dict[str, int]]) -> None:
        """Take ``sizes``, which tells the present number of connections, members and rooms."""

    def exposition(self) -> tuple[str, bytes]:
        """All of it as a response to ``GET /metrics``: the content type and the body."""
        return "text/plain; charset=utf-8", b""

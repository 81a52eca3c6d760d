"""The metrics for Prometheus; needs the extra ``simopen[server]``."""

from __future__ import annotations

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from ._metrics import Metrics
from .protocol import Limit

PREFIX = "simopen_coordinator"
WAITS = (0.1, 1, 10, 60, 600, 3600)  # seconds that the first member waited for the second
MEETINGS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)  # seconds from introduction to result


class PrometheusMetrics(Metrics):
    """Counts in a registry of its own, so that several coordinators can share a process."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # memory, descriptors, processor time

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"{PREFIX}_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"{PREFIX}_{name}", text, registry=registry)

        self._registry = registry
        self._opened = counter("connections_opened", "Connections accepted")
        self._ended = counter("connections_ended", "Connections that have ended, and why", "ending")
        self._welcomed = counter("welcomes", "Joins and attaches welcomed")
        self._dismissed = counter("dismissals", "Rejects and errors sent", "code")
        limits = counter("limits_hit", "Times that a limit was hit", "limit")
        self._limits: dict[str, Counter] = {each: limits.labels(each) for each in Limit}
        self._introduced = Histogram(
            f"{PREFIX}_introduction_wait_seconds",
            "Seconds that the first of two introduced members had waited",
            buckets=WAITS,
            registry=registry,
        )
        self._reported = Histogram(
            f"{PREFIX}_meeting_seconds",
            "Seconds from the introduction to a member's result, in its word",
            ("outcome",),
            buckets=MEETINGS,
            registry=registry,
        )
        self._connections = gauge("connections", "Connections open now")
        self._members = gauge("members", "Members now, queued ones included")
        self._rooms = gauge("rooms", "Rooms now")

    def opened(self) -> None:
        """Count it."""
        self._opened.inc()

    def ended(self, ending: str) -> None:
        """Count it."""
        self._ended.labels(ending).inc()

    def welcomed(self) -> None:
        """Count it."""
        self._welcomed.inc()

    def dismissed(self, code: str) -> None:
        """Count it."""
        self._dismissed.labels(code).inc()

    def introduced(self, waited: float) -> None:
        """Count it, by how long that took."""
        self._introduced.observe(waited)

    def reported(self, outcome: str, elapsed: float) -> None:
        """Count it, by how long that took."""
        self._reported.labels(outcome).observe(elapsed)

    def limit_hit(self, limit: str) -> None:
        """Count it."""
        self._limits[limit].inc()

    def sizes(self, *, connections: int, members: int, rooms: int) -> None:
        """Set the gauges."""
        self._connections.set(connections)
        self._members.set(members)
        self._rooms.set(rooms)

    def exposition(self) -> tuple[str, bytes]:
        """The registry in Prometheus' text format."""
        return CONTENT_TYPE_LATEST, generate_latest(self._registry)

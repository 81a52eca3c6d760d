"""The metrics for Prometheus; needs the extra ``simopen[server]``.

Every label's values come from a closed set and are there from the start, at zero, so that a rate
can be taken of what has never happened; a value outside of its set is an error, and no new series.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeVar

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)

from simopen._version import __version__

from ._metrics import Metrics
from ._session import Ending
from .protocol import Code, Limit, Outcome

PREFIX = "simopen_coordinator"
WAITS = (0.1, 1, 10, 60, 600, 3600)  # seconds that the first member waited for the second
MEETINGS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)  # seconds from introduction to result

M = TypeVar("M", Counter, Histogram)


class PrometheusMetrics(Metrics):
    """Counts in a registry of its own, so that several coordinators can share a process."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # memory, descriptors, processor time
        Info(f"{PREFIX}_build", "What runs", registry=registry).info({"version": __version__})

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"{PREFIX}_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"{PREFIX}_{name}", text, registry=registry)

        self._opened = counter("connections_opened", "Connections accepted")
        self._ended = _series(
            counter("connections_ended", "Connections that have ended, and why", "ending"), Ending
        )
        self._welcomed = counter("welcomes", "Joins and attaches welcomed")
        self._dismissed = _series(
            counter("dismissals", "Refusals: rejects and errors sent, by their code", "code"), Code
        )
        self._limits = _series(
            counter("limits_hit", "Times that a limit was hit, told to the client or not", "limit"),
            Limit,
        )
        self._introduced = Histogram(
            f"{PREFIX}_introduction_wait_seconds",
            "Introductions, by the seconds that the first of the two members had waited",
            buckets=WAITS,
            registry=registry,
        )
        self._reported = _series(
            Histogram(
                f"{PREFIX}_meeting_seconds",
                "Rounds as members report them, by the seconds since the introduction",
                ("outcome",),
                buckets=MEETINGS,
                registry=registry,
            ),
            Outcome,
        )
        self._connections = gauge("connections", "Connections open now")
        self._members = gauge("members", "Members now, whatever they are about")
        self._waiting = gauge("members_waiting", "Members now that wait for somebody to meet")
        self._rooms = gauge("rooms", "Rooms now")

    def opened(self) -> None:
        """Count it."""
        self._opened.inc()

    def ended(self, ending: str) -> None:
        """Count it."""
        self._ended[ending].inc()

    def welcomed(self) -> None:
        """Count it."""
        self._welcomed.inc()

    def dismissed(self, code: str) -> None:
        """Count it."""
        self._dismissed[code].inc()

    def introduced(self, waited: float) -> None:
        """Count it, by how long that took."""
        self._introduced.observe(waited)

    def reported(self, outcome: str, elapsed: float) -> None:
        """Count it, by how long that took."""
        self._reported[outcome].observe(elapsed)

    def limit_hit(self, limit: str) -> None:
        """Count it."""
        self._limits[limit].inc()

    def sizes(self, *, connections: int, members: int, waiting: int, rooms: int) -> None:
        """Set the gauges."""
        self._connections.set(connections)
        self._members.set(members)
        self._waiting.set(waiting)
        self._rooms.set(rooms)

    def exposition(self) -> tuple[str, bytes]:
        """The registry in Prometheus' text format."""
        return CONTENT_TYPE_LATEST, generate_latest(self._registry)


def _series(metric: M, values: type[enum.StrEnum]) -> Mapping[str, M]:
    """All series of a metric with one label."""
    return {value: metric.labels(value) for value in values}

from __future__ import annotations

import inspect
import re

import pytest

from simopen.rendezvous._metrics import Metrics
from simopen.rendezvous._prometheus import PrometheusMetrics
from simopen.rendezvous.protocol import Limit


def tell(metrics: Metrics) -> None:
    """Everything there is to tell, once."""
    metrics.opened()
    metrics.ended("left")
    metrics.welcomed()
    metrics.dismissed("room_full")
    metrics.introduced(0.5)
    metrics.reported("ok", 0.2)
    metrics.limit_hit("rooms")
    metrics.sizes(connections=3, members=2, rooms=1)


def test_by_default_nothing_is_noted() -> None:
    """Without an exporter every note is taken and none is kept."""
    metrics = Metrics()
    tell(metrics)
    assert metrics.exposition() == ("text/plain; charset=utf-8", b"")


def test_prometheus_has_all_of_it() -> None:
    """Each note shows in the exposition, each coordinator in a registry of its own."""
    metrics, other = PrometheusMetrics(), PrometheusMetrics()
    tell(metrics)
    content_type, body = metrics.exposition()
    assert content_type.startswith("text/plain; version=")
    for line in (
        "connections_opened_total 1.0",
        'connections_ended_total{ending="left"} 1.0',
        "welcomes_total 1.0",
        'dismissals_total{code="room_full"} 1.0',
        "introduction_wait_seconds_sum 0.5",
        'meeting_seconds_sum{outcome="ok"} 0.2',
        'limits_hit_total{limit="rooms"} 1.0',
        "connections 3.0",
        "members 2.0",
        "rooms 1.0",
    ):
        assert f"\nsimopen_coordinator_{line}\n".encode() in body, line
    assert b"simopen_coordinator_welcomes_total 0.0" in other.exposition()[1]


def test_every_limit_is_there_from_the_start() -> None:
    """A rate can be taken of one that was never hit, and no other ever comes up."""
    metrics = PrometheusMetrics()
    body = metrics.exposition()[1].decode()
    shown = re.findall(
        r'^simopen_coordinator_limits_hit_total{limit="(.*)"} 0.0$', body, re.MULTILINE
    )
    assert sorted(shown) == sorted(Limit)
    with pytest.raises(KeyError):
        metrics.limit_hit("203.0.113.9")


def test_the_exporter_takes_every_note() -> None:
    """No note of the interface is left to the one that does nothing."""
    notes = {name for name, _ in inspect.getmembers(Metrics, inspect.isfunction)}
    assert notes <= set(vars(PrometheusMetrics))

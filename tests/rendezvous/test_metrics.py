from __future__ import annotations

import contextlib
import enum
import inspect
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import simopen
from simopen.rendezvous._metrics import Metrics
from simopen.rendezvous._prometheus import PrometheusMetrics
from simopen.rendezvous._session import Ending
from simopen.rendezvous.protocol import Code, Limit, Outcome


def tell(metrics: Metrics) -> None:
    """Everything there is to tell, once."""
    metrics.opened()
    metrics.ended("left")
    metrics.welcomed()
    metrics.dismissed("room_full")
    metrics.introduced(0.5)
    metrics.reported("ok", 0.2)
    metrics.limit_hit("rooms")
    metrics.sizes(connections=4, members=3, waiting=2, rooms=1)


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
        "connections 4.0",
        "members 3.0",
        "members_waiting 2.0",
        "rooms 1.0",
    ):
        assert f"\nsimopen_coordinator_{line}\n".encode() in body, line
    assert b"simopen_coordinator_welcomes_total 0.0" in other.exposition()[1]


@pytest.mark.parametrize(
    ("series", "values"),
    [
        ("connections_ended_total{ending", Ending),
        ("dismissals_total{code", Code),
        ("meeting_seconds_count{outcome", Outcome),
        ("limits_hit_total{limit", Limit),
    ],
)
def test_every_series_is_there_from_the_start(series: str, values: type[enum.StrEnum]) -> None:
    """A rate can be taken of what has never happened."""
    body = PrometheusMetrics().exposition()[1].decode()
    shown = re.findall(rf'^simopen_coordinator_{series}="(.*)"}} 0\.0$', body, re.MULTILINE)
    assert sorted(shown) == sorted(values)


@given(st.text(), st.floats())
def test_no_other_series_ever_comes_up(text: str, number: float) -> None:
    """Whatever is told, the set of series is the one of the start."""
    before, after = PrometheusMetrics(), PrometheusMetrics()
    notes: tuple[Callable[[], None], ...] = (
        lambda: after.ended(text),
        lambda: after.dismissed(text),
        lambda: after.reported(text, number),
        lambda: after.limit_hit(text),
        lambda: after.introduced(number),
    )
    for note in notes:
        with contextlib.suppress(KeyError):
            note()
    assert series_of(after) == series_of(before)


def series_of(metrics: Metrics) -> list[str]:
    """The names and labels of all series."""
    lines = metrics.exposition()[1].decode().splitlines()
    return [line.rpartition(" ")[0] for line in lines if line.startswith("simopen")]


def test_the_version_is_told() -> None:
    """In the one label whose value is not counted by."""
    body = PrometheusMetrics().exposition()[1].decode()
    assert f'\nsimopen_coordinator_build_info{{version="{simopen.__version__}"}} 1.0\n' in body


def test_the_exporter_takes_every_note() -> None:
    """No note of the interface is left to the one that does nothing."""
    notes = {name for name, _ in inspect.getmembers(Metrics, inspect.isfunction)}
    assert notes <= set(vars(PrometheusMetrics))

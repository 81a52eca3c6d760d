"""What the benchmark of throughput measures, and what it makes of it."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import replace

import anyio
import pytest

from benchmarks import throughput
from benchmarks.streams import KINDS
from benchmarks.throughput import (
    QUICK,
    figures,
    is_possible,
    jobs,
    measured,
    numbered,
    other_process,
)
from benchmarks.throughput import table_rows as rows_of
from benchmarks.transfers import HOST, Job

GONE = (EOFError, OSError, anyio.BrokenResourceError)  # what the end of the other process raises
SMALL = {"sends": (65536, 4), "round trip": (64, 5), "memory": (0, 5), "connections": (0, 3)}


def record(kind: str, values: list[float]) -> dict[str, object]:
    """A line of the result file."""
    return {"loop": "asyncio", "tls": False, "measure": "m", "unit": "u", "kind": kind} | {
        "values": values
    }


def test_a_ratio_is_taken_within_a_repetition() -> None:
    """A machine that is slow in one repetition is slow for both."""
    (row,) = rows_of([record("PeerStream", [1, 90, 2]), record("asyncio", [2, 90, 1])])
    assert row[4:] == ["2 (1 to 90)", "1.00 (0.50 to 2.00)", "", ""]


def test_every_kind_is_first_in_its_turn() -> None:
    """No kind has always the same neighbour before it."""
    first = [next(jobs(QUICK, repetition)).kind for repetition in range(len(KINDS))]
    assert sorted(first) == sorted(KINDS)


def test_connections_never_share_a_port() -> None:
    """Each job begins where the last has ended."""
    numbers = [n for job in numbered(QUICK) if job.what == "connections" for n in job.numbers]
    assert len(numbers) == len(set(numbers)) > 0


def test_speed_counts_all_that_was_sent() -> None:
    """In units of 10^9 bytes."""
    job = Job("asyncio", tls=False, kind="raw", what="sends", size=1000, count=4_000_000)
    assert list(figures(job, [2.0])) == [("0 KiB sends", "GB/s", 2.0)]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
def test_every_kind_does_everything(loop: str) -> None:
    """Both processes play their parts to the end, plain and with TLS."""
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        with other_process(port) as other:
            done = [job for job in jobs(replace(QUICK, memory_every=1), 0) if job.loop == loop]
            for number, job in enumerate(done):
                if job.what == "swallowed":
                    continue  # takes a while to find out
                size, count = SMALL[job.what]
                small = replace(job, size=size, count=count, first=9000 + 10 * number)
                values = measured(small, listener, other)
                assert values, job
                if job.what != "memory":  # of a process that is not new
                    assert all(value > 0 for value in values), job


def test_what_there_is_not_is_not_measured() -> None:
    """Asyncio's streams do not run on trio."""
    assert not is_possible(Job("trio", tls=True, kind="asyncio", what="sends", size=1, count=1))
    assert is_possible(Job("trio", tls=True, kind="anyio", what="sends", size=1, count=1))


@pytest.mark.parametrize("what", ["sends", "round trip", "swallowed", "memory", "connections"])
def test_another_process_that_does_not_get_on(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is given its time, and is then an error here, whatever was waited for."""
    monkeypatch.setattr(throughput, "JOB_LIMIT", 0.5)
    job = Job("asyncio", tls=False, kind="PeerStream", what=what, size=64, count=5)
    with (
        socket.create_server((HOST, 0)) as listener,
        other_process(listener.getsockname()[1]) as other,
    ):
        assert other.process.pid is not None
        os.kill(other.process.pid, signal.SIGSTOP)
        with pytest.raises(GONE):
            measured(job, listener, other)


@pytest.mark.parametrize("kind", KINDS)
def test_another_process_that_dies_amid_a_job(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end breaks the stream, of any kind, and nothing is left behind."""
    monkeypatch.setattr(throughput, "JOB_LIMIT", 0.5)
    job = Job("asyncio", tls=False, kind=kind, what="round trip", size=64, count=10**9)
    with (
        socket.create_server((HOST, 0)) as listener,
        other_process(listener.getsockname()[1]) as other,
        pytest.raises(GONE),
    ):
        measured(job, listener, other)

from __future__ import annotations

import errno
import socket
import time
from pathlib import Path

import anyio
import pytest

from simopen import lab
from simopen.capture import ladder
from simopen.doctor import SynSchedule, syn_schedule

SETTINGS = Path("/proc/sys/net/ipv4")

# tcp_syn_retries and tcp_syn_linear_timeouts: what is short enough to wait for.
SHORT = [(1, 0), (1, 4), (2, 0), (2, 1)]
LATE = 0.125  # of the time from one retransmission to the next: what the timer wheel may add
BUSY = 0.25  # seconds; this machine may be


@pytest.mark.parametrize(
    ("retries", "linear", "longest", "times", "gives_up"),
    [
        (6, 4, 120.0, (1, 2, 3, 4, 5, 7, 11, 19, 35, 67), 131),  # Linux's defaults since 6.5
        (6, 0, 120.0, (1, 3, 7, 15, 31, 63), 127),  # and before
        (1, 0, 120.0, (1,), 3),
        (1, 4, 120.0, (1, 2), 3),
        (2, 4, 120.0, (1, 2, 3, 4, 5), 7),
        (4, 0, 4.0, (1, 3, 7, 11), 15),  # a shortest longest wait
        (9, 0, 120.0, (1, 3, 7, 15, 31, 63, 127, 247, 367), 487),
        (0, 0, 120.0, (), 1),
    ],
)
def test_the_schedule(
    retries: int, linear: int, longest: float, times: tuple[float, ...], gives_up: float
) -> None:
    """Waits of a second first, then doubled ones, up to the longest."""
    assert syn_schedule(retries, linear, longest_rto=longest) == SynSchedule(times, gives_up)


@pytest.mark.parametrize(
    ("took", "lost"), [(0.02, 0), (0.99, 0), (1.02, 1), (2.04, 2), (3.06, 3), (7.2, 6)]
)
def test_what_a_connect_that_took_so_long_has_lost(took: float, lost: int) -> None:
    """As many SYNs, or answers to them, as left before the one that was answered."""
    assert syn_schedule(6, 4).lost(took) == lost


def wait_for_nobody(retries: int, linear: int, host: str) -> tuple[int, float]:
    """A host: sets both, connects to who never answers; the error, and the seconds it took."""
    (SETTINGS / "tcp_syn_retries").write_text(f"{retries}\n")
    (SETTINGS / "tcp_syn_linear_timeouts").write_text(f"{linear}\n")
    with socket.socket() as sock:
        began = time.monotonic()
        code = sock.connect_ex((host, 7))
        return code, time.monotonic() - began


@pytest.mark.lab
@pytest.mark.usefixtures("require_lab")
def test_the_kernel_keeps_to_it(tmp_path: Path) -> None:
    """SYNs leave when the schedule says so, or a little later, and then there is ETIMEDOUT."""
    hosts = {f"h{retries}-{linear}": (retries, linear) for retries, linear in SHORT}
    sites = [
        lab.Site("seekers", hosts=list(hosts)),
        lab.Site("silence", hosts=["nobody"], gateway=lab.Firewall()),
    ]
    ended: dict[str, tuple[int, float]] = {}

    async def observe() -> dict[str, list[float]]:
        async def one(name: str) -> None:
            ended[name] = await net[name].call(wait_for_nobody, *hosts[name], net["nobody"].ipv4)

        async with lab.network(sites, capture=tmp_path / "x.pcapng") as net:
            async with anyio.create_task_group() as group:
                for name in hosts:
                    group.start_soon(one, name)
            records = await net.records()
        steps = [ladder.steps(records, each) for each in ladder.conversations(records)]
        return {each[0].sender: [step.sent_at for step in each] for each in steps}

    left = anyio.run(observe)
    for name, settings in hosts.items():
        schedule = syn_schedule(*settings)
        assert len(left[name]) == 1 + len(schedule.retransmissions), name
        for at, expected in zip(left[name][1:], schedule.retransmissions, strict=True):
            assert expected - 0.01 <= at <= expected * (1 + LATE) + BUSY, (name, left[name])
        code, took = ended[name]
        assert code == errno.ETIMEDOUT
        assert schedule.gives_up - 0.01 <= took <= schedule.gives_up * (1 + LATE) + BUSY, name

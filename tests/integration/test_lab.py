"""The punch over real kernels, hosts in namespaces joined by the lab's wire."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from simopen import lab
from simopen.capture import ladder
from tests.helpers import PEER

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]

DELAY = 0.020  # seconds one way
RTT = 2 * DELAY
STARTUP = 1.5  # seconds until two interpreters are surely up and waiting for their moment
LOOPS = ["asyncio", "uvloop", "trio"]
SIMOPEN = [sys.executable, "-m", "simopen"]


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The driver runs on one loop; the peers it starts run on all."""
    return request.param


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[lab.TwoHosts]:
    """Two hosts 20 ms apart, recorded."""
    async with lab.two_hosts(DELAY, capture=tmp_path / "wire.pcapng") as network:
        yield network


async def meet(
    net: lab.TwoHosts, a_args: list[str], b_args: list[str], *, v6: bool = False
) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    """Run a peer on both hosts; what each wrote."""
    ends = [f"[{host.ipv6}]" if v6 else host.ipv4 for host in (net.a, net.b)]
    lines: dict[str, list[dict[str, float]]] = {}

    async def one(host: lab.Host, remote: str, local: str, args: list[str]) -> None:
        done = await host.run(
            [*PEER, f"{remote}:40000", f"{local}:40000", *args], check=False, stderr=None
        )
        assert done.returncode == 0
        lines[host.name] = [json.loads(line) for line in done.stdout.splitlines()]

    async with anyio.create_task_group() as group:
        group.start_soon(one, net.a, ends[1], ends[0], a_args)
        group.start_soon(one, net.b, ends[0], ends[1], b_args)
    return lines["a"], lines["b"]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("skew", [0.0, 0.05, 0.4])
async def test_two_hosts_meet(net: lab.TwoHosts, loop: str, skew: float) -> None:
    """Started together, 50 ms and 400 ms apart, they are connected soon after the later start."""
    at = time.monotonic() + STARTUP
    a, b = await meet(
        net, ["--loop", loop, "--at", str(at)], ["--loop", loop, "--at", str(at + skew)]
    )
    later = max(a[0]["began"], b[0]["began"])
    took = max(a[0]["connected"], b[0]["connected"]) - later
    assert RTT * 0.95 <= took < RTT + 2.0  # generous: the machine may be busy
    steps = ladder.steps(await net.records())
    assert {step.sender for step in steps if step.flags == "SYN"} == {"a", "b"}


@pytest.mark.parametrize("skew", [0.0, 0.05])
async def test_two_distant_hosts_meet(skew: float) -> None:
    """Over 400 ms nobody replaces a SYN that is still on its way: both would stay half-open."""
    at = time.monotonic() + STARTUP
    async with lab.two_hosts(0.2) as net:
        a, b = await meet(net, ["--at", str(at)], ["--at", str(at + skew)])
    assert max(a[0]["elapsed"], b[0]["elapsed"]) < 0.4 + skew + 1.0
    assert a[0]["refreshes"] == b[0]["refreshes"] == 0


async def test_two_hosts_meet_over_ipv6(net: lab.TwoHosts) -> None:
    """The same over IPv6."""
    a, b = await meet(net, [], [], v6=True)
    assert a[0]["attempts"] >= 1
    assert b[0]["attempts"] >= 1


async def test_nobody_listens(net: lab.TwoHosts) -> None:
    """While they are connected, ``ss -ltn`` shows nothing in either host."""
    async with (
        await net.a.popen(
            [*SIMOPEN, "connect", f"{net.b.ipv4}:40000", "--local", "0.0.0.0:40000"]
        ) as a,
        await net.b.popen(
            [*SIMOPEN, "connect", f"{net.a.ipv4}:40000", "--local", "0.0.0.0:40000"]
        ) as b,
    ):
        assert a.stdin
        assert b.stdout
        await a.stdin.send(b"x")
        assert await b.stdout.receive() == b"x"
        for host in (net.a, net.b):
            shown = await host.run(["ss", "-H", "-l", "-t", "-n"])
            assert shown.stdout == b""
            established = await host.run(["ss", "-H", "-t", "-n", "state", "established"])
            assert established.stdout.count(b":40000") == 2
        # Each would wait for the other's end of input, and we for both.
        a.kill()
        b.kill()


@pytest.mark.parametrize("closer", ["a", "b"])
async def test_the_same_pair_fifty_times(closer: str) -> None:
    """The fixed pair reconnects at once, again and again, through TIME_WAIT of either side."""
    first, last = ["--count", "50", "--close", "first"], ["--count", "50", "--close", "last"]
    async with lab.two_hosts(0.005) as net:
        a, b = await meet(net, *((first, last) if closer == "a" else (last, first)))
    assert len(a) == len(b) == 50


async def run_alone(host: lab.Host, remote: str, *more: str) -> tuple[int, list[dict[str, Any]]]:
    """``simopen connect`` on one host; exit code and what it said."""
    command = [*SIMOPEN, "connect", remote, "--local", "0.0.0.0:40000", "--json", *more]
    done = await host.run(command, check=False)
    return done.returncode, [json.loads(line) for line in done.stderr.splitlines()]


async def test_a_peer_that_never_comes(net: lab.TwoHosts) -> None:
    """An open host refuses each SYN; at the end of the time the error says what that means."""
    code, events = await run_alone(net.a, f"{net.b.ipv4}:40000", "--timeout", "1")
    assert code == 1
    assert events[-1]["diagnosis"]["cause"] == "peer not connecting"
    assert events[-1]["report"]["refused_by"]["reset"] >= 5
    left = await net.a.run(["ss", "-H", "-t", "-a", "-n"])
    assert left.stdout == b""


async def test_nothing_answers(net: lab.TwoHosts) -> None:
    """An address that nobody has gives silence, refreshed and named as such."""
    code, events = await run_alone(net.a, "203.0.113.99:40000", "--timeout", "2.5")
    assert code == 1
    assert events[-1]["diagnosis"]["cause"] == "silence"
    assert 2 <= events[-1]["report"]["refreshes"] <= 4


async def test_an_unreachable_network(net: lab.TwoHosts) -> None:
    """Without a route nothing is sent, and the call ends long before its timeout."""
    await net.a.run(["ip", "route", "add", "unreachable", "198.51.100.0/24"])
    began = time.monotonic()
    code, events = await run_alone(net.a, "198.51.100.7:40000", "--timeout", "60")
    assert code == 1
    assert events[-1]["diagnosis"]["cause"] == "no route"
    assert events[-1]["report"]["attempts"] == 0
    assert time.monotonic() - began < 30


async def test_a_port_in_use(net: lab.TwoHosts) -> None:
    """A listener on the port is named with its state."""
    server = (
        "import socket,time; s=socket.create_server(('',40000)); print(flush=True); time.sleep(60)"
    )
    async with await net.a.popen([sys.executable, "-c", server]) as process:
        assert process.stdout
        await process.stdout.receive()
        code, events = await run_alone(net.a, f"{net.b.ipv4}:40000", "--timeout", "5")
        process.kill()
    assert code == 1
    assert events[-1]["event"] == "bind.failed"
    assert events[-1]["state"] == "LISTEN"
    assert events[-1]["errno"] == errno.EADDRINUSE


@pytest.mark.parametrize("mtu", [1500, 9000])
async def test_a_hundred_megabytes_both_ways(tmp_path: Path, mtu: int) -> None:
    """100 MB cross in both directions at once and arrive as they were.

    With large frames too, where a kernel that has crossed SYNs believes in too large a window.
    """
    size = 100_000_000
    digests = {}
    for name in "ab":
        data = os.urandom(1_000_000) * (size // 1_000_000)
        (tmp_path / f"from-{name}").write_bytes(data)
        digests[name] = hashlib.sha256(data).hexdigest()

    async def one(host: lab.Host, remote: str) -> None:
        command = [*SIMOPEN, "connect", f"{remote}:40000", "--local", "0.0.0.0:40000"]
        source, sink = tmp_path / f"from-{host.name}", tmp_path / f"at-{host.name}"
        with source.open("rb") as stdin, sink.open("wb") as stdout:
            await host.run(command, stdin=stdin, stdout=stdout, stderr=None)

    async with lab.two_hosts(0.005, mtu=mtu) as net, anyio.create_task_group() as group:
        group.start_soon(one, net.a, net.b.ipv4)
        group.start_soon(one, net.b, net.a.ipv4)
        group.cancel_scope.deadline = anyio.current_time() + 110
    for sender, receiver in ("ab", "ba"):
        got = hashlib.sha256((tmp_path / f"at-{receiver}").read_bytes()).hexdigest()
        assert got == digests[sender]


async def test_tar_through_the_pipe(net: lab.TwoHosts, tmp_path: Path) -> None:
    """``tar c | simopen connect`` on one host and ``simopen connect | tar x`` on the other."""
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "photos" / "deep").mkdir(parents=True)
    target.mkdir()
    (source / "photos" / "deep" / "one").write_bytes(os.urandom(300_000))
    (source / "photos" / "empty").touch()

    async def shell(host: lab.Host, remote: str, line: str) -> None:
        connect = f"{' '.join(SIMOPEN)} connect {remote}:40000 --local 0.0.0.0:40000"
        script = "set -o pipefail; " + line.format(connect=connect)
        await host.run(["bash", "-c", script], stderr=None)

    async with anyio.create_task_group() as group:
        group.start_soon(shell, net.a, net.b.ipv4, f"tar c -C {source} photos | {{connect}}")
        group.start_soon(shell, net.b, net.a.ipv4, f"{{connect}} </dev/null | tar x -C {target}")
    sent = (source / "photos" / "deep" / "one").read_bytes()
    assert (target / "photos" / "deep" / "one").read_bytes() == sent
    assert (target / "photos" / "empty").exists()

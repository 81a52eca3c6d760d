"""Handshakes as the kernel makes them, between namespaces, and what the trace says of each."""

from __future__ import annotations

import ast
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

import simopen
from simopen import HandshakeKind, HandshakeTrace, lab
from simopen.capture import pcapng

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]

EXAMPLE = Path(__file__).parents[2] / "examples" / "traced.py"
DELAY = 0.020  # seconds one way
STARTUP = 1.5  # seconds until two interpreters are surely up and waiting for their moment
LOST = 0.3  # seconds in which a SYN is surely there and dropped, and not yet sent again
TRACE = [sys.executable, "-m", "simopen", "trace"]
NO_CAPABILITIES = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"]
WITHOUT_RAW = [NO_CAPABILITIES[0], "--bounding-set=-net_raw", "--inh-caps=-net_raw", "--"]
LISTEN = (
    "import socket, time; s = socket.create_server(('', 8000)); print(flush=True); time.sleep(60)"
)
DROP = "table inet test {{ chain in {{ type filter hook input priority 0; {} drop; }}; }}"
STRANGE_SYNS = DROP.format("tcp flags & (syn | ack) == syn")
SYNS_TO_8000 = DROP.format("tcp dport 8000")


@dataclass(frozen=True, slots=True)
class Told:
    """What a trace said, over the border of two processes."""

    kind: HandshakeKind
    steps: tuple[simopen.TraceStep, ...]
    words: str
    ladder: str
    file: bytes
    round_trip: float | None
    other: tuple[int, int]

    @property
    def flags(self) -> list[str]:
        """Each packet's, ours with an arrow in front; the peer may have closed already."""
        steps = [step for step in self.steps if step.flags != "FIN-ACK"]
        return [f"{'>' * step.outgoing}{step.flags}" for step in steps]


async def peer(remote: str, local: str, at: float, more: dict[str, Any]) -> Told:
    """Connect at a moment and close; what the trace says, also of a failure."""
    await anyio.sleep(max(0.0, at - time.monotonic()))
    trace = HandshakeTrace()
    try:
        async with await simopen.connect_peer(
            remote, local=local, timeout=10, trace=trace, **more
        ) as stream:
            assert stream.trace is trace
            await stream.send_eof()
            async for _ in stream:
                pass
    except simopen.PeerConnectError:
        pass
    return told(trace)


async def member(url: str, invite: str) -> Told:
    """Meet at a coordinator; what the trace says."""
    async with await simopen.connect_peer(
        rendezvous=url, secret=invite, timeout=20, trace=True
    ) as stream:
        await stream.send_eof()
        async for _ in stream:
            pass
        assert stream.trace is not None
        assert stream.trace.remote == stream.report.remote
        return told(stream.trace)


def told(trace: HandshakeTrace) -> Told:
    """As values."""
    return Told(
        trace.kind,
        trace.steps,
        " ".join(str(trace).split()),
        trace.ladder(),
        trace.pcapng(),
        trace.round_trip,
        (trace.other_pairs, trace.other_attempts),
    )


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The driver runs on one loop."""
    return request.param


@pytest.fixture
async def net() -> AsyncIterator[lab.TwoHosts]:
    """Two hosts 20 ms apart."""
    async with lab.two_hosts(DELAY) as network:
        yield network


async def meet(
    net: lab.TwoHosts, *, skew: float, ports: str = "40000", v6: bool = False
) -> tuple[Told, Told]:
    """Both sides connect, b so many seconds after a; what each was told."""
    at = time.monotonic() + STARTUP
    ends = [f"[{host.ipv6}]" if v6 else host.ipv4 for host in (net.a, net.b)]
    found: dict[str, Told] = {}

    async def one(host: lab.Host, remote: str, local: str, at: float) -> None:
        more: dict[str, Any] = {}
        found[host.name] = await host.call(peer, f"{remote}:{ports}", f"{local}:{ports}", at, more)

    async with anyio.create_task_group() as group:
        group.start_soon(one, net.a, ends[1], ends[0], at)
        group.start_soon(one, net.b, ends[0], ends[1], at + skew)
    return found["a"], found["b"]


@pytest.mark.parametrize("v6", [False, True], ids=["IPv4", "IPv6"])
async def test_a_crossing(net: lab.TwoHosts, v6: bool) -> None:  # noqa: FBT001 - a test's parameter
    """Both sides see a SYN and a SYN-ACK come, and go through SYN_RECEIVED."""
    for each in await meet(net, skew=0.005, v6=v6):
        assert each.kind is HandshakeKind.CROSSING
        last = [step for step in each.steps if step.attempt == each.steps[-1].attempt]
        assert [step.flags for step in last][:5].count("SYN") == 2
        states = [step.state for step in last]
        assert states[0] == "SYN_SENT"
        assert "SYN_RECEIVED" in states
        assert states[-1] in ("ESTABLISHED", "CLOSE_WAIT")
        assert each.round_trip == pytest.approx(2 * DELAY, rel=0.5)
        assert each.words.startswith("True crossing")
        assert "two SYNs cross: simultaneous open" in each.ladder


async def test_one_sided(net: lab.TwoHosts) -> None:
    """A firewall drops one side's SYNs: the other's SYN meets it waiting, and each side says so."""
    await net.b.run(["nft", "-f", "-"], input=STRANGE_SYNS.encode())
    a, b = await meet(net, skew=0.3)
    assert (a.kind, b.kind) == (HandshakeKind.ONE_SIDED, HandshakeKind.ONE_SIDED)
    assert a.words.startswith("One-sided: their SYN met our waiting SYN_SENT")
    assert b.words.startswith("One-sided: our SYN met their waiting SYN_SENT")
    assert a.flags[-3:] == ["SYN", ">SYN-ACK", "ACK"]
    assert b.flags[-2:] == ["SYN-ACK", ">ACK"]
    # A SYN of a's may be seen in front of the firewall, and never comes to b's socket.
    assert "SYN_RECEIVED" not in {step.state for step in b.steps}
    assert "no answer came to it" in a.ladder


@pytest.fixture
async def listener(net: lab.TwoHosts) -> AsyncIterator[lab.Host]:
    """A host where somebody listens on 8000."""
    async with await net.b.popen([sys.executable, "-c", LISTEN]) as process:
        assert process.stdout
        await process.stdout.receive()
        yield net.b
        process.kill()


async def run(host: lab.Host, command: Sequence[str]) -> tuple[int, str]:
    """A command's exit code and standard output."""
    done = await host.run(list(command), check=False, stderr=None)
    return done.returncode, done.stdout.decode()


async def test_a_listener(net: lab.TwoHosts, listener: lab.Host) -> None:
    """The command without --local: three packets."""
    code, output = await run(net.a, [*TRACE, f"{listener.ipv4}:8000"])
    assert code == 0
    assert "Three-way handshake: a listener answered our SYN" in output
    assert [line.split()[1] for line in output.splitlines()[1:7] if "~" not in line] == [
        "SYN_SENT",
        "ESTABLISHED",
        "ESTABLISHED",
    ]


async def test_lost_syns_and_what_they_cost(net: lab.TwoHosts, listener: lab.Host) -> None:
    """A SYN is dropped; the kernel sends it again after a second, and the words say so."""
    await listener.run(["nft", "-f", "-"], input=SYNS_TO_8000.encode())
    outputs: list[tuple[int, str]] = []

    async def trace() -> None:
        outputs.append(await run(net.a, [*TRACE, f"{listener.ipv4}:8000", "--timeout", "30"]))

    async with anyio.create_task_group() as group:
        group.start_soon(trace)
        await syn_sent(net.a)
        await anyio.sleep(LOST)
        await listener.run(["nft", "delete", "table", "inet", "test"])
    ((code, output),) = outputs
    assert code == 0
    assert "had to be sent again, which cost 1." in " ".join(output.split())
    assert "✗ no answer came to it" in output


async def syn_sent(host: lab.Host) -> None:
    """Wait until somebody there has sent a SYN."""
    for _ in range(500):
        if (await host.run(["ss", "-Htn", "state", "syn-sent"])).stdout:
            return
        await anyio.sleep(0.02)
    pytest.fail("no SYN was sent")


async def test_nobody_listens(net: lab.TwoHosts) -> None:
    """A bound or free port answers with a reset; the command fails, and shows that."""
    code, output = await run(net.a, [*TRACE, f"{net.b.ipv4}:8001"])
    assert code == 1
    assert "RST-ACK seq 0 ack 1" in output
    assert "No connection: 1 SYN left; 1 reset came." in output


async def test_an_unreachable_host(net: lab.TwoHosts) -> None:
    """An ICMP error is a packet of the handshake as well."""
    reject = DROP.format("tcp dport 8000").replace("drop", "reject with icmpx host-unreachable")
    await net.b.run(["nft", "-f", "-"], input=reject.encode())
    code, output = await run(net.a, [*TRACE, f"{net.b.ipv4}:8000"])
    assert code == 1
    assert "No connection: 1 SYN left; 1 ICMP unreachable came." in output


async def test_a_link_local_address(net: lab.TwoHosts) -> None:
    """It is connected from and traced like any, though it needs its zone and packets have none."""
    await net.a.run(["ip", "address", "add", "fe80::a/64", "dev", "eth0", "nodad"])
    end = "[fe80::a%eth0]:40000"
    code, output = await run(net.a, [*TRACE, end])
    assert code == 1
    assert "No connection: 1 SYN left; 1 reset came." in output
    code, output = await run(net.a, [*TRACE, end, "--local", end])
    assert code == 0
    assert "Self-connection" in output


async def test_peers_at_link_local_addresses(net: lab.TwoHosts) -> None:
    """They connect, and packets show it."""
    await net.a.run(["ip", "address", "add", "fe80::a/64", "dev", "eth0", "nodad"])
    ends = [f"[fe80::a%eth0]:{port}" for port in (40001, 40002)]
    at, found = time.monotonic() + STARTUP, []

    async def one(number: int) -> None:
        found.append(await net.a.call(peer, ends[number], ends[1 - number], at, {}))

    async with anyio.create_task_group() as group:
        group.start_soon(one, 0)
        group.start_soon(one, 1)
    assert all(each.kind is not HandshakeKind.NONE and each.file for each in found)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_oneself(net: lab.TwoHosts, host: str) -> None:
    """The same endpoint twice: one socket's own SYN comes back and crosses itself."""
    end = f"{host}:40000"
    code, output = await run(net.a, [*TRACE, end, "--local", end])
    assert code == 0
    assert "Self-connection: our own SYN came back" in output
    assert output.count("SYN_RECEIVED") == 2


@pytest.mark.parametrize("privileges", [WITHOUT_RAW, NO_CAPABILITIES], ids=["no-raw", "none"])
async def test_without_the_right_to_see_packets(
    net: lab.TwoHosts, listener: lab.Host, privileges: list[str]
) -> None:
    """It is told by the socket's states, says so, and says what is missing."""
    code, output = await run(net.a, [*privileges, *TRACE, f"{listener.ipv4}:8000"])
    assert code == 0
    words = " ".join(output.split())
    assert "Without packets (that takes CAP_NET_RAW, which this process lacks)" in words
    assert "ESTABLISHED" in words
    assert "No SYN had to be sent again." in words
    assert "seq" not in words


async def test_a_race_tells_the_winner(net: lab.TwoHosts) -> None:
    """Of three pairs of ports one is told, with its packets only; the others are counted."""
    for each in await meet(net, skew=0.0, ports="40000-40002"):
        assert each.kind in (HandshakeKind.CROSSING, HandshakeKind.ONE_SIDED)
        pairs, attempts = each.other
        assert pairs == 2
        assert attempts >= 0
        assert "2 other pairs of endpoints were tried as well" in each.words
        records = pcapng.read(each.file)
        ports = {record.data[20:24] for record in records}
        assert len({frozenset((data[:2], data[2:])) for data in ports}) == 1


async def test_through_a_coordinator(net: lab.TwoHosts) -> None:
    """The trace is that of the connection that was proven, without a byte of the proof."""
    invite = simopen.Invite.new("tea").reveal()
    command = [sys.executable, "-m", "simopen", "coordinator", "--listen", f"{net.b.ipv4}:7337"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    async with await net.b.popen(command, env=environment) as coordinator:
        url = f"tcp://{net.b.ipv4}:7337"
        found: list[Told] = []

        async def one(host: lab.Host) -> None:
            found.append(await host.call(member, url, invite))

        async with anyio.create_task_group() as group:
            group.start_soon(one, net.a)
            group.start_soon(one, net.b)
        coordinator.kill()
    for each in found:
        assert each.kind in (HandshakeKind.CROSSING, HandshakeKind.ONE_SIDED)
        assert not any(step.payload_bytes for step in each.steps)
        assert max(len(record.data) for record in pcapng.read(each.file)) <= 100


async def test_the_example(net: lab.TwoHosts) -> None:
    """Both sides print what its header says a reader should see, but for the figures."""
    header = " ".join(str(ast.get_docstring(ast.parse(EXAMPLE.read_text()))).split())
    found: list[str] = []

    async def one(host: lab.Host, peer: lab.Host) -> None:
        ends = f"{peer.ipv4}:40000", "0.0.0.0:40000"
        code, output = await run(host, [sys.executable, str(EXAMPLE), *ends])
        assert code == 0
        found.append(output)

    async with anyio.create_task_group() as group:
        group.start_soon(one, net.a, net.b)
        group.start_soon(one, net.b, net.a)
    for output in found:
        assert output.split()[:4] == ["ms", "our", "state", "here"]
        words = " ".join(output.partition("\n\n")[2].split())
        assert words.partition("Connected")[0] in header
        assert "No SYN had to be sent again." in words

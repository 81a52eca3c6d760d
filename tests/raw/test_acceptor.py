"""Ports on which nothing listens, and the stock clients that connect to them, in the lab."""

from __future__ import annotations

import os
import resource
import socket
import struct
import sys
from pathlib import Path
from statistics import median
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute

from benchmarks.common import LOOPS
from simopen import LocalBindError, UsageError, lab, raw
from simopen.capture import ladder
from tests.helpers import no_socket_left
from tests.net.conformance import expect
from tests.raw import hosts
from tests.raw.hosts import PORT, serving, tables, until_ready

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]


ANY = f"0.0.0.0:{PORT}"
ANY_V6 = f"[::]:{PORT}"


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The driver runs on one loop; the servers run on all."""
    return request.param


# -- stock clients ---------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
async def test_stock_clients_are_served(loop: str) -> None:
    """Curl gets its page over IPv4 and IPv6 from a host that shows no listening socket."""
    async with (
        lab.two_hosts(0.002) as net,
        serving(net.b, ANY, ANY_V6, handler="page", loop=loop),
    ):
        for host in (net.b.ipv4, f"[{net.b.ipv6}]"):
            done = await net.a.run(["curl", "-sS", "--max-time", "20", f"http://{host}:{PORT}/"])
            assert done.stdout == b"hello\n"
        assert not net.b.listeners()
        shown = await net.b.run(["ss", "-H", "-l", "-t", "-n"])
        assert shown.stdout == b""


async def test_a_shell_is_served() -> None:
    """So is bash, whose redirections can connect, and a client that says nothing first."""
    async with (
        lab.two_hosts(0.002) as net,
        serving(net.b, ANY),
        serving(net.b, f"0.0.0.0:{PORT + 1}", handler="greet"),
    ):
        script = f"exec 3<>/dev/tcp/{net.b.ipv4}/{PORT}; echo said >&3; head -1 <&3"
        done = await net.a.run(["timeout", "20", "bash", "-c", script])
        assert done.stdout == b"said\n"
        script = f"head -1 < /dev/tcp/{net.b.ipv4}/{PORT + 1}"
        done = await net.a.run(["timeout", "20", "bash", "-c", script])
        assert done.stdout == b"welcome\n"


async def test_five_hundred_in_a_row() -> None:
    """Five hundred connections one after the other are all served."""
    async with lab.two_hosts() as net, serving(net.b, ANY, ANY_V6, loop="uvloop"):
        times = await net.a.call(hosts.ask, net.b.ipv4, 400)
        times += await net.a.call(hosts.ask, net.b.ipv6, 100)
    assert len(times) == 500


async def test_what_is_sent_at_once_is_not_late() -> None:
    """What comes before the kernel has the connection is not waited for until it comes again."""
    async with lab.two_hosts() as net, serving(net.b, ANY):
        times = await net.a.call(hosts.ask, net.b.ipv4, 30)
    assert median(times) < 0.15  # seconds; a client sends again after 0.2 at the earliest


async def test_a_hundred_megabytes_each_way() -> None:
    """They arrive as they were sent, though one packet in a hundred is lost."""
    bad = lab.Link(latency=0.002, loss=0.01)
    sites = [lab.Site(f"site-{name}", hosts=[name], link=bad) for name in ("a", "b")]
    async with (
        lab.network(sites, seed=8) as net,
        serving(net["b"], ANY, ANY_V6, handler="digest", loop="uvloop"),
    ):
        await net["a"].call(hosts.exchange, net["b"].ipv4, 100)
        await net["a"].call(hosts.exchange, net["b"].ipv6, 5)


async def test_loss() -> None:
    """With one packet in ten lost, doubled or overtaken, all are served and hear everything."""
    bad = lab.Link(latency=0.005, loss=0.1, duplication=0.1, reordering=0.1, reordering_delay=0.01)
    sites = [lab.Site(f"site-{name}", hosts=[name], link=bad) for name in ("a", "b")]
    async with lab.network(sites, seed=8) as net, serving(net["b"], ANY):
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                for _ in range(4):
                    group.start_soon(net["a"].call, hosts.ask, net["b"].ipv4, 3)


# -- on the wire -----------------------------------------------------------------------------------


async def test_the_handshake_on_the_wire(tmp_path: Path) -> None:
    """A SYN, a SYN-ACK, an ACK, as in any handshake, and no reset."""
    async with lab.two_hosts(0.005, capture=tmp_path / "wire.pcapng") as net:
        async with serving(net.b, ANY):
            await net.a.call(hosts.ask, net.b.ipv4, 1)
        steps = ladder.steps(await net.records())
    assert [(step.sender, step.flags) for step in steps[:3]] == [
        ("a", "SYN"),
        ("b", "SYN-ACK"),
        ("a", "ACK"),
    ]
    assert not [step for step in steps if "RST" in step.flags]


SETTINGS: list[dict[str, int]] = [
    {},
    {"tcp_timestamps": 0},
    {"tcp_sack": 0},
    {"tcp_window_scaling": 0},
    {"tcp_timestamps": 0, "tcp_sack": 0, "tcp_window_scaling": 0},
]


async def take_each(host: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """For each setting what an ordinary listener's socket has agreed on, and what one of ours."""
    found = []
    for _ in SETTINGS:
        with socket.create_server((host, PORT)) as listener:
            await anyio.wait_readable(listener)
            sock, _ = listener.accept()
            with sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.recv(1)
                listened = hosts.tcp_info(sock)
        async with raw.accept((host, PORT + 1)) as acceptor, await acceptor.accept() as stream:
            await stream.receive(1)
            accepted = hosts.tcp_info(stream.extra(SocketAttribute.raw_socket))
        found.append((listened, accepted))
    return found


async def connect_to_each(host: str) -> None:
    """Connect to one after the other with each setting, however long it takes to be heard."""
    for setting in SETTINGS:
        for name in ("tcp_timestamps", "tcp_sack", "tcp_window_scaling"):
            await anyio.Path(f"/proc/sys/net/ipv4/{name}").write_text(str(setting.get(name, 1)))
        for port in (PORT, PORT + 1):
            with socket.socket() as sock:
                while sock.connect_ex((host, port)):  # noqa: ASYNC110 - another host's
                    await anyio.sleep(0.02)
                sock.sendall(b"x")
                sock.recv(1)


async def test_options_are_what_a_kernel_agrees_on() -> None:
    """Scales, SACK, timestamps and segment sizes are those that a listener's socket has."""
    async with lab.two_hosts(0.001) as net, anyio.create_task_group() as group:
        group.start_soon(net.a.call, connect_to_each, net.b.ipv4)
        with anyio.fail_after(hosts.PATIENCE):
            found = await net.b.call(take_each, net.b.ipv4)
        group.cancel_scope.cancel()
    assert len(found) == len(SETTINGS)
    for listened, accepted in found:
        assert accepted == listened
        assert accepted["state"] == 1  # ESTABLISHED
    assert len({listened["options"] for listened, _ in found}) == len(SETTINGS)


STRAYS = {0x10: 0x04, 0x12: 0x04, 0x04: None, 0x06: None}  # flags and those of the answer


def send_strays(host: str, local: str) -> dict[int, int | None]:
    """Send lone segments, and say with what flags they were answered within a second."""
    from simopen.raw._segments import Segment, build  # noqa: PLC0415 - in the host only

    found: dict[int, int | None] = {}
    ends = [socket.inet_aton(each) for each in (local, host)]
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as sock:
        sock.settimeout(0.5)
        for flags in STRAYS:
            stray = Segment(
                source=4444 + flags, destination=PORT, seq=77, ack=99, flags=flags, window=1000
            )
            sock.sendto(build(stray, *ends), (host, 0))
            found[flags] = None
            try:
                while struct.unpack_from("!HH", data := sock.recv(1000), 20) != (
                    PORT,
                    4444 + flags,
                ):
                    pass
                found[flags] = data[33]
            except TimeoutError:
                pass
    return found


async def test_stray_segments_are_answered_as_ever() -> None:
    """What belongs to no connection is answered as RFC 9293 §3.10.7 says (by the kernel)."""
    async with lab.two_hosts(0.001) as net, serving(net.b, ANY):
        assert await net.a.call(send_strays, net.b.ipv4, net.a.ipv4) == STRAYS


# -- what is left behind ---------------------------------------------------------------------------


async def leave(endpoint: str) -> None:
    """Accept for a moment, and leave one way or another."""
    with no_socket_left():
        async with raw.accept(endpoint):
            pass
        with pytest.raises(KeyError):
            async with raw.accept(endpoint):
                raise KeyError
        with anyio.move_on_after(0.3):
            async with raw.accept(endpoint) as listener:
                await listener.accept()


@pytest.mark.parametrize("loop", LOOPS)
async def test_nothing_is_left(loop: str) -> None:
    """However the block is left, no table and no socket stays."""
    async with lab.two_hosts() as net:
        await net.a.call(leave, ANY, **LOOPS[loop])
        assert await tables(net.a) == []


async def test_a_crash_is_cleaned_up_by_the_next_start() -> None:
    """A killed process leaves its table; the next one removes it, and no table of the living."""
    async with lab.two_hosts() as net, serving(net.a, ANY):
        living = await tables(net.a)
        async with await net.a.popen([sys.executable, "-c", CRASHING]) as crashing:
            await until_ready(net.a, living)
            crashing.kill()
        left = await tables(net.a)
        assert len(left) == 2
        async with serving(net.a, f"0.0.0.0:{PORT + 2}"):
            now = await tables(net.a)
        assert len(now) == 2
        assert set(left) & set(now) == set(living)


CRASHING = f"""
import anyio
from tests.raw.hosts import serve
anyio.run(serve, "0.0.0.0:{PORT + 1}", "echo")
"""


async def close_under_it(endpoint: str) -> None:
    """Close while somebody accepts."""
    async with raw.accept(endpoint) as listener, anyio.create_task_group() as group:
        group.start_soon(expect(listener.accept, anyio.ClosedResourceError))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError):
            await listener.accept()
        await listener.aclose()
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.ClosedResourceError):
            await listener.accept()
        await listener.aclose()


@pytest.mark.parametrize("loop", LOOPS)
async def test_closing_wakes_who_accepts(loop: str) -> None:
    """One task accepts at a time, and is told when the listener closes."""
    async with lab.two_hosts() as net:
        await net.a.call(close_under_it, ANY, **LOOPS[loop])


async def run_out(endpoint: str) -> bytes:
    """Accept without a descriptor to spare, and then with some."""
    async with raw.accept(endpoint) as listener:
        most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = max(int(each) for each in os.listdir("/proc/self/fd"))  # noqa: PTH208
        spare = [socket.socket() for _ in range(used)]  # no number below the limit is free
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(each.fileno() for each in spare) + 1, hard))
        async with anyio.create_task_group() as group:
            group.start_soon(listener.accept)
            with anyio.fail_after(hosts.PATIENCE):
                while not listener.lost:  # noqa: ASYNC110 - counted by another host's doing
                    await anyio.sleep(0.02)
            group.cancel_scope.cancel()
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        for each in spare:
            each.close()
        async with await listener.accept() as stream:
            return await stream.receive()


async def leave_without_descriptors(endpoint: str) -> None:
    """Leave the block with every number below the limit taken."""
    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with raw.accept(endpoint):
        used = max(int(each) for each in os.listdir("/proc/self/fd"))  # noqa: PTH208
        spare = [socket.socket() for _ in range(used)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(each.fileno() for each in spare) + 1, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    for each in spare:
        each.close()


async def test_without_descriptors_the_table_goes_too() -> None:
    """What it takes to remove it is kept from the beginning."""
    async with lab.two_hosts() as net:
        await net.a.call(leave_without_descriptors, ANY)
        assert await tables(net.a) == []


def try_twice(host: str) -> str:
    """Connect to who has run out, until that is over; how the first one ended."""
    ends: list[str] = []
    while not ends or ends[-1] == "reset":
        try:
            with socket.create_connection((host, PORT), timeout=hosts.PATIENCE) as sock:
                sock.sendall(b"at last")
                ends.append(repr(sock.recv(1)))
        except ConnectionResetError:
            ends.append("reset")
    return ends[0]


async def test_without_descriptors_a_client_is_reset() -> None:
    """Who cannot be taken is told so at once, and the listener goes on."""
    got: list[bytes] = []
    async with lab.two_hosts() as net, anyio.create_task_group() as group:

        async def accept() -> None:
            got.append(await net.b.call(run_out, ANY))

        group.start_soon(accept)
        await until_ready(net.b, [])
        assert await net.a.call(try_twice, net.b.ipv4) == "reset"
    assert got == [b"at last"]


STATEFUL = f"""
table inet host {{
  chain input {{
    type filter hook input priority filter; policy drop
    ct state invalid drop
    ct state established,related accept
    tcp dport {PORT} ct state new accept
    meta l4proto ipv6-icmp accept
  }}
  chain output {{
    type filter hook output priority filter; policy drop
    ct state invalid drop
    ct state established,related accept
  }}
}}
"""


async def test_behind_a_stateful_firewall() -> None:
    """A host that lets in what is new on the port and what belongs to it serves as quickly."""
    async with lab.two_hosts() as net:
        await net.b.run(["nft", "-f", "-"], input=STATEFUL.encode())
        async with serving(net.b, ANY):
            times = await net.a.call(hosts.ask, net.b.ipv4, 30)
    assert median(times) < 0.15


async def taken(host: str) -> None:
    """See that a port is had once only."""
    with socket.create_server((host, PORT)), pytest.raises(LocalBindError, match="LISTEN"):
        async with raw.accept((host, PORT)):
            pass
    async with raw.accept((host, PORT)) as listener:
        assert listener.local == (host, PORT)
        with pytest.raises(OSError, match="in use"):
            socket.create_server((host, PORT))
        with socket.socket() as client:
            client.setblocking(False)
            client.connect_ex((host, PORT))
            async with await listener.accept():  # an open connection makes no difference
                for second in ("0.0.0.0", host):
                    with pytest.raises(LocalBindError, match="held"):
                        async with raw.accept((second, PORT)):
                            pass
    async with raw.accept((host, 0)) as listener:
        assert listener.extra(SocketAttribute.local_port) == listener.local.port > 0


async def test_a_port_is_had_once() -> None:
    """Where somebody listens nothing is accepted, and where we accept nobody can listen."""
    async with lab.two_hosts() as net:
        await net.a.call(taken, net.a.ipv4)


# -- floods ----------------------------------------------------------------------------------------


async def flooded(endpoint: str) -> tuple[int, int]:
    """Accept one connection; how many handshakes went on, and how many had been dropped."""
    async with raw.accept(endpoint, backlog=20) as listener:
        stream = await listener.accept()
        async with stream:
            await stream.send(await stream.receive())
            async for _ in stream:
                pass
        return listener.half_open, listener.dropped


def flood(host: str, count: int) -> None:
    """Send SYNs from addresses that do not exist."""
    from simopen.raw._segments import Options, Segment, build  # noqa: PLC0415 - in the host only

    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        target = socket.inet_aton(host)
        for number in range(count):
            source = bytes((192, 0, 2, number % 250 + 1))
            segment = Segment(
                source=1024 + number, destination=PORT, seq=1, flags=2, options=Options(mss=1460)
            )
            data = build(segment, source, target)
            head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), 0, 0, 64, 6, 0)
            sock.sendto(head + source + target + data, (host, 0))


async def test_a_flood_of_syns() -> None:
    """The table stays as small as it was asked to be, and a true client is served after it."""
    sites = [lab.Site(f"site-{name}", hosts=[name]) for name in ("a", "evil")]
    result: list[tuple[int, int]] = []
    async with (
        lab.network([*sites, lab.Site("internet", hosts=["server"])]) as net,
        anyio.create_task_group() as group,
    ):

        async def serve() -> None:
            result.append(await net["server"].call(flooded, ANY))

        group.start_soon(serve)
        await until_ready(net["server"], [])
        await net["evil"].call(flood, net["server"].ipv4, 400)
        (took,) = await net["a"].call(hosts.ask, net["server"].ipv4, 1)
    assert took < 0.9  # seconds; no SYN-ACK of its was sent again
    ((half_open, dropped),) = result
    assert half_open <= 20
    assert dropped > 0


async def test_arguments_are_checked() -> None:
    """Nonsense is refused before anything is opened."""
    with pytest.raises(UsageError, match="backlog"):
        async with raw.accept(ANY, backlog=0):
            pass
    with pytest.raises(UsageError, match="multicast"):
        async with raw.accept("224.0.0.1:7777"):
            pass

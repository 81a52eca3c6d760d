"""Ports on which nothing listens, and the stock clients that connect to them, in the lab."""

from __future__ import annotations

import socket
import struct
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from simopen import LocalBindError, UsageError, lab, raw
from simopen.lab.capture import ladder
from tests.helpers import no_socket_left
from tests.raw import hosts
from tests.raw.hosts import PORT, serving, until_tables

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]

LOOPS = ["asyncio", "uvloop", "trio"]
ANY = f"0.0.0.0:{PORT}"
ANY_V6 = f"[::]:{PORT}"


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The driver runs on one loop; the servers run on all."""
    return request.param


def address(host: lab.Host, *, v6: bool) -> str:
    """One of a host's addresses."""
    return host.ipv6 if v6 else host.ipv4


# -- stock clients ---------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("v6", [False, True], ids=["ipv4", "ipv6"])
async def test_a_stock_client_is_served(loop: str, *, v6: bool) -> None:
    """Curl gets its page from a host that shows no listening socket."""
    async with (
        lab.two_hosts(0.002) as net,
        serving(net.b, ANY_V6 if v6 else ANY, handler="page", loop=loop),
    ):
        host = f"[{net.b.ipv6}]" if v6 else net.b.ipv4
        done = await net.a.run(["curl", "-sS", "--max-time", "20", f"http://{host}:{PORT}/"])
        assert done.stdout == b"hello\n"
        assert not net.b.listeners()
        shown = await net.b.run(["ss", "-H", "-l", "-t", "-n"])
        assert shown.stdout == b""


async def test_a_shell_is_served() -> None:
    """So does bash, whose redirections can connect."""
    async with lab.two_hosts(0.002) as net, serving(net.b, ANY):
        script = f"exec 3<>/dev/tcp/{net.b.ipv4}/{PORT}; echo said >&3; head -1 <&3"
        done = await net.a.run(["timeout", "20", "bash", "-c", script])
        assert done.stdout == b"said\n"


async def test_who_speaks_first_is_heard() -> None:
    """The first bytes may be the server's."""
    async with lab.two_hosts(0.002) as net, serving(net.b, ANY, handler="greet"):
        await net.a.call(hosts.listen, net.b.ipv4, b"welcome\n")


async def test_five_hundred_in_a_row() -> None:
    """Five hundred connections one after the other are all served."""
    async with lab.two_hosts() as net, serving(net.b, ANY, ANY_V6, loop="uvloop"):
        times = await net.a.call(hosts.ask, net.b.ipv4, 400)
        times += await net.a.call(hosts.ask, net.b.ipv6, 100)
    assert len(times) == 500


@pytest.mark.parametrize("v6", [False, True], ids=["ipv4", "ipv6"])
async def test_a_hundred_megabytes_each_way(*, v6: bool) -> None:
    """They arrive as they were sent."""
    size = 100 if not v6 else 10
    async with (
        lab.two_hosts() as net,
        serving(net.b, ANY_V6 if v6 else ANY, handler="digest", loop="uvloop"),
    ):
        await net.a.call(hosts.exchange, address(net.b, v6=v6), size)


async def test_loss() -> None:
    """With one packet in ten lost, doubled or overtaken, all are served and hear everything."""
    bad = lab.Link(latency=0.005, loss=0.1, duplication=0.1, reordering=0.1, reordering_delay=0.01)
    sites = [lab.Site(f"site-{name}", hosts=[name], link=bad) for name in ("a", "b")]
    async with lab.network(sites, seed=8) as net, serving(net["b"], ANY):
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                for _ in range(4):
                    group.start_soon(net["a"].call, hosts.ask, net["b"].ipv4, 5)


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


def listened(host: str) -> dict[str, Any]:
    """The connection of an ordinary listener."""
    with socket.create_server((host, PORT)) as listener:
        sock, _ = listener.accept()
        with sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.recv(1)
            return hosts.tcp_info(sock)


async def accepted(host: str) -> dict[str, Any]:
    """The connection of ours."""
    async with raw.accept((host, PORT)) as listener, await listener.accept() as stream:
        await stream.receive(1)
        return hosts.tcp_info(stream.extra(anyio.abc.SocketAttribute.raw_socket))


def connect_with(host: str, options: dict[str, int]) -> None:
    """Connect from a kernel with other settings, however long it takes to be heard."""
    for name, value in options.items():
        Path(f"/proc/sys/net/ipv4/{name}").write_text(str(value))
    for _ in range(1000):
        with socket.socket() as sock:
            if sock.connect_ex((host, PORT)) == 0:
                sock.sendall(b"x")
                sock.recv(1)
                return
        anyio.run(anyio.sleep, 0.02)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tcp_timestamps": 0},
        {"tcp_sack": 0},
        {"tcp_window_scaling": 0},
        {"tcp_timestamps": 0, "tcp_sack": 0, "tcp_window_scaling": 0},
    ],
    ids=lambda options: "+".join(options) or "all",
)
async def test_options_are_what_a_kernel_agrees_on(options: dict[str, int]) -> None:
    """Scales, SACK, timestamps and segment sizes are those that a listener's socket has."""
    seen = {}
    for server in (listened, accepted):
        async with lab.two_hosts(0.001) as net, anyio.create_task_group() as group:
            group.start_soon(net.a.call, connect_with, net.b.ipv4, options)
            with anyio.fail_after(hosts.PATIENCE):
                seen[server.__name__] = await net.b.call(server, net.b.ipv4)
            group.cancel_scope.cancel()
    assert seen["accepted"] == seen["listened"]
    assert seen["accepted"]["state"] == 1  # ESTABLISHED


def stray(host: str, local: str, flags: int) -> int | None:
    """Send a lone segment, and say with what flags it was answered within a second."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as sock:
        from simopen.raw._segments import Segment, build  # noqa: PLC0415 - in the host only

        sock.settimeout(1)
        ends = [socket.inet_aton(each) for each in (local, host)]
        segment = Segment(source=4444, destination=PORT, seq=77, ack=99, flags=flags, window=1000)
        sock.sendto(build(segment, *ends), (host, 0))
        try:
            while True:
                data = sock.recv(1000)
                if struct.unpack_from("!HH", data, 20) == (PORT, 4444):
                    return data[33]
        except TimeoutError:
            return None


@pytest.mark.parametrize(
    ("flags", "answer"),
    [
        pytest.param(0x10, 0x04, id="an ACK by a reset"),
        pytest.param(0x12, 0x04, id="a SYN-ACK by a reset"),
        pytest.param(0x04, None, id="a reset by nothing"),
        pytest.param(0x06, None, id="a SYN that resets by nothing"),
    ],
)
async def test_stray_segments_are_answered_as_ever(flags: int, answer: int | None) -> None:
    """What belongs to no connection is answered as RFC 9293 §3.10.7 says (by the kernel)."""
    async with lab.two_hosts(0.001) as net, serving(net.b, ANY):
        assert await net.a.call(stray, net.b.ipv4, net.a.ipv4, flags) == answer


# -- what is left behind ---------------------------------------------------------------------------


async def leave(endpoint: str, how: str) -> None:
    """Accept for a moment, and leave one way or another."""
    with no_socket_left(), anyio.move_on_after(0.3 if how == "cancelled" else None):
        try:
            async with raw.accept(endpoint) as listener:
                if how == "cancelled":
                    await listener.accept()
                if how == "raised":
                    raise KeyError  # noqa: TRY301 - the block's own
        except KeyError:
            pass


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("how", ["left", "raised", "cancelled"])
async def test_nothing_is_left(loop: str, how: str) -> None:
    """However the block is left, no table and no socket stays."""
    async with lab.two_hosts() as net:
        await net.a.call(leave, ANY, how, **hosts.LOOPS[loop])
        assert await hosts.tables(net.a) == []


async def test_a_crash_is_cleaned_up_by_the_next_start() -> None:
    """A killed process leaves its table; the next one removes it, and no table of the living."""
    async with lab.two_hosts() as net, serving(net.a, ANY):
        living = await hosts.tables(net.a)
        async with await net.a.popen([sys.executable, "-c", CRASHING]) as crashing:
            await until_tables(net.a, 2)
            crashing.kill()
        left = await hosts.tables(net.a)
        assert len(left) == 2
        async with serving(net.a, f"0.0.0.0:{PORT + 2}"):
            now = await hosts.tables(net.a)
        assert len(now) == 2
        assert set(left) & set(now) == set(living)


CRASHING = f"""
import anyio
from tests.raw.hosts import serve
anyio.run(serve, "0.0.0.0:{PORT + 1}", "echo")
"""


async def taken(host: str) -> None:
    """See that a port is had once only."""
    with socket.create_server((host, PORT)), pytest.raises(LocalBindError, match="LISTEN"):
        async with raw.accept((host, PORT)):
            pass
    async with raw.accept((host, PORT)) as listener:
        assert listener.local == (host, PORT)
        with pytest.raises(OSError, match="in use"):
            socket.create_server((host, PORT))
    async with raw.accept((host, 0)) as listener:
        assert listener.extra(anyio.abc.SocketAttribute.local_port) == listener.local.port > 0


async def test_a_port_is_had_once() -> None:
    """Where somebody listens nothing is accepted, and where we accept nobody can listen."""
    async with lab.two_hosts() as net:
        await net.a.call(taken, net.a.ipv4)


# -- floods ----------------------------------------------------------------------------------------


async def flooded(endpoint: str) -> tuple[int, int]:
    """Accept one connection; how many handshakes went on, and how many had been dropped."""
    async with raw.accept(endpoint, backlog=100) as listener:
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
        await until_tables(net["server"], 1)
        await net["evil"].call(flood, net["server"].ipv4, 400)
        await net["a"].call(hosts.ask, net["server"].ipv4, 1)
    ((half_open, dropped),) = result
    assert half_open <= 100
    assert dropped >= 200


async def test_arguments_are_checked() -> None:
    """Nonsense is refused before anything is opened."""
    with pytest.raises(UsageError, match="backlog"):
        async with raw.accept(ANY, backlog=0):
            pass
    with pytest.raises(UsageError, match="multicast"):
        async with raw.accept("224.0.0.1:7777"):
            pass

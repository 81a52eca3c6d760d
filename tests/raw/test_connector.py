"""Connecting by a handshake of our own: to listeners, to acceptors, across, and to nobody."""

from __future__ import annotations

import socket
import time

import anyio
import pytest
from anyio.abc import SocketAttribute

from benchmarks.common import LOOPS
from simopen import LocalBindError, SelfConnectionError, UsageError, lab, raw
from simopen.raw import _firewall
from tests.helpers import no_socket_left
from tests.raw import hosts
from tests.raw.hosts import PORT, serving, tables

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The driver runs on one loop; what it calls runs on all."""
    return request.param


async def ask(remote: tuple[str, int], count: int, local: tuple[str, int] | None = None) -> None:
    """Connect some times, and hear what was said."""
    for _ in range(count):
        async with await raw.connect(remote, local=local, timeout=hosts.PATIENCE) as stream:
            sock = stream.extra(SocketAttribute.raw_socket)
            assert hosts.tcp_info(sock)["state"] == 1
            assert hosts.tcp_info(sock)["options"] == 7
            assert hosts.tcp_info(sock)["nodelay"]
            await stream.send(b"said")
            await stream.send_eof()
            assert b"".join([each async for each in stream]) == b"said"


async def listen_and_echo(host: str) -> None:
    """An ordinary server."""
    listener = await anyio.create_tcp_listener(local_host=host, local_port=PORT)
    await listener.serve(hosts.echo)


async def speak_first(host: str) -> None:
    """An ordinary server that sends as soon as it can."""
    listener = await anyio.create_tcp_listener(local_host=host, local_port=PORT + 1)
    await listener.serve(hosts.greet)


async def hear(host: str) -> None:
    """Hear who speaks first, at once."""
    async with await raw.connect((host, PORT + 1), timeout=hosts.PATIENCE) as stream:
        began = time.monotonic()
        assert await stream.receive() == b"welcome\n"
        assert time.monotonic() - began < 0.19  # and not when it is sent again


@pytest.mark.parametrize("loop", LOOPS)
async def test_a_listener_is_connected(loop: str) -> None:
    """An ordinary server sees an ordinary client, over IPv4 and IPv6; no rule is left."""
    async with lab.two_hosts(0.002) as net, anyio.create_task_group() as group:
        for address in (net.b.ipv4, net.b.ipv6):
            group.start_soon(net.b.call, listen_and_echo, address)
        group.start_soon(net.b.call, speak_first, net.b.ipv4)
        with anyio.fail_after(hosts.PATIENCE):
            while len(net.b.listeners()) < 3:  # noqa: ASYNC110 - of another process
                await anyio.sleep(0.02)
        await net.a.call(ask, (net.b.ipv4, PORT), 3, **LOOPS[loop])
        await net.a.call(ask, (net.b.ipv6, PORT), 1, **LOOPS[loop])
        await net.a.call(hear, net.b.ipv4, **LOOPS[loop])
        assert await tables(net.a) == []
        group.cancel_scope.cancel()


async def test_a_link_local_address() -> None:
    """Its zone is needed by both, on a loop that loses it in looking a name up as well."""
    async with lab.two_hosts() as net:
        await net.a.run(["ip", "address", "add", "fe80::a/64", "dev", "eth0", "nodad"])
        async with serving(net.a, f"[fe80::a%eth0]:{PORT}", loop="uvloop"):
            await net.a.call(ask, ("fe80::a%eth0", PORT), 1, **LOOPS["uvloop"])


async def test_loss() -> None:
    """With one packet in five lost, both sides doing their own handshakes, they connect."""
    bad = lab.Link(latency=0.005, loss=0.2)
    sites = [lab.Site(f"site-{name}", hosts=[name], link=bad) for name in ("a", "b")]
    async with lab.network(sites, seed=4) as net, serving(net["b"], f"0.0.0.0:{PORT}"):
        await net["a"].call(ask, (net["b"].ipv4, PORT), 2)


async def cross(remote: str, local: str, at: float) -> None:
    """Connect at a moment to who connects here."""
    await anyio.sleep(max(at - time.monotonic(), 0.0))
    ends = (remote, 40_000), (local, 40_000)
    async with await raw.connect(ends[0], local=ends[1], timeout=hosts.PATIENCE) as stream:
        await stream.send(b"across")
        await stream.send_eof()
        assert b"".join([each async for each in stream]) == b"across"


async def test_two_cross() -> None:
    """Both connect to each other: a simultaneous open of our own."""
    async with lab.two_hosts(0.3) as net, anyio.create_task_group() as group:
        at = time.monotonic() + 4.0  # seconds, in which two busy interpreters come up
        group.start_soon(net.a.call, cross, net.b.ipv4, net.a.ipv4, at)
        group.start_soon(net.b.call, cross, net.a.ipv4, net.b.ipv4, at)


async def fail(host: str, local: str) -> None:
    """All that can go wrong, with nothing left behind."""
    with no_socket_left():
        with pytest.raises(raw.RawConnectError, match="refuses") as refused:
            await raw.connect((host, PORT))
        assert refused.value.remote == (host, PORT)
        began = time.monotonic()
        with pytest.raises(raw.RawTimeoutError, match=r"did not answer within 0.3 s"):
            await raw.connect((host.rpartition(".")[0] + ".77", PORT), timeout=0.3)
        assert time.monotonic() - began < 5
        with pytest.raises(SelfConnectionError):
            await raw.connect((local, PORT), local=(local, PORT))
        with pytest.raises(raw.RawConnectError, match="no way"):
            await raw.connect(("198.51.100.7", PORT))
        with (
            socket.create_server((local, PORT)),
            pytest.raises(LocalBindError, match="LISTEN"),
        ):
            await raw.connect((host, PORT), local=(local, PORT))
        with anyio.move_on_after(0.2) as scope:
            await raw.connect((host.rpartition(".")[0] + ".77", PORT))
        assert scope.cancelled_caught


@pytest.mark.parametrize("loop", LOOPS)
async def test_failures(loop: str) -> None:
    """Each is told as what it is, and leaves no socket and no rule."""
    async with lab.two_hosts() as net:
        await net.a.run(["ip", "route", "add", "unreachable", "198.51.100.0/24"])
        await net.a.call(fail, net.b.ipv4, net.a.ipv4, **LOOPS[loop])
        assert await tables(net.a) == []


async def test_arguments_are_checked() -> None:
    """Nonsense is refused before anything is opened."""
    for remote in ("192.0.2.1", "192.0.2.1:1-2", "0.0.0.0:5", "nowhere.invalid:5"):
        with pytest.raises(UsageError):
            await raw.connect(remote)
    with pytest.raises(UsageError):
        await raw.connect("192.0.2.1:5", local="[::1]:0")
    for timeout in (0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="timeout"):
            await raw.connect("192.0.2.1:5", timeout=timeout)


async def slow_rules(host: str) -> float:
    """Connect to nobody where nft takes two seconds to begin; those until that is given up."""
    nft = _firewall._nft

    def slow(commands: str) -> str:
        time.sleep(0.0 if "delete" in commands else 1.0)
        return nft(commands)

    _firewall._nft = slow
    began = time.monotonic()
    with pytest.raises(raw.RawTimeoutError):
        await raw.connect((host, PORT), timeout=2.5)
    return time.monotonic() - began


async def test_the_timeout_is_for_all_of_it() -> None:
    """What the firewall takes before the first SYN counts."""
    async with lab.two_hosts() as net:
        took = await net.a.call(slow_rules, net.b.ipv4.rpartition(".")[0] + ".77")
    assert took < 4


# -- a SYN that comes late -------------------------------------------------------------------------


def repeat_the_syn(host: str) -> None:
    """Connect, send the SYN once more, and see that the connection lives."""
    from simopen.raw._segments import SYN, Options, Segment, build  # noqa: PLC0415 - in the host

    with socket.create_connection((host, PORT), timeout=5) as sock:
        sock.sendall(b"one")
        assert sock.recv(10) == b"one"
        local, port = sock.getsockname()
        sock.setsockopt(socket.IPPROTO_TCP, 19, 1)  # TCP_REPAIR, to be told our number
        sock.setsockopt(socket.IPPROTO_TCP, 20, 2)  # of the send queue
        number = sock.getsockopt(socket.IPPROTO_TCP, 21) % 2**32
        sock.setsockopt(socket.IPPROTO_TCP, 19, -1)
        first = (number - len(b"one") - 1) % 2**32
        syn = Segment(
            source=port, destination=PORT, seq=first, flags=SYN, options=Options(mss=1460)
        )
        ends = socket.inet_aton(local), socket.inet_aton(host)
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as wire:
            wire.sendto(build(syn, *ends), (host, 0))
        time.sleep(0.3)
        sock.sendall(b"two")
        assert sock.recv(10) == b"two"


async def test_a_late_syn_does_no_harm() -> None:
    """The kernel answers for a connection that it has; were we to, the peer would reset it."""
    async with lab.two_hosts(0.002) as net, serving(net.b, f"0.0.0.0:{PORT}"):
        await net.a.call(repeat_the_syn, net.b.ipv4)


async def test_clients_in_a_hurry_do_no_harm() -> None:
    """Who resets in the very moment of the hand-over harms nobody else."""
    async with lab.two_hosts(0.002) as net, serving(net.b, f"0.0.0.0:{PORT}"):
        await net.a.call(hosts.leave_in_a_hurry, net.b.ipv4, 20)
        await net.a.call(hosts.ask, net.b.ipv4, 1)

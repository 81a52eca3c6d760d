"""Sockets connected to themselves: told from others, made, and never a peer's."""

from __future__ import annotations

import ctypes
import errno
import ipaddress
import socket
import struct
import time
from functools import partial

import anyio
import pytest

from simopen import (
    Cause,
    Endpoint,
    PeerConnectError,
    PeerTimeoutError,
    PunchOptions,
    SelfConnectionError,
    UsageError,
    lab,
)
from simopen.net import _sockets, _tcp_info
from simopen.net._addresses import Addresses
from simopen.net._executor import Punch, Race, Verdict
from simopen.net._local_ports import LocalPorts
from simopen.net._self_connection import SelfConnection, explain, guard, is_self_connection
from tests.helpers import free_port, no_socket_left
from tests.net.conformance import reset, tcp_pair

SO_ATTACH_FILTER = 26  # asm-generic/socket.h
# One struct sock_filter: BPF_RET | BPF_K of linux/bpf_common.h, keep no byte of the packet. Here,
# since the kernel is only given its address.
KEEP_NOTHING = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0))

IPV6_FLOWLABEL_MGR = 32  # linux/in6.h
IPV6_FLOWINFO_SEND = 33
# struct in6_flowlabel_req after its address: the label, IPV6_FL_A_GET, IPV6_FL_S_ANY (the kernel
# keeps a label for some seconds after its socket), IPV6_FL_F_CREATE, its times, and padding
LABEL = (socket.htonl(0x12345), 0, 255, 1, 0, 0, 0)


def met_itself(host: str, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    """A socket of the standard library, connected to itself."""
    sock = socket.socket(family)
    sock.bind((host, free_port()))
    sock.connect(sock.getsockname())
    return sock


# -- telling ---------------------------------------------------------------------------------------

KINDS = [
    pytest.param("127.0.0.1", socket.AF_INET, id="ipv4"),
    pytest.param("::1", socket.AF_INET6, id="ipv6"),
    pytest.param("::ffff:127.0.0.1", socket.AF_INET6, id="mapped"),
]


@pytest.mark.parametrize(("host", "family"), KINDS)
def test_a_self_connection_is_told(host: str, family: socket.AddressFamily) -> None:
    """Equal ends are one socket, in each family and where IPv6 carries IPv4."""
    with met_itself(host, family) as sock:
        assert is_self_connection(sock)
        with pytest.raises(SelfConnectionError, match="connected to itself"):
            guard(sock)


@pytest.mark.parametrize(("host", "family"), KINDS)
def test_a_connection_to_another_socket_passes(host: str, family: socket.AddressFamily) -> None:
    """Neither a server's end nor a client's is taken for one, though the address is the same."""
    with socket.socket(family) as server:
        server.bind((host, 0))
        server.listen()
        with socket.create_connection(server.getsockname()[:2]) as client:
            accepted, _ = server.accept()
            with accepted:
                assert not is_self_connection(accepted)
                guard(accepted)
                guard(client)


def test_a_flow_label_does_not_hide_it() -> None:
    """The label shows at the far end alone, so that the two addresses as they are differ."""
    port = free_port()
    label = struct.pack("=16s I BB HHHI", ipaddress.ip_address("::1").packed, *LABEL)
    with socket.socket(socket.AF_INET6) as sock:
        sock.bind(("::1", port))
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FLOWLABEL_MGR, label)
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FLOWINFO_SEND, 1)
        sock.connect(("::1", port, 0x12345, 0))
        assert sock.getpeername() != sock.getsockname()
        assert is_self_connection(sock)


def test_the_guard_takes_what_cannot_be_checked_for_a_mistake() -> None:
    """UDP and Unix sockets are refused in words, whether connected or not."""
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.connect(udp.getsockname())
        with pytest.raises(UsageError, match=r"only TCP .* AF_INET, SOCK_DGRAM"):
            guard(udp)
    one, two = socket.socketpair()
    with one, two, pytest.raises(UsageError, match=r"only TCP .* AF_UNIX, SOCK_STREAM"):
        guard(one)


def test_the_guard_on_a_socket_that_is_not_connected() -> None:
    """It is the system's own error: before connecting, listening, after a reset, and closed."""
    not_connected = partial(pytest.raises, OSError, match="not connected")
    with socket.create_server(("127.0.0.1", 0)) as server, not_connected():
        guard(server)
    with socket.socket() as sock, not_connected():
        guard(sock)
    near, far = tcp_pair()
    with near, far:
        reset(far)
        with not_connected():
            guard(near)
    with pytest.raises(OSError, match="Bad file descriptor"):
        guard(sock)


PORTS = LocalPorts(32768, 60999, ((40001, 40001),))


@pytest.mark.parametrize(
    ("ports", "port", "words"),
    [
        (PORTS, 40000, ("32768-60999", "ip_local_port_range", "ip_local_reserved_ports", "40000")),
        (PORTS, 40001, ("32768-60999", "it was bound to it", "bind it to another port")),
        (PORTS, 8080, ("32768-60999", "it was bound to it", "bind it to another port")),
        (None, 40000, ("If it was not bound", "outside the range", "bind the client")),
    ],
)
def test_the_explanation_fits_the_port(
    ports: LocalPorts | None, port: int, words: tuple[str, ...]
) -> None:
    """A port that clients are given has another cause and cure than one that they are not."""
    text = explain(Endpoint("127.0.0.1", port), ports)
    for each in (f"127.0.0.1:{port}", *words):
        assert each in text


# -- making one ------------------------------------------------------------------------------------


def connecting(end: tuple[str, int], timeout: float | None = 5) -> SelfConnection:
    """One that begins now."""
    return SelfConnection(Endpoint(*end), began=time.monotonic(), timeout=timeout)


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets that nothing reaches, as behind a firewall that drops: a filter lets nothing in."""
    real = _sockets.open_punch_socket
    program = struct.pack("@HP", 1, ctypes.addressof(KEEP_NOTHING))

    def opener(family: socket.AddressFamily, local: Endpoint) -> socket.socket:
        sock = real(family, local)
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        return sock

    monkeypatch.setattr(_sockets, "open_punch_socket", opener)


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["127.0.0.1", "127.5.5.5", "::1"])
async def test_one_socket_meets_itself(host: str) -> None:
    """It is connected after one SYN, both its ends are the endpoint, and it closes by a FIN."""
    end = (host, free_port())
    sock, report = await connecting(end).run()
    with sock:
        assert is_self_connection(sock)
        assert (report.local, report.remote) == (end, end)
        assert (report.attempts, report.refusals, report.path) == (1, 0, "self")
        linger = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        assert struct.unpack("@ii", linger)[0] == 0
        sock.send(b"x")
        await anyio.wait_readable(sock)
        assert sock.recv(1) == b"x"
        sock.shutdown(socket.SHUT_WR)
        await anyio.wait_readable(sock)
        assert sock.recv(1) == b""
        anyio.notify_closing(sock)


@pytest.mark.anyio
async def test_port_0_is_any_free_one() -> None:
    """The report has the port that was found."""
    sock, report = await connecting(("127.0.0.1", 0)).run()
    with sock:
        assert report.local == sock.getsockname()
        assert report.local.port


@pytest.mark.anyio
@pytest.mark.usefixtures("deaf")
async def test_silence_ends_with_the_time_allowed() -> None:
    """It is a timeout that names the firewall, and no socket is left."""
    end = ("127.0.0.1", free_port())
    with no_socket_left(), pytest.raises(PeerTimeoutError, match="own firewall") as caught:
        await connecting(end, timeout=0.1).run()
    assert caught.value.diagnosis.cause is Cause.LOCAL_FIREWALL
    assert caught.value.report.attempts == 1
    assert 0.1 <= caught.value.report.elapsed < 2


@pytest.mark.anyio
@pytest.mark.usefixtures("deaf")
async def test_cancelled_it_leaves_nothing() -> None:
    """While the SYN is out: it is a cancellation and no error, and no socket is left."""
    with no_socket_left():
        with anyio.move_on_after(0.05) as scope:
            await connecting(("127.0.0.1", free_port()), timeout=None).run()
        assert scope.cancelled_caught


@pytest.mark.anyio
async def test_a_cancellation_before_it_begins() -> None:
    """It is heard, though the SYN would be answered without waiting for anything."""
    with no_socket_left():
        with anyio.CancelScope() as scope:
            scope.cancel()
            await connecting(("127.0.0.1", free_port())).run()
        assert scope.cancelled_caught


@pytest.mark.anyio
async def test_a_resolver_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time allowed counts from the call, and the text says that nothing was sent."""

    async def hang(*_: object, **__: object) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(anyio, "getaddrinfo", hang)
    with no_socket_left(), pytest.raises(PeerTimeoutError, match="before the first SYN"):
        await connecting(("slow.example", 40000), timeout=0.05).run()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("code", "came_back", "cause"),
    [
        (errno.EPERM, "1 not sent", Cause.LOCAL_FIREWALL),
        (errno.ENETUNREACH, "1 not sent", Cause.NO_ROUTE),
        (errno.ECONNREFUSED, "1 refused", Cause.LOCAL_FIREWALL),
    ],
)
async def test_what_connect_itself_says(
    code: int, came_back: str, cause: Cause, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told at once, with its cause, also where there is no ``TCP_INFO`` to ask."""
    monkeypatch.setattr(_tcp_info, "HAS_TCP_INFO", False)

    class Failing(socket.socket):
        def connect_ex(self, _: object) -> int:
            return code

    real = _sockets.open_punch_socket
    monkeypatch.setattr(
        _sockets, "open_punch_socket", lambda *ends: Failing(fileno=real(*ends).detach())
    )
    with no_socket_left(), pytest.raises(PeerConnectError, match=came_back) as caught:
        await connecting(("127.0.0.1", free_port()), timeout=1).run()
    assert caught.value.diagnosis.cause is cause


RESET = "reject with tcp reset"
PROHIBITED = "reject with icmpx admin-prohibited"
FIREWALLS = [
    ("input", "syn", "drop", PeerTimeoutError, "no answer"),
    ("input", "syn", RESET, PeerConnectError, "1 refused (reset)"),
    ("input", "(syn|ack)", "drop", PeerTimeoutError, "a crossing SYN after"),
    ("output", "syn", "drop", PeerTimeoutError, "no answer"),
    ("output", "syn", PROHIBITED, PeerConnectError, "1 refused (host unreachable)"),
]


async def behind_a_firewall(hook: str, flags: str, verdict: str) -> PeerConnectError:
    """Runs in a host of the lab: what becomes of the call there."""
    rules = (
        f"table inet t {{ chain c {{ type filter hook {hook} priority 0; "
        f"tcp dport 40000 tcp flags & (syn|ack|rst) == {flags} {verdict}; }}; }}"
    )
    await anyio.run_process(["nft", rules])
    with no_socket_left():
        try:
            await connecting(("127.0.0.1", 40000), timeout=0.3).run()
        except PeerConnectError as error:
            return error
    raise AssertionError("connected all the same")


@pytest.mark.lab
@pytest.mark.usefixtures("require_lab")
@pytest.mark.parametrize(("hook", "flags", "verdict", "kind", "words"), FIREWALLS)
def test_a_firewall_on_this_host(
    hook: str, flags: str, verdict: str, kind: type[PeerConnectError], words: str
) -> None:
    """Whatever it does ends the call, and is named; a refusal ends it at once."""

    async def ask() -> PeerConnectError:
        async with lab.two_hosts() as net:
            found: PeerConnectError = await net.a.call(behind_a_firewall, hook, flags, verdict)
            return found

    error = anyio.run(ask)
    assert type(error) is kind
    assert words in error.diagnosis.came_back
    assert error.diagnosis.cause is Cause.LOCAL_FIREWALL


# -- and never a peer's ----------------------------------------------------------------------------


def pairs(
    family: socket.AddressFamily, local: str, remote: str, ports: list[int]
) -> list[Addresses]:
    """What the check before the first SYN would let through if it had been fooled."""
    elsewhere = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"
    return [
        Addresses(family, Endpoint(local, port), Endpoint(remote, port), Endpoint(elsewhere, port))
        for port in ports
    ]


FOOLED = [
    pytest.param(socket.AF_INET, "127.0.0.1", "127.0.0.1", id="ipv4"),
    pytest.param(socket.AF_INET, "0.0.0.0", "127.0.0.1", id="wildcard"),
    pytest.param(socket.AF_INET, "0.0.0.0", "0.0.0.0", id="any-remote"),
    pytest.param(socket.AF_INET6, "::1", "::1", id="ipv6"),
    pytest.param(socket.AF_INET6, "::", "::1", id="wildcard-ipv6"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("family", "local", "remote"), FOOLED)
@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("proving", [False, True])
async def test_a_punch_that_meets_itself_hands_nothing_over(
    family: socket.AddressFamily, local: str, remote: str, lanes: int, *, proving: bool
) -> None:
    """Real sockets that reach themselves: an error, alone and racing, before any proof is tried."""
    asked: list[int] = []

    async def prove(number: int, _: socket.socket) -> Verdict:
        asked.append(number)
        return Verdict.PROVEN

    punch = Punch(
        Race(pairs(family, local, remote, [free_port() for _ in range(lanes)])),
        options=PunchOptions(),
        began=time.monotonic(),
        timeout=5,
        announce=lambda _: None,
        prove=prove if proving else None,
    )
    with no_socket_left(), pytest.raises(SelfConnectionError, match="connected to itself"):
        await punch.run()
    assert not asked

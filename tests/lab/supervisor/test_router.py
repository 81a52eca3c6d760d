"""A Linux router between two devices, held by a process of its own and driven packet by packet."""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest

from simopen.capture.packets import Endpoint, Flags, Segment, Unreachable, parse
from simopen.lab import LabUnavailable
from simopen.lab._available import supervisor_environment
from simopen.lab.nat import KernelAnswer, KernelFirewall, KernelNat, Masquerade
from simopen.lab.supervisor import _router
from tests.lab.supervisor.datagrams import hops_of, icmp, is_intact, tcp, udp

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("require_lab")]

_Gateway = KernelNat | KernelFirewall

_OWN = {4: "203.0.113.1", 6: "2001:db8:1::1"}
_HOST = {4: Endpoint("192.168.1.2", 40000), 6: Endpoint("2001:db8:1:1::2", 40000)}
_PEER = {4: Endpoint("198.51.100.7", 40000), 6: Endpoint("2001:db8:2::7", 40000)}
_OUTER = Endpoint(_OWN[4], 40000)  # the host, as a NAT that preserves ports shows it
_SYN, _SYN_ACK, _RST_ACK = Flags.SYN, Flags.SYN | Flags.ACK, Flags.RST | Flags.ACK
_PATIENCE_S = 5.0  # for a packet that must come
_SILENCE_S = 0.05  # the kernel has long passed or answered what was written to it

_ECHO = {4: (8, 0), 6: (128, 129)}  # request, reply
_UNREACHABLE_PORT = {4: (3, 3), 6: (1, 4)}  # type, code
_TIME_EXCEEDED = {4: 11, 6: 3}

_HOLDER = """
import socket, sys, msgspec
from simopen.lab import LabUnavailable
from simopen.lab.supervisor import _kernel, _router
front = socket.socket(fileno=int(sys.argv[1]))
try:
    if sys.argv[2] == "user namespace":
        raise PermissionError
    _kernel.new_net_namespace()
except PermissionError:
    _kernel.new_user_namespace()
while plan := front.recv(65536):
    try:
        router = _router.build(msgspec.json.decode(plan, type=_router.RouterPlan), 1500)
    except LabUnavailable as error:
        front.send(str(error).encode())
    else:
        socket.send_fds(front, [b"ready"], [router.outside, router.inside, router.net])
"""

_CALLER = """
import json, os, socket, sys, time, msgspec
from simopen.lab._plan import HostPlan
from simopen.lab.supervisor import _kernel, _namespace, _router
try:
    _kernel.new_net_namespace()
except PermissionError:
    _kernel.new_user_namespace()
router = _router.build(msgspec.json.decode(sys.argv[1], type=_router.RouterPlan), 1500)
host = _namespace.build(HostPlan("peer", sys.argv[2], sys.argv[3]), 1500)
def carry(source, sink):
    try: os.write(sink, os.read(source, 1500))
    except BlockingIOError: pass
errors = []
for address in sys.argv[4:]:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as caller:
        caller.setblocking(False)
        caller.connect_ex((address, 40000))
        error, end = 0, time.monotonic() + 5
        while not error and time.monotonic() < end:
            carry(host.tun, router.outside)
            carry(router.outside, host.tun)
            error = caller.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        errors.append(error)
print(json.dumps(errors))
"""


@dataclass(frozen=True)
class _Driven:
    """A router under test; whatever leaves it has proper checksums."""

    outside: int
    inside: int
    net: int

    def come_in(self, packet: bytes) -> None:
        """Let a packet arrive from outside."""
        os.write(self.outside, packet)

    def go_out(self, packet: bytes) -> None:
        """Let a packet arrive from inside."""
        os.write(self.inside, packet)

    def sent_out(self) -> bytes:
        """The next packet that leaves towards the outside."""
        return _read(self.outside)

    def sent_in(self) -> bytes:
        """The next packet that leaves towards the inside."""
        return _read(self.inside)

    def is_silent(self, seconds: float = _SILENCE_S) -> bool:
        """Whether nothing leaves in either direction for a while."""
        return not select.select([self.outside, self.inside], [], [], seconds)[0]

    def close(self) -> None:
        """Let go of the router."""
        for descriptor in (self.outside, self.inside, self.net):
            os.close(descriptor)


class _Holder:
    """The process that builds routers and holds them."""

    def __init__(self, *, in_user_namespace: bool = False) -> None:
        self._front, back = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        where = "user namespace" if in_user_namespace else "here"
        with back:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", _HOLDER, str(back.fileno()), where],
                env=supervisor_environment(),
                pass_fds=[back.fileno()],
            )

    def build(self, gateway: _Gateway) -> _Driven:
        self._front.send(_plan(gateway))
        answer, descriptors, _, _ = socket.recv_fds(self._front, 65536, 3)
        if not descriptors:
            required = os.environ.get("SIMOPEN_REQUIRE_LAB") == "1"
            (pytest.fail if required else pytest.skip)(answer.decode() or "the holder died")
        return _Driven(*descriptors)

    def close(self) -> None:
        self._front.close()
        self.process.wait()


@pytest.fixture(scope="module")
def holder() -> Iterator[_Holder]:
    """One process for all routers of this file, since it takes longer to start than a router."""
    with closing(_Holder()) as holder:
        yield holder


@pytest.fixture
def build(holder: _Holder) -> Iterator[Callable[[_Gateway], _Driven]]:
    """Builds a router for the time of a test."""
    routers = []

    def build(gateway: _Gateway) -> _Driven:
        routers.append(holder.build(gateway))
        return routers[-1]

    yield build
    for router in routers:
        router.close()


def _plan(gateway: _Gateway) -> bytes:
    plan = _router.RouterPlan(
        name="router",
        gateway=gateway,
        ipv4=_OWN[4],
        ipv6=_OWN[6],
        inside_ipv4=("192.168.1.0/24",),
        inside_ipv6=("2001:db8:1:1::/64",),
    )
    return msgspec.json.encode(plan)


def _read(tun: int) -> bytes:
    assert select.select([tun], [], [], _PATIENCE_S)[0], "no packet came"
    packet = os.read(tun, 65536)
    assert is_intact(packet)
    return packet


def _segment(packet: bytes) -> Segment:
    segment = parse(packet)
    assert isinstance(segment, Segment)
    return segment


def _unreachable(packet: bytes) -> Unreachable:
    unreachable = parse(packet)
    assert isinstance(unreachable, Unreachable)
    return unreachable


def _icmp_type(packet: bytes) -> int:
    return packet[20 if packet[0] >> 4 == 4 else 40]


def _outer_port(router: _Driven, source: Endpoint, destination: Endpoint) -> int:
    """The external port that a new connection is given."""
    router.go_out(tcp(source, destination, _SYN))
    outer = _segment(router.sent_out()).source
    assert outer.address == _OWN[4]
    return outer.port


Build = Callable[[_Gateway], _Driven]
versions = pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])
gateways = pytest.mark.parametrize(
    ("kind", "seen", "version"),  # whom a peer sees: the host, or the router in its place
    [
        pytest.param(KernelNat, _OUTER, 4, id="NAT-IPv4"),
        pytest.param(KernelNat, _HOST[6], 6, id="NAT-IPv6"),
        pytest.param(KernelFirewall, _HOST[4], 4, id="firewall-IPv4"),
        pytest.param(KernelFirewall, _HOST[6], 6, id="firewall-IPv6"),
    ],
)
untranslated = pytest.mark.parametrize(
    ("kind", "version"),
    [
        pytest.param(KernelNat, 6, id="NAT-IPv6"),
        pytest.param(KernelFirewall, 4, id="firewall-IPv4"),
        pytest.param(KernelFirewall, 6, id="firewall-IPv6"),
    ],
)


def test_a_connection_through_masquerade(build: Build) -> None:
    """The SYN leaves with the router's address and its own port, and the answer finds back."""
    router = build(KernelNat())
    router.go_out(tcp(_HOST[4], _PEER[4], _SYN, seq=7))
    out = router.sent_out()
    syn = _segment(out)
    assert (syn.source, syn.destination, syn.flags, syn.seq) == (_OUTER, _PEER[4], _SYN, 7)
    assert hops_of(out) == 63
    router.come_in(tcp(_PEER[4], _OUTER, _SYN_ACK, seq=100, ack=8))
    answer = _segment(router.sent_in())
    assert (answer.source, answer.destination) == (_PEER[4], _HOST[4])
    assert (answer.flags, answer.ack) == (_SYN_ACK, 8)
    router.go_out(tcp(_HOST[4], _PEER[4], Flags.ACK, seq=8, ack=101))
    assert _segment(router.sent_out()).source == _OUTER


def test_preserved_ports(build: Build) -> None:
    """All destinations see the internal port, and one other port after a clash with a neighbour."""
    router = build(KernelNat())
    peers = [_PEER[4], Endpoint("198.51.100.8", 40000), Endpoint("198.51.100.7", 40001)]
    assert [_outer_port(router, _HOST[4], peer) for peer in peers] == [40000] * 3
    neighbour = Endpoint("192.168.1.3", 40000)
    ports = {_outer_port(router, neighbour, peer) for peer in peers}
    assert len(ports) == 1
    assert 40000 not in ports


@pytest.mark.parametrize("ports", [Masquerade.RANDOM, Masquerade.FULLY_RANDOM])
def test_random_ports(build: Build, ports: Masquerade) -> None:
    """Each destination sees another port, none of them the internal one."""
    router = build(KernelNat(ports=ports))
    peers = [Endpoint("198.51.100.8", port) for port in range(8)]
    outer = {_outer_port(router, _HOST[4], peer) for peer in peers}
    assert len(outer - {40000}) > 4  # chance may repeat one


@untranslated
def test_untranslated_connections(build: Build, kind: type[_Gateway], version: int) -> None:
    """A firewall, and a NAT for IPv6, changes no address and lets in what was asked for."""
    router, host, peer = build(kind()), _HOST[version], _PEER[version]
    router.go_out(tcp(host, peer, _SYN, seq=7))
    out = router.sent_out()
    syn = _segment(out)
    assert (syn.source, syn.destination, syn.seq, hops_of(out)) == (host, peer, 7, 63)
    router.come_in(tcp(peer, host, _SYN_ACK, seq=100, ack=8))
    assert _segment(router.sent_in()).flags == _SYN_ACK
    router.come_in(tcp(peer._replace(port=40001), host, _SYN))
    assert router.is_silent()


@gateways
def test_unsolicited_and_dropped(
    build: Build, kind: type[_Gateway], seen: Endpoint, version: int
) -> None:
    """Nothing answers and nothing gets in."""
    router = build(kind(unsolicited=KernelAnswer.DROP))
    router.come_in(tcp(_PEER[version], seen, _SYN))
    router.come_in(udp(_PEER[version], seen))
    assert router.is_silent()


@gateways
def test_unsolicited_and_reset(
    build: Build, kind: type[_Gateway], seen: Endpoint, version: int
) -> None:
    """A SYN is answered with RST in the name of its destination, UDP with nothing."""
    router = build(kind(unsolicited=KernelAnswer.TCP_RESET))
    router.come_in(udp(_PEER[version], seen))
    router.come_in(tcp(_PEER[version], seen, _SYN, seq=7))
    rst = _segment(router.sent_out())
    assert (rst.source, rst.destination) == (seen, _PEER[version])
    assert (rst.flags, rst.ack) == (_RST_ACK, 8)
    assert router.is_silent()


@gateways
def test_unsolicited_and_unreachable(
    build: Build, kind: type[_Gateway], seen: Endpoint, version: int
) -> None:
    """A SYN and UDP are answered with "port unreachable" from the router."""
    router = build(kind(unsolicited=KernelAnswer.ICMP))
    router.come_in(tcp(_PEER[version], seen, _SYN, seq=7))
    error = _unreachable(router.sent_out())
    assert (error.reporter, error.code) == (_OWN[version], _UNREACHABLE_PORT[version][1])
    assert (error.source, error.destination, error.seq) == (_PEER[version], seen, 7)
    router.come_in(udp(_PEER[version], seen))
    assert router.sent_out()
    assert router.is_silent()


def test_unsolicited_at_an_unfiltered_nat(build: Build) -> None:
    """The router's own TCP answers with RST."""
    router = build(KernelNat(unsolicited=KernelAnswer.NO_FILTER))
    router.come_in(tcp(_PEER[4], _OUTER, _SYN, seq=7))
    rst = _segment(router.sent_out())
    assert (rst.source, rst.flags, rst.ack) == (_OUTER, _RST_ACK, 8)


@untranslated
def test_unsolicited_at_an_unfiltered_router(
    build: Build, kind: type[_Gateway], version: int
) -> None:
    """Where nothing is translated everything gets in."""
    router = build(kind(unsolicited=KernelAnswer.NO_FILTER))
    router.come_in(tcp(_PEER[version], _HOST[version], _SYN))
    syn = _segment(router.sent_in())
    assert (syn.source, syn.destination) == (_PEER[version], _HOST[version])


@pytest.mark.parametrize("answer", KernelAnswer)
def test_an_early_syn_leaves_no_trace(build: Build, answer: KernelAnswer) -> None:
    """A peer that comes first does not take the port away, and is then met on it."""
    router = build(KernelNat(unsolicited=answer))
    router.come_in(tcp(_PEER[4], _OUTER, _SYN, seq=1))
    if answer is not KernelAnswer.DROP:
        router.sent_out()
    assert _outer_port(router, _HOST[4], _PEER[4]) == 40000
    router.come_in(tcp(_PEER[4], _OUTER, _SYN, seq=2))
    assert _segment(router.sent_in()).destination == _HOST[4]


@gateways
def test_crossing_syns(build: Build, kind: type[_Gateway], seen: Endpoint, version: int) -> None:
    """A SYN passes that comes in where one has gone out, and so do the SYN-ACKs that follow."""
    router, host, peer = build(kind()), _HOST[version], _PEER[version]
    router.go_out(tcp(host, peer, _SYN, seq=7))
    assert _segment(router.sent_out()).source == seen
    router.come_in(tcp(peer, seen, _SYN, seq=100))
    assert _segment(router.sent_in()).destination == host
    router.go_out(tcp(host, peer, _SYN_ACK, seq=7, ack=101))
    assert _segment(router.sent_out()).source == seen
    router.come_in(tcp(peer, seen, _SYN_ACK, seq=100, ack=8))
    assert _segment(router.sent_in()).destination == host


def test_what_is_called_invalid_leaves_untranslated(build: Build) -> None:
    """After crossing SYNs, a SYN of another sequence number leaks the private address."""
    router = build(KernelNat())
    router.go_out(tcp(_HOST[4], _PEER[4], _SYN, seq=7))
    assert _segment(router.sent_out()).source == _OUTER
    router.come_in(tcp(_PEER[4], _OUTER, _SYN, seq=100))
    router.go_out(tcp(_HOST[4], _PEER[4], _SYN, seq=500_000))
    assert _segment(router.sent_out()).source == _HOST[4]


def test_an_error_about_a_translated_packet_finds_its_sender(build: Build) -> None:
    """It comes in readdressed, and so is the packet that it quotes."""
    router = build(KernelNat())
    router.go_out(tcp(_HOST[4], _PEER[4], _SYN, seq=7))
    quoted = router.sent_out()[:28]
    router.come_in(icmp(_PEER[4].address, _OWN[4], *_UNREACHABLE_PORT[4], quoted))
    error = _unreachable(router.sent_in())
    assert (error.source, error.destination, error.seq) == (_HOST[4], _PEER[4], 7)


@versions
def test_pings_of_the_router_are_answered(build: Build, version: int) -> None:
    """From outside and from inside, however strict it is otherwise."""
    router, own = build(KernelNat()), _OWN[version]
    request, reply = _ECHO[version]
    router.come_in(icmp(_PEER[version].address, own, request, body=b"ping"))
    assert _icmp_type(router.sent_out()) == reply
    router.go_out(icmp(_HOST[version].address, own, request, body=b"ping"))
    assert _icmp_type(router.sent_in()) == reply


@versions
def test_errors_towards_the_inside(build: Build, version: int) -> None:
    """The router speaks to its inside by its outside address, for want of another."""
    router = build(KernelNat())
    router.go_out(tcp(_HOST[version], _PEER[version], _SYN, hops=1))
    error = router.sent_in()
    assert _icmp_type(error) == _TIME_EXCEEDED[version]
    source = error[12:16] if version == 4 else error[8:24]
    assert str(ip_address(source)) == _OWN[version]


def test_a_router_keeps_quiet(build: Build) -> None:
    """It sends nothing unasked, neither solicitations nor reports of groups."""
    router = build(KernelNat())
    assert router.is_silent(1.5)  # kernels send such things within a second


def test_in_a_user_namespace() -> None:
    """It needs no more than root in a user namespace of its own."""
    with closing(_Holder(in_user_namespace=True)) as holder:
        router = holder.build(KernelNat())
        for version, seen in ((4, _OUTER), (6, _HOST[6])):
            router.go_out(tcp(_HOST[version], _PEER[version], _SYN))
            assert _segment(router.sent_out()).source == seen
        router.close()


@pytest.mark.parametrize(
    "answer", [KernelAnswer.TCP_RESET, KernelAnswer.ICMP, KernelAnswer.NO_FILTER]
)
def test_what_a_linux_peer_makes_of_the_answer(answer: KernelAnswer) -> None:
    """A connecting peer is refused at once, over either IP version."""
    plan = _plan(KernelNat(unsolicited=answer)).decode()
    peer = [_PEER[4].address, _PEER[6].address]
    done = subprocess.run(
        [sys.executable, "-P", "-c", _CALLER, plan, *peer, _OWN[4], _OWN[6]],
        env=supervisor_environment(),
        stdout=subprocess.PIPE,
        check=True,
    )
    assert json.loads(done.stdout) == [errno.ECONNREFUSED] * 2


def _surroundings() -> list[object]:
    """What a router would change if it were built in the wrong place."""
    rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True, check=False)
    forwarding = ("ipv4/ip_forward", "ipv4/conf/all/forwarding", "ipv6/conf/all/forwarding")
    settings = [Path("/proc/sys/net", name).read_text() for name in forwarding]
    routes = [
        line.split()[:5]  # use counts come later
        for name in ("route", "ipv6_route")
        for line in Path("/proc/net", name).read_text().splitlines()
    ]
    return [rules.stdout, rules.stderr, socket.if_nameindex(), *settings, *routes]


def test_the_machine_is_left_alone(build: Build) -> None:
    """No rule, route, device or setting of the machine's own changes."""
    before = _surroundings()
    router = build(KernelNat())
    router.go_out(tcp(_HOST[4], _PEER[4], _SYN))
    router.sent_out()
    assert _surroundings() == before


def _holders_of(inode: int) -> set[int]:
    """The processes that keep a network namespace alive."""
    holders = set()
    for link in Path("/proc").glob("[1-9]*/fd/*"):
        with suppress(OSError):  # the process or descriptor has gone
            if link.stat().st_ino == inode and str(link.readlink()).startswith("net:"):
                holders.add(int(link.parts[2]))
    return holders


def test_nothing_stays_of_a_killed_holder() -> None:
    """A router goes with the process that holds it, however that ends."""
    with closing(_Holder()) as holder:
        router = holder.build(KernelNat())
        inode = os.fstat(router.net).st_ino
        router.close()
        assert _holders_of(inode) == {holder.process.pid}
        holder.process.kill()
    assert not _holders_of(inode)


def test_without_nft(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which program is missing and where it comes from."""
    monkeypatch.setattr(_router, "_ADMIN_PATH", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LabUnavailable, match=r"nft \(of nftables\) is missing: install"):
        _router._load({})


def test_rules_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has what nft said and the modules that a kernel needs."""
    nft = tmp_path / "nft"
    nft.write_text("#!/bin/sh\ncat > /dev/null; echo 'Error: No such file' >&2; exit 1\n")
    nft.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(LabUnavailable, match=r"Error: No such file; .* nft_masq"):
        _router._load({})


def test_settings_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the setting without which nothing is forwarded."""
    monkeypatch.setattr(_router, "_FORWARDING", (("ipv4/none_of_this_name", "1"),))
    with pytest.raises(LabUnavailable, match="may not write /proc/sys/net/ipv4/none_of_this_name"):
        _router._forward()

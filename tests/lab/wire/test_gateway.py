"""The gateway model, axis by axis, packet by packet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from simopen.lab.nat import (
    Filtering,
    Firewall,
    Hairpinning,
    Mapping,
    Nat,
    PortAllocation,
    Unsolicited,
)
from simopen.lab.wire import gateway, sessions
from tests.lab.wire.boxes import OWN, OWN6, Box, forwarded, own_answer
from tests.lab.wire.packetry import Endpoint, echo, icmp_error, ip, see, tcp, udp

A, A2 = ("192.168.1.2", 40000), ("192.168.1.3", 40000)  # both want the same port
D = ("192.168.1.4", 40004)
B, C = ("198.51.100.9", 443), ("198.51.100.10", 443)
A6, B6, C6 = ("2001:db8:1::2", 40000), ("2001:db8:2::9", 443), ("2001:db8:2::a", 443)
P = ("192.0.2.5", 40000)  # public: behind a firewall

MAKERS = {"tcp": tcp, "udp": udp}


class Way(NamedTuple):
    """Where packets go through: a kind of gateway, an endpoint inside, two outside."""

    kind: Callable[..., Nat | Firewall]
    host: Endpoint
    remote: Endpoint
    other: Endpoint


WAYS = {
    "nat": Way(Nat, A, B, C),
    "nat, IPv6": Way(Nat, A6, B6, C6),
    "firewall": Way(Firewall, P, B, C),
    "firewall, IPv6": Way(Firewall, A6, B6, C6),
}
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
makers = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def first(make: Callable[..., bytes], source: Endpoint, destination: Endpoint) -> bytes:
    """Return a packet that begins a flow."""
    return tcp(source, destination, "S") if make is tcp else make(source, destination)


# --- translation ---------------------------------------------------------------------------------


@ways
@makers
def test_what_goes_out_may_be_answered(way: Way, make: Callable[..., bytes]) -> None:
    """It leaves from the external endpoint, a hop on; the answer finds the way back; no other."""
    kind, host, remote, other = way
    box = Box(kind())
    out = box.send(first(make, host, remote))
    assert out is not None
    translated = host is A
    assert (out.source, out.destination) == ((OWN, 40000) if translated else host, remote)
    assert out.ttl == 63
    back = box.receive(make(remote, out.source))
    assert back is not None
    assert (back.source, back.destination, back.ttl) == (remote, host, 63)
    assert not box.passes(make(other, out.source))


@pytest.mark.parametrize(
    ("mapping", "same"),
    [
        (Mapping.ENDPOINT_INDEPENDENT, [True, True]),
        (Mapping.ADDRESS_DEPENDENT, [True, False]),
        (Mapping.ADDRESS_AND_PORT_DEPENDENT, [False, False]),
    ],
)
@makers
def test_destinations_see_one_port_as_the_mapping_says(
    mapping: Mapping, same: list[bool], make: Callable[..., bytes]
) -> None:
    """Another port of the address, another address; each again when asked again."""
    box = Box(Nat(mapping=mapping, ports=PortAllocation.RANDOM))
    remotes = [B, (B[0], 80), C]
    ports = [box.external(A, remote, make)[1] for remote in remotes]
    assert [port == ports[0] for port in ports[1:]] == same
    assert [box.external(A, remote, make)[1] for remote in remotes] == ports


def test_an_echo_is_mapped_by_its_identifier() -> None:
    """Two hosts that ping with one identifier are told apart; ICMP cares for no ports."""
    box = Box(Nat(mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT))
    seen = [box.send(echo(host, B[0], 7)) for host in (A[0], A2[0])]
    first_id, second_id = (out.source[1] for out in seen if out)
    assert first_id == 7 != second_id
    for host, identifier in ((A[0], 7), (A2[0], second_id)):
        back = box.receive(echo(B[0], OWN, identifier, reply=True))
        assert back is not None
        assert (back.source, back.destination) == ((B[0], 7), (host, 7))
    assert not box.passes(echo(C[0], OWN, 7, reply=True))


def test_ipv6_is_not_translated_by_any_axis() -> None:
    """Mapping, allocation and port limits are for IPv4."""
    axes: dict[str, Any] = {
        "mapping": Mapping.ADDRESS_AND_PORT_DEPENDENT,
        "ports": PortAllocation.RANDOM,
    }
    box = Box(Nat(**axes, ports_per_subscriber=1))
    for port in (1, 2, 3):
        for remote in (B6, C6):
            assert box.external((A6[0], port), remote) == (A6[0], port)


def test_overloaded_ports_are_told_apart_by_remote_endpoint() -> None:
    """And where that is the same, the newer session takes the older one's place."""
    box = Box(Nat(ports=PortAllocation.PRESERVING_WITH_COLLISION))
    assert box.connect(A, B) == box.connect(A2, C) == (OWN, 40000)
    for remote, host in ((B, A), (C, A2)):
        back = box.receive(tcp(remote, (OWN, 40000)))
        assert back is not None
        assert back.destination == host
    box.connect(A2, B)
    back = box.receive(tcp(B, (OWN, 40000)))
    assert back is not None
    assert back.destination == A2
    assert box.outbound(tcp(A, B)) == []


@ways
@makers
def test_a_settled_flow_takes_the_short_way(
    way: Way, make: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its packets are not even read, in either direction: that is what makes them cheap."""
    kind, host, remote, _ = way
    box = Box(kind())
    external = box.connect(host, remote) if make is tcp else box.external(host, remote, make)
    monkeypatch.setattr(gateway, "read", None)
    assert box.send(make(host, remote))
    assert box.passes(make(remote, external))


# --- filtering -----------------------------------------------------------------------------------


@ways
@makers
@pytest.mark.parametrize(
    ("filtering", "lets_in"),
    [
        (Filtering.ENDPOINT_INDEPENDENT, (True, True, True)),
        (Filtering.ADDRESS_DEPENDENT, (True, True, False)),
        (Filtering.ADDRESS_AND_PORT_DEPENDENT, (True, False, False)),
    ],
)
def test_a_mapped_port_lets_in_as_the_filter_says(
    way: Way,
    make: Callable[..., bytes],
    filtering: Filtering,
    lets_in: tuple[bool, ...],
) -> None:
    """Whom the host has sent to, another port of that address, another address."""
    kind, host, remote, other = way
    for asker, passes in zip((remote, (remote[0], 80), other), lets_in, strict=True):
        box = Box(kind(filtering=filtering))
        external = box.external(host, remote, make)
        assert box.passes(first(make, asker, external)) is passes
        assert not box.passes(first(make, asker, (external[0], 9)))


@makers
@pytest.mark.parametrize("filtering", list(Filtering))
def test_what_was_let_in_is_answered_from_the_port_it_came_to(
    make: Callable[..., bytes], filtering: Filtering
) -> None:
    """Also where the mapping would show that destination another port."""
    box = Box(Nat(mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT, filtering=filtering))
    external = box.external(A, B, make)
    asker = {Filtering.ENDPOINT_INDEPENDENT: C, Filtering.ADDRESS_DEPENDENT: (B[0], 80)}.get(
        filtering, B
    )
    assert box.passes(first(make, asker, external))
    answer = box.send(tcp(A, asker, "SA") if make is tcp else udp(A, asker))
    assert answer is not None
    assert (answer.source, answer.destination) == (external, asker)


@ways
def test_segments_without_a_session_never_pass(way: Way) -> None:
    """From outside, to a mapped port with the widest filter: silence, and nothing is created."""
    kind, host, remote, other = way
    box = Box(kind(filtering=Filtering.ENDPOINT_INDEPENDENT, unsolicited=Unsolicited.RST))
    external = box.external(host, remote)
    for flags in ("A", "SA", "R", "RA", "FA", "SF", "SR", ""):
        assert box.inbound(tcp(other, external, flags)) == []
        assert box.outbound(tcp(host, other, flags)) == []
    assert (box.model.counts.filtered, box.model.counts.stray) == (8, 8)


# --- unsolicited ---------------------------------------------------------------------------------


@ways
@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("unsolicited", list(Unsolicited))
def test_an_unsolicited_syn_is_answered_as_declared(
    way: Way,
    *,
    mapped: bool,
    unsolicited: Unsolicited,
) -> None:
    """To a mapped port and to another: nothing, RST, an error at once, an error after 6 s."""
    kind, host, remote, other = way
    box = Box(kind(unsolicited=unsolicited))
    external = box.external(host, remote)
    target = (external[0], external[1] if mapped else 9)
    syn = tcp(other, target, "S")
    emissions = box.inbound(syn)
    if unsolicited is Unsolicited.ICMP_AFTER_6_S:
        assert (emissions, box.model.next_deadline()) == ([], 6.0)
        assert box.model.pop_due(5.9) == []
        emissions = box.model.pop_due(6.0)
    assert box.model.next_deadline() is None
    assert (box.model.counts.filtered, box.model.counts.refused) == (1, len(emissions))
    if unsolicited is Unsolicited.SILENCE:
        assert emissions == []
        return
    answer = own_answer(emissions, outwards=True)
    if unsolicited is Unsolicited.RST:
        assert (answer.source, answer.destination, answer.flags) == (target, other, "RA")
    else:
        v6 = ":" in host[0]
        assert (answer.source[0], answer.icmp) == ((OWN6, (1, 1)) if v6 else (OWN, (3, 3)))
        assert (answer.destination[0], answer.quoted) == (other[0], syn)


@pytest.mark.parametrize("unsolicited", list(Unsolicited))
def test_unsolicited_datagrams_are_never_answered(unsolicited: Unsolicited) -> None:
    """UDP and echo replies nobody asked for."""
    box = Box(Nat(unsolicited=unsolicited))
    assert box.inbound(udp(B, (OWN, 9))) == []
    assert box.inbound(echo(B[0], OWN, 9, reply=True)) == []
    assert box.model.next_deadline() is None


@ways
def test_a_syn_the_other_way_cancels_the_error(way: Way) -> None:
    """Within six seconds (RFC 5382 REQ-4); the error to another flow stays due."""
    kind, host, remote, other = way
    box = Box(kind(unsolicited=Unsolicited.ICMP_AFTER_6_S))
    external = (OWN, host[1]) if host is A else host
    box.inbound(tcp(remote, external, "S"))
    box.now = 1.0
    box.inbound(tcp(other, external, "S"))
    box.now = 5.0
    assert box.external(host, remote) == external
    assert box.model.next_deadline() == 7.0
    assert box.passes(tcp(remote, external, "S"))


# --- crossing SYNs -------------------------------------------------------------------------------


@ways
@pytest.mark.parametrize("crossing", [True, False])
def test_a_crossing_syn_passes_where_allowed(way: Way, *, crossing: bool) -> None:
    """Where not it is dropped without an answer, again and again, and the session stays."""
    kind, host, remote, other = way
    filtering = Filtering.ENDPOINT_INDEPENDENT
    box = Box(kind(crossing_syn=crossing, filtering=filtering, unsolicited=Unsolicited.RST))
    external = box.external(host, remote)
    for _ in range(2):
        assert len(box.inbound(tcp(remote, external, "S"))) == crossing
    assert box.model.counts.blocked_crossings == (0 if crossing else 2)
    assert box.passes(tcp(other, external, "S"))
    assert box.passes(tcp(remote, external, "SA"))
    assert box.passes(tcp(remote, external, "S"))


def test_a_simultaneous_open_is_carried_to_its_end() -> None:
    """SYN out, SYN in, SYN-ACK each way: the session is established, not half open."""
    box = Box(Nat(transitory_timeout=10.0))
    external = box.external(A, B)
    for raw, way in (
        (tcp(B, external, "S"), box.receive),
        (tcp(A, B, "SA"), box.send),
        (tcp(B, external, "SA"), box.receive),
    ):
        assert way(raw)
    box.now = 11.0
    assert box.send(tcp(A, B, "PA", b"hello"))


# --- the end of sessions -------------------------------------------------------------------------


@ways
@pytest.mark.parametrize("outwards", [True, False])
@pytest.mark.parametrize("ends", [True, False])
def test_a_reset_passes_and_ends_the_session_where_it_does(
    way: Way, *, outwards: bool, ends: bool
) -> None:
    """At once with its mapping, or after the transitory timeout; then SYNs are unsolicited."""
    kind, host, remote, other = way
    box = Box(kind(rst_ends_session=ends, transitory_timeout=10.0))
    external = box.connect(host, remote)
    reset = (
        box.send(tcp(host, remote, "R")) if outwards else box.receive(tcp(remote, external, "RA"))
    )
    assert reset is not None
    assert box.passes(tcp(remote, external)) is not ends
    box.now = 10.1
    assert not box.passes(tcp(remote, external))
    assert box.external(host, other) == external


def test_a_port_outlives_a_reset_as_its_mapping_does() -> None:
    """With random ports, the next connection has a new one where the RST ended the mapping."""
    for ends in (True, False):
        box = Box(Nat(rst_ends_session=ends, ports=PortAllocation.RANDOM))
        external = box.external(A, B)
        box.receive(tcp(B, external, "RA"))
        assert (box.external(A, B) != external) is ends


IDLE: dict[str, Any] = {
    "established_timeout": 100.0,
    "transitory_timeout": 10.0,
    "udp_timeout": 30.0,
}


@ways
@pytest.mark.parametrize(
    ("state", "lifetime"),
    [("half open", 10.0), ("established", 100.0), ("closing", 10.0), ("udp", 30.0)],
)
def test_a_session_is_forgotten_after_its_idle_time(way: Way, state: str, lifetime: float) -> None:
    """Each packet, of either side, begins it anew; then it is as if there had been nothing."""
    kind, host, remote, other = way
    box = Box(kind(**IDLE))
    if state == "udp":
        external = box.external(host, remote, udp)
    elif state == "half open":
        external = box.external(host, remote)
    else:
        external = box.connect(host, remote)
    if state == "closing":
        assert box.send(tcp(host, remote, "FA"))
        assert box.receive(tcp(remote, external, "FA"))
    answer = udp(remote, external) if state == "udp" else tcp(remote, external)
    for moment in (lifetime - 0.5, 2 * lifetime - 1.0):
        box.now = moment
        assert box.passes(answer)
    box.now += lifetime
    assert not box.passes(answer)
    assert box.model.next_deadline() is None
    assert not box.passes(udp(other, external))


def test_a_syn_opens_a_session_anew() -> None:
    """After FINs, after an RST that left it, and amid a connection: half open from then on."""
    for farewell in (("FA", "FA"), ("A", "R"), ("A", "A")):
        box = Box(Nat(**IDLE, rst_ends_session=False))
        external = box.connect(A, B)
        box.send(tcp(A, B, farewell[0]))
        box.receive(tcp(B, external, farewell[1]))
        assert box.external(A, B) == external
        box.now = 9.0
        assert box.external(A, B) == external
        box.now = 18.0
        assert box.receive(tcp(B, external, "SA"))
        assert box.send(tcp(A, B, "A"))
        box.now = 100.0
        assert box.send(tcp(A, B, "A"))


# --- limits --------------------------------------------------------------------------------------


@makers
def test_a_subscriber_without_ports_is_told(make: Callable[..., bytes]) -> None:
    """Host unreachable for the new flow (RFC 6888 REQ-11); what there was goes on."""
    box = Box(Nat(ports_per_subscriber=2, mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT))
    external = box.external(A, B, make)
    box.external(A, C, make)
    raw = first(make, A, (C[0], 80))
    answer = own_answer(box.outbound(raw), outwards=False)
    assert (answer.source, answer.destination, answer.icmp) == ((OWN, 0), (A[0], 0), (3, 1))
    assert answer.quoted == raw
    assert box.model.counts.exhausted == 1
    assert box.passes(make(B, external))
    assert box.external(A2, (C[0], 80), make)


def test_a_gateway_without_ports_says_the_same() -> None:
    """When all ports from the first up are taken."""
    box = Box(Nat(ports=PortAllocation.RANDOM, first_port=65534))
    assert {box.external((A[0], port), B)[1] for port in (1, 2)} == {65534, 65535}
    answer = own_answer(box.outbound(tcp((A[0], 3), B, "S")), outwards=False)
    assert answer.icmp == (3, 1)


@ways
def test_sessions_are_bounded(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound new flows are dropped, from either side, and counted."""
    kind, host, remote, other = way
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 2)
    box = Box(kind(filtering=Filtering.ENDPOINT_INDEPENDENT))
    external = box.connect(host, remote)
    box.connect(host, other)
    assert [emission.own for emission in box.outbound(tcp((host[0], 3), remote, "S"))] == [True]
    assert box.inbound(tcp((other[0], 80), external, "S")) == []
    assert box.model.counts.exhausted == 2
    assert box.passes(tcp(remote, external))


# --- hairpinning ---------------------------------------------------------------------------------


@makers
@pytest.mark.parametrize(
    ("hairpinning", "source"),
    [
        (Hairpinning.NONE, None),
        (Hairpinning.INTERNAL_SOURCE, A),
        (Hairpinning.EXTERNAL_SOURCE, (OWN, 40000)),
    ],
)
def test_a_host_reaches_another_by_its_external_endpoint(
    make: Callable[..., bytes], hairpinning: Hairpinning, source: Endpoint | None
) -> None:
    """Not at all, under its internal, or under its external source; then answers come back."""
    box = Box(Nat(hairpinning=hairpinning, filtering=Filtering.ENDPOINT_INDEPENDENT))
    external = box.external(D, B, make)
    seen = forwarded(box.outbound(first(make, A, external)), outwards=False)
    if source is None:
        assert seen is None
        assert box.model.counts.unroutable == 1
        return
    assert seen is not None
    assert (seen.source, seen.destination, seen.ttl) == (source, D, 62)
    if hairpinning is Hairpinning.EXTERNAL_SOURCE:
        answer = tcp(D, seen.source, "SA") if make is tcp else udp(D, seen.source)
        back = forwarded(box.outbound(answer), outwards=False)
        assert back is not None
        assert (back.source, back.destination) == (external, A)


def test_crossing_syns_of_two_hosts_inside_pass() -> None:
    """Each has sent to the other's external endpoint; filtered as from outside until then."""
    box = Box(Nat(hairpinning=Hairpinning.EXTERNAL_SOURCE))
    external, external2 = box.external(A, B), box.external(D, B)
    assert box.outbound(tcp(A, external2, "S")) == []
    assert box.model.counts.filtered == 1
    seen = forwarded(box.outbound(tcp(D, external, "S")), outwards=False)
    assert seen is not None
    assert (seen.source, seen.destination) == (external2, A)
    for source, target, flags in ((A, external2, "SA"), (D, external, "SA"), (A, external2, "A")):
        assert forwarded(box.outbound(tcp(source, target, flags)), outwards=False)


def test_crossing_syns_inside_do_not_pass_where_blocked() -> None:
    """The axis holds for hairpinned ones too."""
    box = Box(Nat(hairpinning=Hairpinning.EXTERNAL_SOURCE, crossing_syn=False))
    external, external2 = box.external(A, B), box.external(D, B)
    assert box.outbound(tcp(A, external2, "S")) == []
    assert box.outbound(tcp(D, external, "S")) == []
    assert box.model.counts.blocked_crossings == 1


@pytest.mark.parametrize(
    "unsolicited", [Unsolicited.RST, Unsolicited.ICMP, Unsolicited.ICMP_AFTER_6_S]
)
@pytest.mark.parametrize("hairpinning", [Hairpinning.INTERNAL_SOURCE, Hairpinning.EXTERNAL_SOURCE])
def test_a_refusal_finds_a_host_inside(unsolicited: Unsolicited, hairpinning: Hairpinning) -> None:
    """It is translated back, as one from outside would be, and comes from outside."""
    box = Box(Nat(hairpinning=hairpinning, unsolicited=unsolicited))
    syn = tcp(A, (OWN, 9), "S")
    emissions = box.outbound(syn)
    if unsolicited is Unsolicited.ICMP_AFTER_6_S:
        assert emissions == []
        emissions = box.model.pop_due(6.0)
    answer = own_answer(emissions, outwards=False)
    if unsolicited is Unsolicited.RST:
        assert (answer.source, answer.destination, answer.flags) == ((OWN, 9), A, "RA")
    else:
        quoted = see(answer.quoted, cut=True)
        assert (answer.destination[0], quoted.source, quoted.destination) == (A[0], A, (OWN, 9))
    assert (box.model.counts.filtered, box.model.counts.forwarded) == (1, 0)


def test_a_refusal_that_finds_nobody_inside_is_no_packet_that_came() -> None:
    """The session of whom it would tell is over: it goes nowhere, and is not counted as dropped."""
    box = Box(
        Nat(
            hairpinning=Hairpinning.INTERNAL_SOURCE,
            unsolicited=Unsolicited.ICMP_AFTER_6_S,
            transitory_timeout=5.0,
        )
    )
    assert box.outbound(tcp(A, (OWN, 9), "S")) == []
    assert box.model.pop_due(6.0) == []
    assert (box.model.counts.filtered, box.model.counts.refused) == (1, 1)


def test_an_error_about_a_hairpinned_packet_finds_its_sender() -> None:
    """Translated once on the way out and once on the way in."""
    box = Box(
        Nat(hairpinning=Hairpinning.EXTERNAL_SOURCE, filtering=Filtering.ENDPOINT_INDEPENDENT)
    )
    external = box.external(D, B, udp)
    [emission] = box.outbound(udp(A, external))
    error = icmp_error(D[0], OWN, 3, 3, emission.packet)
    back = forwarded(box.outbound(error), outwards=False)
    assert back is not None
    quoted = see(back.quoted, cut=True)
    assert (back.source[0], back.destination[0]) == (OWN, A[0])
    assert (quoted.source, quoted.destination) == (A, external)


# --- ICMP ----------------------------------------------------------------------------------------


@ways
@makers
def test_an_error_from_outside_reaches_who_caused_it(way: Way, make: Callable[..., bytes]) -> None:
    """Under the internal endpoint, from whichever router; the session stays (REQ-10)."""
    kind, host, remote, other = way
    box = Box(kind())
    [sent] = box.outbound(first(make, host, remote))
    external = see(sent.packet).source
    code = (1, 0) if ":" in host[0] else (3, 1)
    back = box.receive(icmp_error(other[0], external[0], *code, sent.packet))
    assert back is not None
    assert (back.source[0], back.destination[0], back.ttl) == (other[0], host[0], 63)
    assert (see(back.quoted).source, see(back.quoted).destination) == (host, remote)
    assert box.passes(make(remote, external))


@ways
@makers
def test_an_error_from_inside_reaches_who_caused_it(way: Way, make: Callable[..., bytes]) -> None:
    """About the packet as it was outside, from the external address; the session stays."""
    kind, host, remote, _ = way
    box = Box(kind())
    external = box.external(host, remote, make)
    [received] = box.inbound(make(remote, external))
    code = (1, 4) if ":" in host[0] else (3, 3)
    out = box.send(icmp_error(host[0], remote[0], *code, received.packet))
    assert out is not None
    assert (out.source[0], out.destination[0]) == (external[0], remote[0])
    assert (see(out.quoted).source, see(out.quoted).destination) == (remote, external)
    assert box.passes(make(remote, external))


def test_an_error_about_a_ping_finds_who_pinged() -> None:
    """By the identifier of the quoted request."""
    box = Box(Nat(ports=PortAllocation.RANDOM))
    [sent] = box.outbound(echo(A[0], B[0], 7))
    back = box.receive(icmp_error("192.0.2.77", OWN, 11, 0, sent.packet))
    assert back is not None
    assert back.destination == (A[0], 0)
    assert see(back.quoted).source == (A[0], 7)


def test_a_packet_too_big_passes() -> None:
    """IPv6 needs it to find the path's MTU (RFC 4890 §4.3.1)."""
    box = Box()
    [sent] = box.outbound(tcp(A6, B6, "S"))
    assert box.passes(icmp_error(C6[0], A6[0], 2, 0, sent.packet))


@ways
def test_errors_about_nothing_known_are_dropped(way: Way) -> None:
    """From outside, about what never went out; from inside, about what never came in."""
    kind, host, remote, other = way
    box = Box(kind())
    external = box.external(host, remote)
    code = (1, 0) if ":" in host[0] else (3, 1)
    for quoted in (tcp(external, other), tcp(remote, external), b"", udp(external, remote)):
        assert box.inbound(icmp_error(remote[0], external[0], *code, quoted)) == []
    for quoted in (tcp(other, host), b"", udp(remote, host)):
        assert box.outbound(icmp_error(host[0], remote[0], *code, quoted)) == []
    assert (box.model.counts.filtered, box.model.counts.stray) == (4, 3)


@pytest.mark.parametrize("spec", [Nat(), Firewall()])
def test_a_gateway_answers_pings_of_itself(spec: Nat | Firewall) -> None:
    """From both sides, over both IP versions; what is not its own it does not answer."""
    box = Box(spec)
    for own, inside, outside in ((OWN, A[0], B[0]), (OWN6, A6[0], B6[0])):
        answer = own_answer(box.inbound(echo(outside, own, 7)), outwards=True)
        assert (answer.source, answer.destination) == ((own, 7), (outside, 7))
        answer = own_answer(box.outbound(echo(inside, own, 7)), outwards=False)
        assert (answer.source, answer.destination) == ((own, 7), (inside, 7))
    assert box.inbound(echo(B6[0], A6[0], 7)) == []
    assert box.model.counts.answered == 4


# --- routing -------------------------------------------------------------------------------------


@ways
@makers
def test_a_packet_out_of_hops_is_reported_to_its_sender(
    way: Way, make: Callable[..., bytes]
) -> None:
    """From either side; it opens no session and changes none."""
    kind, host, remote, other = way
    box = Box(kind(filtering=Filtering.ENDPOINT_INDEPENDENT))
    flags = {"flags": "S"} if make is tcp else {}
    raw = make(host, remote, ttl=1, **flags)
    own, code = (OWN6, (3, 0)) if ":" in host[0] else (OWN, (11, 0))
    answer = own_answer(box.outbound(raw), outwards=False)
    assert (answer.source[0], answer.destination[0], answer.icmp) == (own, host[0], code)
    assert answer.quoted == raw
    external = (OWN, host[1]) if host is A else host
    assert not box.passes(make(remote, external))
    assert box.external(host, other, make) == external
    answer = own_answer(box.inbound(make(remote, external, ttl=1, **flags)), outwards=True)
    assert (answer.source[0], answer.destination[0], answer.icmp) == (own, remote[0], code)
    box.external(host, remote, make)
    assert own_answer(box.inbound(make(remote, external, ttl=1)), outwards=True).icmp == code


def test_nobody_is_told_of_an_error_about_an_error() -> None:
    """An ICMP error without hops left is dropped (RFC 1812 §4.3.2.7)."""
    box = Box()
    [sent] = box.outbound(tcp(A, B, "S"))
    assert box.inbound(icmp_error(B[0], OWN, 3, 1, sent.packet, ttl=1)) == []
    assert box.outbound(icmp_error(A[0], B[0], 3, 1, b"", ttl=1)) == []
    assert box.model.counts.unroutable == 2


@pytest.mark.parametrize(
    ("spec", "ends", "passes"),
    [
        (Nat(), (A, B), False),
        (Nat(), (A6, B6), True),
        (Firewall(), (P, B), True),
        (Firewall(), (A6, B6), True),
    ],
)
def test_an_unknown_protocol_passes_outwards_where_nothing_is_translated(
    spec: Nat | Firewall,
    ends: tuple[Endpoint, Endpoint],
    passes: bool,  # noqa: FBT001  # a table's column
) -> None:
    """And never inwards."""
    box = Box(spec)
    inside, outside = ends[0][0], ends[1][0]
    out = box.send(ip(inside, outside, 47, b"data"))
    assert (out is not None and out.ttl == 63) is passes
    assert box.inbound(ip(outside, OWN if inside == A[0] else inside, 47, b"data")) == []
    assert (box.model.counts.forwarded, box.model.counts.unroutable) == (
        (1, 0) if passes else (0, 1)
    )
    assert box.model.counts.filtered == 1


UNROUTABLE = {
    "malformed": b"\x45",
    "a later fragment": tcp(A, B)[:6] + b"\0\x10" + tcp(A, B)[8:],
    "from the gateway itself": tcp((OWN, 1), B, "S"),
    "from the gateway itself, IPv6": tcp((OWN6, 1), B6, "S"),
    "to many": udp(A, ("224.0.0.251", 5353)),
    "to one link": tcp(A6, ("fe80::1", 80), "S"),
    "from nowhere": udp(("0.0.0.0", 68), ("255.255.255.255", 67)),
}


@pytest.mark.parametrize("spec", [Nat(hairpinning=Hairpinning.EXTERNAL_SOURCE), Firewall()])
@pytest.mark.parametrize("raw", UNROUTABLE.values(), ids=UNROUTABLE)
def test_what_no_router_forwards_is_dropped(spec: Nat | Firewall, raw: bytes) -> None:
    """From either side, and counted."""
    box = Box(spec)
    assert box.outbound(raw) == box.inbound(raw) == []
    assert box.model.counts.unroutable == 2


def test_a_nat_lets_nothing_in_for_addresses_behind_it() -> None:
    """What it translates is known outside by its own address only."""
    box = Box(Nat(unsolicited=Unsolicited.RST, filtering=Filtering.ENDPOINT_INDEPENDENT))
    box.external(A, B)
    assert box.inbound(tcp(B, A, "S")) == []
    assert box.inbound(echo(B[0], A[0], 7)) == []
    assert box.model.counts.unroutable == 2


def test_a_firewall_has_nothing_behind_its_own_address() -> None:
    """From inside it is not hairpinned, from outside it is unsolicited."""
    box = Box(Firewall(unsolicited=Unsolicited.RST))
    assert box.outbound(tcp(P, (OWN, 80), "S")) == []
    assert own_answer(box.inbound(tcp(B, (OWN, 80), "S")), outwards=True).flags == "RA"


def test_icmp_errors_have_a_limit() -> None:
    """With an interval an address is sent six errors at once; another has six of its own."""
    box = Box(Nat(unsolicited=Unsolicited.ICMP, icmp_interval=1.0))
    target = (OWN, 40000)
    answered = [len(box.inbound(tcp(("198.51.100.9", 1000 + n), target, "S"))) for n in range(20)]
    assert answered == [1] * 6 + [0] * 14
    assert len(box.inbound(tcp(C, target, "S"))) == 1
    assert box.model.counts.refused == 7

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen import Endpoint
from simopen._endpoints import is_private, literal_address, numeric_address
from simopen.rendezvous._candidates import (
    LEAST_PORT,
    MOST_OFFERED,
    Candidate,
    Kind,
    View,
    choose,
    parse_observed,
    usable_addresses,
)

AT_HOME = View(  # behind a NAT, at a coordinator somewhere else
    coordinator=numeric_address("198.51.100.1"),
    local={4: Endpoint("192.168.1.2", 40000), 6: Endpoint("2001:db8:1::2", 40000)},
    observed={4: Endpoint("203.0.113.1", 50000), 6: Endpoint("2001:db8:1::2", 40000)},
    hosts=["127.0.0.1", "::1", "192.168.1.2", "2001:db8:1::2"],
)
AT_WORK = replace(AT_HOME, coordinator=numeric_address("10.0.0.1"))
ON_LOOPBACK = View(
    coordinator=numeric_address("127.0.0.1"),
    local={4: Endpoint("127.0.0.1", 40000)},
    observed={4: Endpoint("127.0.0.1", 40000)},
    hosts=["127.0.0.1", "::1", "192.168.1.2"],
)
ON_THE_LINK = replace(  # the coordinator is reached by its link-local address
    AT_HOME,
    coordinator=numeric_address("fe80::9%2"),
    local={**AT_HOME.local, 6: Endpoint("fe80::2%2", 40000)},
)
VIEWS = [AT_HOME, AT_WORK, ON_LOOPBACK, ON_THE_LINK]

REFUSED = [  # whoever names them
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "224.0.0.1",
    "239.255.255.250",
    "ff02::1",
    "ff05::2%2",
    "255.255.255.255",
    "240.0.0.1",
    "169.254.1.1",
    "fe80::1",
    "::ffff:224.0.0.1",
    "::ffff:169.254.1.1",
    "::ffff:0.0.0.0",
    "64:ff9b::10.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::224.0.0.1",
    "64:ff9b::100.64.0.1",
    "64:ff9b:1::10.0.0.1",
    "64:ff9b:1::8.8.8.8",  # a network's own prefix may hold the address elsewhere (RFC 6052 §2.2)
    "2002:a00:1::1",
    "2002:7f00:1::1",
    "2002:e000:1::1",
    "2001:db8::1%2",  # a zone where there is none
    "::1%1",
    "example.com",
    "",
]
LOOPBACK = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]
PRIVATE = ["10.0.0.1", "172.16.5.5", "192.168.1.9", "100.64.0.1", "fd00::9", "::ffff:10.0.0.1"]
ORDINARY = [
    "192.0.2.1",
    "198.51.100.7",
    "203.0.113.9",
    "198.18.0.1",
    "8.8.8.8",
    "2001:db8::1",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
]


def observe(*endpoints: tuple[str, int]) -> list[str]:
    """Endpoints as a coordinator writes them."""
    return [str(Endpoint(*each)) for each in endpoints]


def remotes(found: Sequence[Candidate]) -> list[Endpoint]:
    """Where they lead."""
    return [each.remote for each in found]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("host", REFUSED)
def test_what_is_no_ordinary_host_is_never_punched(view: View, host: str) -> None:
    """Not on the coordinator's word and not on the peer's, wherever we are."""
    assert choose(view, observe((host, 50000)), [(host, 50000)]) == []


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("port", [0, 1, 22, 80, 443, LEAST_PORT - 1, 65536, 10**30, -1])
def test_low_and_impossible_ports_are_never_punched(view: View, port: int) -> None:
    """Below 1024 are the services that somebody could be made to knock at."""
    observed = ["192.0.2.7:" + str(port), "[2001:db8::7]:" + str(port)]
    assert choose(view, observed, [("192.0.2.7", port), ("192.168.1.9", port)]) == []


@pytest.mark.parametrize("host", ORDINARY)
def test_ordinary_hosts_are_punched(host: str) -> None:
    """Those of documentation and benchmarks too: a test network may use them."""
    port = LEAST_PORT
    assert remotes(choose(AT_HOME, observe((host, port)), [])) == [
        (str(numeric_address(host)), port)
    ]
    assert len(choose(AT_HOME, [], [(host, port)])) == 1


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_is_for_those_whose_coordinator_is_there(host: str) -> None:
    """Anybody else would be sent knocking at doors of his own host."""
    for view in (AT_HOME, AT_WORK, ON_THE_LINK):
        assert choose(view, observe((host, 50000)), [(host, 50000)]) == []
    assert len(choose(ON_LOOPBACK, observe((host, 50000)), [])) == 1


@pytest.mark.parametrize("host", PRIVATE)
def test_private_addresses_need_the_peers_word_or_a_private_coordinator(host: str) -> None:
    """A coordinator out there has nothing to say about our own network."""
    assert choose(AT_HOME, observe((host, 50000)), []) == []
    assert len(choose(AT_HOME, [], [(host, 50000)])) == 1
    assert len(choose(AT_WORK, observe((host, 50000)), [])) == 1


def test_a_link_local_address_is_one_of_our_own_link() -> None:
    """A zone is a name that its host made up: it means something to us only where it is ours."""
    there, elsewhere = ("fe80::7%2", 50000), ("fe80::7%3", 50000)
    assert remotes(choose(ON_THE_LINK, [], [there, elsewhere])) == [there]
    assert choose(AT_HOME, [], [there, elsewhere]) == []


def test_mapped_addresses_are_the_ipv4_address_they_stand_for() -> None:
    """So that no second spelling of an address gets a second lane."""
    mapped, plain = ("::ffff:192.0.2.7", 50000), ("192.0.2.7", 50000)
    assert remotes(choose(AT_HOME, observe(mapped), [mapped, plain])) == [plain]


@pytest.mark.parametrize("view", VIEWS)
def test_we_never_punch_ourselves(view: View) -> None:
    """Neither our own endpoint nor the one that our NAT would bring back to us."""
    for ourselves in (*view.local.values(), *view.observed.values()):
        assert choose(view, [str(ourselves)], [ourselves]) == []


def test_one_observed_endpoint_a_family_and_eight_offered() -> None:
    """Whatever else is said is not looked at."""
    observed = observe(*((f"192.0.2.{n}", 50000) for n in range(9)), ("2001:db8::1", 50000))
    offered = [(f"198.51.100.{n}", 50000) for n in range(20)]
    found = remotes(choose(AT_HOME, observed, offered))
    assert set(found) == {
        ("192.0.2.0", 50000),
        ("2001:db8::1", 50000),
        *offered[:MOST_OFFERED],
    }


def test_a_refused_endpoint_makes_no_room_for_another_of_its_family() -> None:
    """Else a list of them would be a list of targets to choose from."""
    assert choose(AT_HOME, observe(("127.0.0.1", 5000), ("192.0.2.1", 50000)), []) == []


@pytest.mark.parametrize(
    ("view", "observed", "offered", "expected"),
    [
        pytest.param(
            AT_HOME,
            [("203.0.113.1", 50001)],
            [("192.168.1.3", 40001)],
            [("192.168.1.3", Kind.LOCAL, False), ("203.0.113.1", Kind.HAIRPIN, True)],
            id="same-nat",
        ),
        pytest.param(
            AT_HOME,
            [("203.0.113.9", 50001), ("2001:db8::9", 50001)],
            [("192.168.7.3", 40001)],
            [
                ("2001:db8::9", Kind.IPV6, False),
                ("203.0.113.9", Kind.IPV4, False),
                ("192.168.7.3", Kind.LOCAL, True),
            ],
            id="two-homes",
        ),
        pytest.param(
            AT_WORK,
            [("10.0.0.9", 50001)],
            [("2001:db8::9", 50001)],
            [("10.0.0.9", Kind.LOCAL, False), ("2001:db8::9", Kind.IPV6, False)],
            id="one-network",
        ),
        pytest.param(
            ON_LOOPBACK,
            [("127.0.0.1", 50001)],
            [("192.168.1.2", 50001), ("2001:db8::9", 50001)],
            [("127.0.0.1", Kind.LOCAL, False)],
            id="one-host",
        ),
    ],
)
def test_the_order(
    view: View,
    observed: list[tuple[str, int]],
    offered: list[tuple[str, int]],
    expected: list[tuple[str, Kind, bool]],
) -> None:
    """Behind one NAT the local network first, else the public addresses."""
    found = choose(view, observe(*observed), offered)
    assert [(each.remote.host, each.kind, each.late) for each in found] == expected


def test_both_sides_race_the_same_pairs() -> None:
    """Two hosts behind one NAT begin with their own network, both, and end with the hairpin."""
    one = AT_HOME
    other = replace(
        AT_HOME,
        local={4: Endpoint("192.168.1.3", 40001)},
        observed={4: Endpoint("203.0.113.1", 50001)},
        hosts=["127.0.0.1", "192.168.1.3"],
    )
    from_one = choose(one, [str(other.observed[4])], [other.local[4]])
    from_other = choose(other, [str(one.observed[4])], [one.local[4]])
    assert [each.kind for each in from_one] == [each.kind for each in from_other]
    assert [each.kind for each in from_one] == [Kind.LOCAL, Kind.HAIRPIN]
    assert [each.late for each in from_one] == [each.late for each in from_other]


ADDRESSES = st.one_of(
    st.sampled_from(REFUSED + LOOPBACK + PRIVATE + ORDINARY),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
    st.ip_addresses(v=4).map(lambda v4: f"::ffff:{v4}"),
    st.ip_addresses(v=4).map(lambda v4: f"64:ff9b::{v4}"),
    st.integers(0, 2**32 - 1).map(
        lambda v4: str(ipaddress.IPv6Address((0x2002 << 112) + (v4 << 80)))
    ),
    st.tuples(st.sampled_from(["fe80::1", "::1", "2001:db8::1"]), st.text(max_size=5)).map(
        "%".join
    ),
    st.text(max_size=20),
)
PORTS = st.one_of(st.integers(), st.integers(0, 70000), st.sampled_from([80, 1023, 1024, 65535]))
OFFERED = st.lists(st.tuples(ADDRESSES, PORTS), max_size=12)
OBSERVED = st.lists(
    st.one_of(st.tuples(ADDRESSES, PORTS).map(lambda each: str(Endpoint(*each))), st.text())
)


def refused(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether nobody may make us send to it: said again, by the numbers."""
    value = int(address)
    odd = address.is_unspecified or address.is_multicast
    if isinstance(address, ipaddress.IPv4Address):
        return odd or address.is_link_local or value >> 28 == 0xF or value >> 24 == 0
    if value >> 32 == 0x64FF9B << 64:
        return any_trouble(ipaddress.IPv4Address(value & 0xFFFFFFFF))
    if value >> 112 == 0x2002:
        return any_trouble(ipaddress.IPv4Address(value >> 80 & 0xFFFFFFFF))
    mapped, local_nat64 = value >> 32 == 0xFFFF, value >> 80 == 0x64FF9B0001
    stray_zone = bool(address.scope_id) != address.is_link_local
    return odd or mapped or local_nat64 or stray_zone


def any_trouble(wrapped: ipaddress.IPv4Address) -> bool:
    """Whether a wrapped address would be refused, or is one that a relay would have at home."""
    return refused(wrapped) or wrapped.is_loopback or is_private(wrapped)


@given(st.sampled_from(VIEWS), OBSERVED, OFFERED)
def test_whatever_is_said_no_refused_endpoint_is_a_candidate(
    view: View, observed: list[str], offered: list[tuple[str, int]]
) -> None:
    """Nothing that a coordinator and a peer can say together aims us at what is refused."""
    found = choose(view, observed, offered)
    assert len(set(remotes(found))) == len(found) <= 2 + MOST_OFFERED
    by_peer = {
        (str(getattr(address, "ipv4_mapped", None) or address), port)
        for host, port in offered[:MOST_OFFERED]
        if (address := literal_address(host)) is not None
    }
    for each in found:
        address = ipaddress.ip_address(each.remote.host)
        assert LEAST_PORT <= each.remote.port <= 65535
        assert not refused(address)
        assert not address.is_loopback or view.coordinator.is_loopback
        assert each.remote not in (*view.local.values(), *view.observed.values())
        if each.remote not in by_peer and is_private(address):
            assert is_private(view.coordinator)
    not_offered = [each.remote for each in found if each.remote not in by_peer]
    versions = [ipaddress.ip_address(each.host).version for each in not_offered]
    assert len(set(versions)) == len(versions)  # at most one a family


@given(st.text())
def test_any_text_is_an_endpoint_or_none(text: str) -> None:
    """What a coordinator writes is not ours to fail on."""
    found = parse_observed(text)
    assert found is None or literal_address(found.host) is not None


def test_a_port_of_any_length_is_none() -> None:
    """A number of five thousand digits is no port, and no error either."""
    assert parse_observed("192.0.2.1:" + "9" * 5000) is None


def test_what_we_offer_is_what_a_peer_may_punch() -> None:
    """An address that the other side would refuse takes no place in the offer."""
    hosts = ["127.0.0.1", "::1", "169.254.3.3", "fe80::1", "192.168.1.2", "2001:db8::2"]
    assert usable_addresses(hosts, on_loopback=False) == ["192.168.1.2", "2001:db8::2"]
    assert usable_addresses(hosts, on_loopback=True)[:2] == ["127.0.0.1", "::1"]


def test_what_the_offer_names_is_not_refused_because_the_coordinator_names_it_too() -> None:
    """A public coordinator may well see two hosts by their private addresses."""
    (found,) = choose(AT_HOME, ["192.168.1.20:6000"], [("192.168.1.20", 6000)])
    assert found.remote == ("192.168.1.20", 6000)
    assert choose(AT_HOME, ["192.168.1.20:6000"], []) == []

"""Plans: who is given which address."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen.lab import Firewall, HostSpec, KernelNat, Nat, Site, Topology
from simopen.lab._plan import Plan, SitePlan
from simopen.lab._planning import plan


def planned(*sites: Site) -> list[SitePlan]:
    """The sites of a plan."""
    return list(plan(Topology(sites=sites)).sites)


def test_a_host_without_gateway_has_a_public_address() -> None:
    """The internet's addresses are given out in order."""
    first, second = planned(Site("x", hosts=["a", "b"]), Site("y", hosts=["c"]))
    assert [host.ipv4 for host in (*first.hosts, *second.hosts)] == [
        "203.0.113.1",
        "203.0.113.2",
        "203.0.113.3",
    ]
    assert first.public


@pytest.mark.parametrize("gateway", [Nat(), KernelNat(), "home-router"])
def test_behind_a_nat_hosts_have_private_addresses(gateway: Nat | KernelNat | str) -> None:
    """The NAT has the public address, its hosts those of a network of its own."""
    home, other = planned(
        Site("home", hosts=["a", "b"], gateway=gateway), Site("other", hosts=["c"])
    )
    assert home.ipv4 == "203.0.113.1"
    assert [host.ipv4 for host in home.hosts] == ["192.168.1.2", "192.168.1.3"]
    assert other.hosts[0].ipv4 == "203.0.113.2"
    assert not home.public
    assert list(home.addresses(4)) == ["203.0.113.1"]


def test_behind_a_firewall_addresses_are_public() -> None:
    """A firewall has an address and hides none."""
    (site,) = planned(Site("office", hosts=["a"], gateway=Firewall()))
    assert list(site.addresses(4)) == ["203.0.113.1", "203.0.113.2"]


def test_double_nat() -> None:
    """Homes behind a carrier's NAT have shared addresses outside and private ones inside."""
    homes = [Site(name, hosts=[f"in-{name}"], gateway=Nat()) for name in ("x", "y")]
    (carrier,) = planned(Site("carrier", gateway=Nat(), sites=homes))
    assert carrier.ipv4 == "203.0.113.1"
    assert [home.ipv4 for home in carrier.sites] == ["100.64.1.2", "100.64.1.3"]
    assert [home.hosts[0].ipv4 for home in carrier.sites] == ["192.168.2.2", "192.168.3.2"]


def test_ipv6_is_never_translated() -> None:
    """The outside reaches every host by its own IPv6 address, through any gateway."""
    homes = [Site("x", hosts=["a"], gateway=Nat())]
    (carrier,) = planned(Site("carrier", gateway=Nat(), sites=homes))
    assert list(carrier.addresses(6)) == ["2001:db8:1::1", "2001:db8:2::1", "2001:db8:2::2"]


def test_what_was_said_is_kept() -> None:
    """Given addresses are used, and nobody else is given them."""
    said = HostSpec("a", ipv4="203.0.113.1", ipv6="2001:db8:1::1")
    home = Site("home", hosts=["c"], gateway=Nat(), ipv4="203.0.113.3", lan="192.168.1.0/24")
    first, second = planned(Site("x", hosts=[said, "b"]), home)
    assert [host.ipv4 for host in first.hosts] == ["203.0.113.1", "203.0.113.2"]
    assert [host.ipv6 for host in first.hosts] == ["2001:db8:1::1", "2001:db8:1::2"]
    assert second.ipv4 == "203.0.113.3"
    assert second.hosts[0].ipv4 == "192.168.1.2"


def test_two_homes_may_have_the_same_network() -> None:
    """As they do in the real world."""
    lan = "192.168.1.0/24"
    homes = planned(*(Site(n, hosts=[f"h-{n}"], gateway=Nat(), lan=lan) for n in ("x", "y")))
    assert [home.hosts[0].ipv4 for home in homes] == ["192.168.1.2", "192.168.1.2"]


def test_an_address_given_twice() -> None:
    """In one area, it is refused; in another it is another's business."""
    a, b = (HostSpec(name, ipv4="203.0.113.1") for name in "ab")
    with pytest.raises(ValueError, match="given twice"):
        planned(Site("x", hosts=[a]), Site("y", hosts=[b]))
    planned(Site("x", hosts=[a], gateway=Nat()), Site("y", hosts=[b]))


def test_a_network_too_small() -> None:
    """More hosts than addresses are refused."""
    with pytest.raises(ValueError, match="too small"):
        planned(Site("x", hosts=["a", "b"], gateway=Nat(), lan="192.168.1.0/30"))


def test_a_network_inside_nothing() -> None:
    """A firewall has no network of its own to give a name to."""
    with pytest.raises(ValueError, match="translates nothing"):
        planned(Site("x", hosts=["a"], gateway=Firewall(), lan="192.168.1.0/24"))


def test_an_unknown_preset() -> None:
    """A preset's name that is none is refused when it is planned."""
    with pytest.raises(ValueError, match="nonesuch"):
        planned(Site("x", hosts=["a"], gateway="nonesuch"))


@pytest.mark.parametrize(
    "wrong",
    [
        Site("x", hosts=["a"], link=0.01),  # type: ignore[arg-type]
        Site("x", hosts=["a"], gateway=Nat(mapping="foo")),  # type: ignore[arg-type]
    ],
)
def test_a_value_of_a_wrong_type(wrong: Site) -> None:
    """What Python does not notice is refused before anything is built, and told where it is."""
    with pytest.raises(ValueError, match=r"the declaration is wrong: .*\$\.sites"):
        planned(wrong)


def test_too_many_sites() -> None:
    """One octet counts the sites."""
    with pytest.raises(ValueError, match="at most 255"):
        planned(*(Site(f"s{n}", hosts=[f"h{n}"]) for n in range(256)))


def test_routers_are_the_kernels() -> None:
    """Only a kernel's gateway needs a namespace."""
    topology = Topology(
        sites=[
            Site("x", hosts=["a"], gateway=Nat()),
            Site("y", hosts=["b"], gateway=KernelNat()),
        ]
    )
    assert [site.name for site, _ in plan(topology).routers()] == ["y"]


gateways = st.sampled_from([None, Nat(), Firewall(), KernelNat()])


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """Trees of sites, three deep."""
    names = iter(range(1_000))

    def site(depth: int) -> Site:
        inner = [site(depth - 1) for _ in range(draw(st.integers(0, 2)))] if depth else []
        hosts = [f"h{next(names)}" for _ in range(draw(st.integers(0 if inner else 1, 2)))]
        return Site(f"s{next(names)}", hosts=hosts, gateway=draw(gateways), sites=inner)

    return Topology(
        sites=[site(2) for _ in range(draw(st.integers(1, 3)))], seed=draw(st.integers())
    )


@given(topologies())
def test_plans_survive_the_wire_and_addresses_differ(topology: Topology) -> None:
    """A plan is the same on the other side; within each area no address is given twice."""
    made = plan(topology, {"/x": ["a", "b"]})
    assert Plan.from_json(made.to_json()) == made
    public = [address for site in made.sites for address in site.addresses(4)]
    assert len(set(public)) == len(public)
    ipv6 = [address for site in made.sites for address in site.addresses(6)]
    assert len(set(ipv6)) == len(ipv6)
    for site in made.walk():
        inside = list(site.inner_addresses(4))
        assert len(set(inside)) == len(inside)
        if not site.public:
            assert not any(ipaddress.ip_address(address).is_global for address in inside)

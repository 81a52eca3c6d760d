"""Declarations: what is taken and what is refused, with which words."""

from __future__ import annotations

from typing import Any

import pytest

from simopen.lab import HostSpec, Link, Site, Topology
from simopen.lab.nat import Firewall, Nat


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"latency": -1}, "latency is a number of seconds"),
        ({"latency": float("nan")}, "latency is a number of seconds"),
        ({"jitter": float("inf")}, "jitter is a number of seconds"),
        ({"loss": 1.5}, "loss is a chance"),
        ({"duplication": -0.1}, "duplication is a chance"),
        ({"reordering": 2}, "reordering is a chance"),
        ({"reordering_delay": -1}, "reordering_delay is a number"),
        ({"rate": 0}, "rate is a number of bits"),
        ({"capacity": 0}, "at least one packet"),
    ],
)
def test_what_no_link_can_be(wrong: dict[str, Any], words: str) -> None:
    """Each figure of a link is checked, and named when it is wrong."""
    with pytest.raises(ValueError, match=words):
        Link(**wrong)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"established_timeout": 0}, "established_timeout"),
        ({"transitory_timeout": -1}, "transitory_timeout"),
        ({"udp_timeout": float("inf")}, "udp_timeout"),
        ({"ports_per_subscriber": 0}, "ports_per_subscriber"),
        ({"first_port": 70_000}, "first_port"),
    ],
)
def test_what_no_nat_can_be(wrong: dict[str, Any], words: str) -> None:
    """So is each of a NAT."""
    with pytest.raises(ValueError, match=words):
        Nat(**wrong)
    if "timeout" in words:
        with pytest.raises(ValueError, match=words):
            Firewall(**wrong)


@pytest.mark.parametrize("name", ["", "a b", "x" * 31, "a.b", "ä"])
def test_names(name: str) -> None:
    """A name is short and plain: it stands in file names and command lines."""
    with pytest.raises(ValueError, match="a name has"):
        Site(name, hosts=["a"])
    with pytest.raises(ValueError, match="a name has"):
        HostSpec(name)


def test_addresses_are_addresses() -> None:
    """An address of the wrong family or none at all is refused."""
    with pytest.raises(ValueError, match="IPv4"):
        HostSpec("a", ipv4="2001:db8::1")
    with pytest.raises(ValueError, match="IPv6"):
        HostSpec("a", ipv6="192.0.2.1")
    with pytest.raises(ValueError, match="nonsense"):
        Site("a", hosts=["b"], gateway=Nat(), lan="nonsense")
    with pytest.raises(ValueError, match="no gateway"):
        Site("a", hosts=["b"], ipv4="192.0.2.1")


def test_hosts_is_a_list() -> None:
    """A bare name in its place would be taken for many hosts of one letter."""
    with pytest.raises(TypeError, match=r"hosts=\['alice'\]"):
        Site("home", hosts="alice")
    with pytest.raises(TypeError, match="a name or a HostSpec, not 1"):
        Site("home", hosts=[1])  # type: ignore[list-item]


def test_a_site_holds_something() -> None:
    """An empty site is a mistake."""
    with pytest.raises(ValueError, match="neither hosts nor sites"):
        Site("home")
    with pytest.raises(ValueError, match="at least one site"):
        Topology(sites=[])


def test_names_are_unique() -> None:
    """Two hosts of one name are refused, at any depth, and a host named as a site."""
    inner = Site("inner", hosts=["a"])
    with pytest.raises(ValueError, match="called 'a'"):
        Topology(sites=[Site("outer", sites=[inner]), Site("other", hosts=["a"])])
    with pytest.raises(ValueError, match="called 'home'"):
        Topology(sites=[Site("home", hosts=["home"])])


@pytest.mark.parametrize("mtu", [100, 70_000])
def test_mtu(mtu: int) -> None:
    """An MTU lies within what IPv6 and TUN devices allow."""
    with pytest.raises(ValueError, match="MTU"):
        Topology(sites=[Site("a", hosts=["b"])], mtu=mtu)


def test_walk_goes_outside_in() -> None:
    """Sites come before what is inside them."""
    inner = Site("inner", hosts=["a"])
    topology = Topology(sites=[Site("outer", sites=[inner]), Site("other", hosts=["b"])])
    assert [site.name for site in topology.walk()] == ["outer", "inner", "other"]

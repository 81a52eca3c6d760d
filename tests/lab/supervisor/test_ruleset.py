"""The rules of a Linux router, read as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simopen.lab.nat import KernelAnswer, KernelFirewall, KernelNat, Masquerade
from simopen.lab.supervisor._ruleset import ruleset

_FROM_INSIDE = [
    {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lan"}},
    {"accept": None},
]
_OF_A_CONNECTION = [
    {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}},
    {"accept": None},
]
_TCP = {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}}
_ANSWERS: dict[KernelAnswer, list[list[dict[str, Any]]]] = {
    KernelAnswer.DROP: [[{"drop": None}]],
    KernelAnswer.TCP_RESET: [[_TCP, {"reject": {"type": "tcp reset"}}], [{"drop": None}]],
    KernelAnswer.ICMP: [[{"reject": {"type": "icmpx", "expr": "port-unreachable"}}]],
    KernelAnswer.NO_FILTER: [],
}


def _added(gateway: KernelNat | KernelFirewall, kind: str) -> list[dict[str, Any]]:
    """Everything of one kind that the rules of a router add."""
    commands = ruleset(gateway, outside="wan", inside="lan")["nftables"]
    return [command["add"][kind] for command in commands if kind in command["add"]]


def _rules(gateway: KernelNat | KernelFirewall, chain: str) -> list[list[dict[str, Any]]]:
    return [rule["expr"] for rule in _added(gateway, "rule") if rule["chain"] == chain]


@pytest.mark.parametrize("kind", [KernelNat, KernelFirewall])
@pytest.mark.parametrize("answer", KernelAnswer)
def test_what_passes_through(kind: type[KernelNat | KernelFirewall], answer: KernelAnswer) -> None:
    """Inside and connections pass, in this order, and only then comes the declared answer."""
    rules = _rules(kind(unsolicited=answer), "forward")
    assert rules == [_FROM_INSIDE, _OF_A_CONNECTION, *_ANSWERS[answer]]


@pytest.mark.parametrize("answer", KernelAnswer)
def test_what_is_for_the_router_itself(answer: KernelAnswer) -> None:
    """The same, but that pings of either IP version come in first."""
    rules = _rules(KernelNat(unsolicited=answer), "input")
    pings = rules[2:4]
    assert [rule[0]["match"]["left"]["payload"]["protocol"] for rule in pings] == ["icmp", "icmpv6"]
    assert rules[:2] + rules[4:] == [_FROM_INSIDE, _OF_A_CONNECTION, *_ANSWERS[answer]]


@pytest.mark.parametrize(
    ("ports", "statement"),
    [
        (Masquerade.PRESERVING, {"masquerade": None}),
        (Masquerade.RANDOM, {"masquerade": {"flags": "random"}}),
        (Masquerade.FULLY_RANDOM, {"masquerade": {"flags": "fully-random"}}),
    ],
)
def test_masquerade(ports: Masquerade, statement: dict[str, Any]) -> None:
    """A NAT translates IPv4 towards the outside, with the declared flag, after all filters."""
    gateway = KernelNat(ports=ports)
    outwards = {"match": {"op": "==", "left": {"meta": {"key": "oifname"}}, "right": "wan"}}
    assert _rules(gateway, "postrouting") == [[outwards, statement]]
    (chain,) = [chain for chain in _added(gateway, "chain") if chain["type"] == "nat"]
    assert (chain["family"], chain["hook"], chain["prio"]) == ("ip", "postrouting", 100)


def test_a_firewall_translates_nothing() -> None:
    """It has the filter's table and no other."""
    gateway = KernelFirewall()
    assert [table["name"] for table in _added(gateway, "table")] == ["filter"]
    assert {rule["table"] for rule in _added(gateway, "rule")} == {"filter"}


def test_it_is_json() -> None:
    """The document survives the way to nft."""
    document = ruleset(KernelNat(), outside="wan", inside="lan")
    assert json.loads(json.dumps(document)) == document

"""The rules of a Linux router, as the JSON document that `nft -j` reads. Pure.

Theory of operation
-------------------
Table `filter` holds for both IP versions. Its chains `forward`, for what passes through, and
`input`, for what is meant for the router itself, say the same: what comes from inside is let
through, what belongs to a connection likewise, and the rest is answered as the gateway declares.
`input` also lets pings in. A packet that is dropped or rejected here leaves no trace in connection
tracking, which remembers a new connection only once its first packet has come through all rules.

At a `KernelNat`, table `nat` masquerades what goes outside over IPv4. It translates nothing else:
IPv6, and IPv4 that would reach an inside address untranslated, meet chain `forward`; what is sent
to the outside address and belongs to no connection is for the router itself and meets `input`.

With `KernelAnswer.TCP_RESET` a TCP segment is answered with RST and anything else dropped. With
`KernelAnswer.ICMP` everything is answered with "port unreachable", ICMP's or ICMPv6's, which a
connecting Linux reports as ECONNREFUSED.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from simopen.lab.nat import KernelAnswer, KernelFirewall, KernelNat, Masquerade

Json: TypeAlias = dict[str, Any]
"""An object of libnftables-json(5)."""

_FILTER = {"family": "inet", "table": "filter"}
_NAT = {"family": "ip", "table": "nat"}  # in `inet` it could move ports of IPv6, too, on a clash
_FILTER_PRIORITY = 0
_SOURCE_NAT_PRIORITY = 100  # after all filters, linux/netfilter_ipv4.h

_CONNECTION_STATE: Json = {"ct": {"key": "state"}}
_ACCEPT: Json = {"accept": None}
_DROP: Json = {"drop": None}

_MASQUERADE: dict[Masquerade, Json] = {
    Masquerade.PRESERVING: {"masquerade": None},
    Masquerade.RANDOM: {"masquerade": {"flags": "random"}},
    Masquerade.FULLY_RANDOM: {"masquerade": {"flags": "fully-random"}},
}


def ruleset(gateway: KernelNat | KernelFirewall, *, outside: str, inside: str) -> Json:
    """Return the rules of a router, for a network namespace that has none yet.

    Args:
        gateway: What it is to do.
        outside: Name of its device towards the outside.
        inside: Name of its device towards the inside.
    """
    commands = [
        _add("table", family=_FILTER["family"], name=_FILTER["table"]),
        *_filter_chain("forward", gateway.unsolicited, inside),
        *_filter_chain("input", gateway.unsolicited, inside),
    ]
    if isinstance(gateway, KernelNat):
        commands += _masquerade(gateway.ports, outside)
    return {"nftables": commands}


def _filter_chain(hook: str, unsolicited: KernelAnswer, inside: str) -> list[Json]:
    rules = [
        [_is(_meta("iifname"), inside), _ACCEPT],
        [_is(_CONNECTION_STATE, ["established", "related"], op="in"), _ACCEPT],
    ]
    if hook == "input":
        rules += [[_is(_type_of(icmp), "echo-request"), _ACCEPT] for icmp in ("icmp", "icmpv6")]
    rules += _answer(unsolicited)
    return [
        _add("chain", **_FILTER, **_base(hook, "filter", _FILTER_PRIORITY)),
        *(_add("rule", **_FILTER, chain=hook, expr=rule) for rule in rules),
    ]


def _answer(unsolicited: KernelAnswer) -> list[list[Json]]:
    """Return the rules for what nothing inside has asked for."""
    match unsolicited:
        case KernelAnswer.DROP:
            return [[_DROP]]
        case KernelAnswer.TCP_RESET:
            return [[_is(_meta("l4proto"), "tcp"), {"reject": {"type": "tcp reset"}}], [_DROP]]
        case KernelAnswer.ICMP:
            return [[{"reject": {"type": "icmpx", "expr": "port-unreachable"}}]]
        case KernelAnswer.NO_FILTER:
            return []


def _masquerade(ports: Masquerade, outside: str) -> list[Json]:
    chain = "postrouting"
    rule = [_is(_meta("oifname"), outside), _MASQUERADE[ports]]
    return [
        _add("table", family=_NAT["family"], name=_NAT["table"]),
        _add("chain", **_NAT, **_base(chain, "nat", _SOURCE_NAT_PRIORITY)),
        _add("rule", **_NAT, chain=chain, expr=rule),
    ]


def _add(kind: str, **fields: object) -> Json:
    return {"add": {kind: fields}}


def _base(hook: str, kind: str, priority: int) -> Json:
    """Return the fields of a chain that the kernel calls at a hook of the same name."""
    return {"name": hook, "type": kind, "hook": hook, "prio": priority, "policy": "accept"}


def _is(left: Json, right: str | list[str], op: str = "==") -> Json:
    return {"match": {"op": op, "left": left, "right": right}}


def _meta(key: str) -> Json:
    return {"meta": {"key": key}}


def _type_of(icmp: str) -> Json:
    return {"payload": {"protocol": icmp, "field": "type"}}

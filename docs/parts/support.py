"""What works where: by what stands in front of a host, and by its operating system.

The counts are those of `benchmarks/results/presets.jsonl`. What is not tested is said to work where
the same works on Linux, and only called believed; what cannot work on one system can on none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import presets
from benchmarks.common import read_lines
from docs.tables import table
from simopen import lab

SYSTEMS = ("Linux", "macOS", "FreeBSD, OpenBSD", "Windows")
KINDS = {
    "public address": "no gateway",
    "drops": "a NAT or firewall that is silent to what it does not expect",
    "RST": "one that answers it with a reset",
    "ICMP": "one that answers it with an ICMP error",
    "blocks crossing SYNs": "a NAT that takes every SYN from outside for a new connection",
    "changing ports": "a NAT that gives each destination another port",
}


def kind_of(gateway: Any) -> str:  # noqa: ANN401 - any of the declarations
    """What a gateway is to a punch; the strangest of its traits decides."""
    if gateway is None:
        return "public address"
    if isinstance(gateway, lab.KernelNat):
        changing = gateway.ports is not lab.Masquerade.PRESERVING
    else:
        mapping = getattr(gateway, "mapping", lab.Mapping.ENDPOINT_INDEPENDENT)
        changing = mapping is not lab.Mapping.ENDPOINT_INDEPENDENT
    if changing:
        return "changing ports"
    if not getattr(gateway, "crossing_syn", True):
        return "blocks crossing SYNs"
    if gateway.unsolicited in (lab.KernelAnswer.TCP_RESET, lab.KernelAnswer.NO_FILTER):
        return "RST"
    return {"rst": "RST", "icmp": "ICMP"}.get(str(gateway.unsolicited), "drops")


def counted() -> dict[str, dict[str, tuple[int, int]]]:
    """How many meetings of each preset succeeded, of how many, by what it met."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for record in read_lines("presets.jsonl")[1]:
        one, other = record["sites"]
        found.setdefault(one, {})[other] = (record["met"], record["trials"])
    return found


def by_preset() -> str:
    """Every preset and how many of its meetings succeeded."""

    def rows() -> Iterator[list[str]]:
        for name, met in counted().items():
            counts = (met[other] for other in (*presets.AGAINST, name))
            kind = kind_of(lab.PRESETS[name].gateway)
            yield [f"`{name}`", kind, *(f"{good} of {all_}" for good, all_ in counts)]

    return table(["preset", "kind", *presets.HEAD[1:4]], rows())


def verdict(kind: str) -> str:
    """How Linux fared behind a kind of gateway, against open hosts and home routers together."""
    met = [
        met[other]
        for name, met in counted().items()
        if kind_of(lab.PRESETS[name].gateway) == kind
        for other in presets.AGAINST
    ]
    good, tried = sum(each[0] for each in met), sum(each[1] for each in met)
    return f"tested: {good} of {tried}" if good else f"cannot: 0 of {tried}"


def by_system() -> str:
    """Operating systems and kinds of gateways."""

    def rows() -> Iterator[list[str]]:
        for kind, what in KINDS.items():
            linux = verdict(kind)
            others = "cannot" if linux.startswith("cannot") else "believed"
            yield [f"**{kind}**: {what}", linux, *[others] * (len(SYSTEMS) - 1)]

    return table(["in front of the host", *SYSTEMS], rows())


PARTS: dict[str, Callable[[], str]] = {
    "support by preset": by_preset,
    "support by system": by_system,
}

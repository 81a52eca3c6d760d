"""Gateways by name."""

from __future__ import annotations

import random
from typing import Any, cast

import pytest

from simopen.lab.nat import (
    Filtering,
    Firewall,
    Hairpinning,
    KernelFirewall,
    KernelNat,
    Mapping,
    Nat,
    PortAllocation,
    Unsolicited,
)
from simopen.lab.presets import PRESETS, Preset, preset
from simopen.lab.wire.gateway import GatewayModel

PROMISED = [
    "open",
    "full-cone",
    "restricted-cone",
    "port-restricted-cone",
    "symmetric",
    "symmetric-sequential",
    "address-dependent",
    "port-overloading",
    "home-router",
    "home-router-rst",
    "home-router-icmp",
    "rfc5382",
    "carrier-grade",
    "cellular",
    "crossing-blocked",
    "linux-masquerade",
    "linux-masquerade-random",
    "pf",
    "firewall",
    "firewall-rst",
    "firewall-icmp",
    "ipv6-router",
    "kernel",
    "kernel-random",
    "kernel-fully-random",
    "kernel-rst",
    "kernel-icmp",
    "kernel-no-filter",
    "kernel-firewall",
]


def test_every_promised_name_is_there() -> None:
    """Names are what users write into their topologies."""
    assert set(PROMISED) <= set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_what_it_resembles(name: str) -> None:
    """In a sentence; and its gateway is found by its name."""
    text = PRESETS[name].resembles
    assert text[0].isupper() or text.startswith("pf ")
    assert text.endswith(".")
    assert "  " not in text
    assert preset(name) == PRESETS[name].gateway


def test_no_two_names_mean_the_same() -> None:
    """But port-restricted-cone, which is what most home routers are."""
    names: dict[Any, list[str]] = {}
    for name, entry in PRESETS.items():
        names.setdefault(entry.gateway, []).append(name)
    shared = [same for same in names.values() if len(same) > 1]
    assert shared == [["port-restricted-cone", "home-router"]]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_can_be_played(name: str) -> None:
    """By a model, by a kernel, or by nothing at all."""
    gateway = PRESETS[name].gateway
    if isinstance(gateway, Nat | Firewall):
        GatewayModel(gateway, ipv4="203.0.113.1", ipv6="2001:db8::1", chance=random.Random(1))
    else:
        assert gateway is None or isinstance(gateway, KernelNat | KernelFirewall)
        assert name.startswith("kernel") or name == "open"


@pytest.mark.parametrize(
    ("name", "axes"),
    [
        ("full-cone", {"filtering": Filtering.ENDPOINT_INDEPENDENT}),
        ("restricted-cone", {"filtering": Filtering.ADDRESS_DEPENDENT}),
        ("port-restricted-cone", {"filtering": Filtering.ADDRESS_AND_PORT_DEPENDENT}),
        ("symmetric", {"mapping": Mapping.ADDRESS_AND_PORT_DEPENDENT}),
        ("home-router", {"unsolicited": Unsolicited.SILENCE, "ports": PortAllocation.PRESERVING}),
        ("home-router-rst", {"unsolicited": Unsolicited.RST}),
        ("home-router-icmp", {"unsolicited": Unsolicited.ICMP}),
        ("crossing-blocked", {"crossing_syn": False}),
        ("rfc5382", {"unsolicited": Unsolicited.ICMP_AFTER_6_S, "rst_ends_session": False}),
        ("carrier-grade", {"hairpinning": Hairpinning.EXTERNAL_SOURCE}),
        ("pf", {"first_port": 50_001, "ports": PortAllocation.RANDOM}),
        ("ipv6-router", {"filtering": Filtering.ENDPOINT_INDEPENDENT}),
    ],
)
def test_a_preset_has_the_axes_its_name_stands_for(name: str, axes: dict[str, Any]) -> None:
    """What the name says is what one gets."""
    gateway = preset(name)
    assert {axis: getattr(gateway, axis) for axis in axes} == axes


@pytest.mark.parametrize(
    ("name", "hint"),
    [("home_router", "'home-router'"), ("fullcone", "'full-cone'"), ("Symmetric", "'symmetric'")],
)
def test_a_misspelt_name_is_met_with_the_right_one(name: str, hint: str) -> None:
    """And with the list of all."""
    with pytest.raises(ValueError, match=f"did you mean {hint}\\?") as caught:
        preset(name)
    assert all(known in str(caught.value) for known in PRESETS)


def test_a_name_like_no_other_is_met_with_the_list() -> None:
    """Without a guess."""
    with pytest.raises(
        ValueError, match=r"no preset is called 'xyzzy'\. There are: open, "
    ) as caught:
        preset("xyzzy")
    assert "did you mean" not in str(caught.value)


def test_presets_cannot_be_changed() -> None:
    """They mean the same for everybody."""
    table = cast("dict[str, Preset]", PRESETS)
    with pytest.raises(TypeError):
        table["open"] = PRESETS["home-router"]

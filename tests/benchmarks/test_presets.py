"""Which pairs of presets are met, which are asked to meet, and what is said of them."""

from __future__ import annotations

from benchmarks import presets
from docs.parts import support
from simopen import lab
from simopen.lab._planning import plan


def test_every_preset_meets_an_open_host_a_home_router_and_itself() -> None:
    """Each pair once."""
    found = [pair.sites for pair in presets.pairs()]
    assert len(found) == len(set(found))
    for name in lab.PRESETS:
        assert {(name, "open"), (name, "home-router"), (name, name)} <= set(found)


def test_who_cannot_meet_gives_each_destination_another_port() -> None:
    """By its declaration; no other preset does."""
    changing = {
        name
        for name, preset in lab.PRESETS.items()
        if support.kind_of(preset.gateway) == "changing ports"
    }
    assert set(presets.CANNOT) == changing


def test_every_pair_is_a_network() -> None:
    """Two hosts and a public one."""
    for pair in presets.pairs():
        hosts = plan(lab.Topology(sites=pair.network())).hosts()
        assert len(list(hosts)) == 3


def test_a_pair_that_does_other_than_asked_is_told() -> None:
    """One that never meets where it should, and one that meets where it cannot."""
    good = [presets.Pair(("open", other), 5, 5) for other in ("open", "home-router")]
    assert [row[-1] for row in presets.table_rows(good)] == ["yes"]
    assert [
        row[-1] for row in presets.table_rows([good[0], presets.Pair(good[1].sites, 5, 4)])
    ] == ["NO"]
    assert not presets.Pair(("symmetric", "open"), 5, 1).as_asked
    assert presets.Pair(("symmetric", "open"), 5, 0).as_asked
    assert presets.Pair(("crossing-blocked", "crossing-blocked"), 5, 0).as_asked


def test_every_kind_of_gateway_has_been_met() -> None:
    """No row of the table of systems is without a count, and no preset without a row."""
    kinds = {support.kind_of(preset.gateway) for preset in lab.PRESETS.values()}
    assert kinds == set(support.KINDS)
    assert set(support.counted()) == set(lab.PRESETS)

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks.populations import (
    FILE,
    PAIRS,
    Behaviour,
    behaviour,
    behaviours,
    drawn,
    load,
    nats,
    pair_weights,
)
from simopen import lab

FOUND = load()
NAMES = [profile.name for profile in FOUND.profiles]


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """The file with one place changed."""
    text = FILE.read_text()
    assert old in text
    path = tmp_path / "populations.toml"
    path.write_text(text.replace(old, new, 1))
    return path


def test_there_is_a_profile_of_2005_and_one_of_now() -> None:
    """The published rates of both times are there to be compared with."""
    assert {"2005", "2022-2025"} <= set(NAMES)
    assert {0.45, 0.643, 0.70} <= {each.rate for each in FOUND.measurements}


@pytest.mark.parametrize("name", NAMES)
def test_weights_sum_to_one(name: str) -> None:
    """NATs, behaviours and pairs of behaviours of a profile are each a whole."""
    profile = FOUND.profile(name)
    assert math.fsum(nats(profile).values()) == pytest.approx(1)
    for side in ("anybody", "stable", "varies", "ideal"):
        own = behaviours(profile, side)
        assert math.fsum(own.values()) == pytest.approx(1)
        pairs = pair_weights(own, behaviours(profile))
        assert set(pairs) == set(PAIRS)
        assert math.fsum(pairs.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_names_its_source(name: str) -> None:
    """Each says on what it stands, and where that is not the source's own figure, why."""
    for group in FOUND.profile(name).groups:
        for weight in (group.share, *(each for axis in group.axes().values() for each in axis)):
            assert FOUND.sources[weight.source].text
            assert weight.basis == "published" or weight.note


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("weight = 0.701", "weight = 0.7", "2005, home NATs: mapping sum to 0.999"),
        ("[sources.richter-2016]", "[sources.richter]", "no source 'richter-2016'"),
        ('note = "few routers say reject"', 'note = ""', "icmp is assumed without a note"),
        ('strategy = "naive"', 'strategy = "simopen"', "every strategy has one timing"),
        ('profile = "2005-ford"', 'profile = "1905"', "no profile '1905'"),
        ("share = { weight = 0.70", "share = { weight = 0.60", "shares of 2022-2025 sum to 0.9"),
        ("[[timings]]", "[[timing]]", "unknown field"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, old: str, new: str, words: str) -> None:
    """Sums, sources, notes and names are checked when the file is read."""
    with pytest.raises(ValueError, match=words):
        load(changed(tmp_path, old, new))


def test_the_weight_of_a_nat_is_a_product() -> None:
    """Of the weights of its values; here of the commonest of 2005."""
    nat = lab.Nat()
    assert nats(FOUND.profile("2005"))[nat] == pytest.approx(0.701 * 0.819 * 0.85 * 0.82 * 0.86)


def test_behaviours_add_up_by_hand() -> None:
    """A mapping that varies is one behaviour; what the filter admits hides the answers."""
    found = behaviours(FOUND.profile("2005"))
    assert found[Behaviour.VARIES] == pytest.approx(0.299)
    assert found[Behaviour.ADMITS] == pytest.approx(0.701 * 0.058 * 0.86)
    assert found[Behaviour.RST_BLOCKS] == pytest.approx(0.701 * 0.942 * 0.15 * 0.14)


def test_one_side_may_be_known() -> None:
    """Of those whose mapping is stable none varies, and the others keep their proportions."""
    profile = FOUND.profile("2022-2025")
    stable, all_ = behaviours(profile, "stable"), behaviours(profile)
    assert Behaviour.VARIES not in stable
    assert stable[Behaviour.RST] / stable[Behaviour.SILENT] == pytest.approx(
        all_[Behaviour.RST] / all_[Behaviour.SILENT]
    )
    assert behaviours(profile, "varies") == {Behaviour.VARIES: 1.0}


def test_pairs_by_hand() -> None:
    """Two that differ can be met either way round, two alike only one way."""
    half = {Behaviour.SILENT: 0.6, Behaviour.RST: 0.4}
    found = pair_weights(half, half)
    assert found[Behaviour.SILENT, Behaviour.SILENT] == pytest.approx(0.36)
    assert found[Behaviour.SILENT, Behaviour.RST] == pytest.approx(0.48)
    assert found[Behaviour.RST, Behaviour.RST] == pytest.approx(0.16)
    one = pair_weights({Behaviour.SILENT: 1.0}, half)
    assert one[Behaviour.SILENT, Behaviour.RST] == pytest.approx(0.4)


@pytest.mark.parametrize("each", Behaviour)
def test_a_behaviour_is_that_of_the_nat_that_stands_for_it(each: Behaviour) -> None:
    """The lab's NAT for a behaviour behaves so."""
    assert behaviour(each.nat) is each


def test_draws_follow_the_weights() -> None:
    """Of many drawn NATs so many vary as the profile says, and the seed decides which."""
    profile = FOUND.profile("2005")
    found = [behaviour(nat) for nat in drawn(profile, 4000, "a")]
    assert found.count(Behaviour.VARIES) / 4000 == pytest.approx(0.299, abs=0.03)
    assert drawn(profile, 10, "a") == drawn(profile, 10, "a") != drawn(profile, 10, "b")


def test_the_words_of_a_path_are_its_figures() -> None:
    """As the tables and the picture say them."""
    assert [each.words for each in FOUND.conditions] == [
        "80 ms, no loss",
        "80 ms, 5% loss",
        "5 ms, no loss",
    ]

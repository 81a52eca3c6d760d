"""What fuzzing found worth keeping stays true, and a little more is tried each time.

The suite needs no atheris: it runs every target over its corpus, its seeds, and what Hypothesis
makes of them. That each invariant can fail is shown by ``fuzz/bugs.toml``.
"""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz import _bugs, _campaign, _targets
from fuzz._targets import Target

NAMES = _targets.names()
load = cache(_targets.load)


def mutated(target: Target) -> st.SearchStrategy[bytes]:
    """Any bytes, and known inputs with pieces changed, left out, repeated or put in."""
    known = st.sampled_from([*target.seeds, *(path.read_bytes() for path in target.corpus())])
    piece = st.binary(max_size=8) | st.builds(
        lambda data, start, size: data[start : start + size],
        known,
        st.integers(0, 64),
        st.integers(0, 16),
    )
    edits = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 8), piece), max_size=4)
    return st.binary(max_size=target.longest) | st.builds(edited, known, edits)


def edited(data: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    """Each piece at its place, a share of the way into the data, instead of so many bytes."""
    for share, size, piece in edits:
        at = int(share * len(data))
        data = data[:at] + piece + data[at + size :]
    return data


@pytest.mark.parametrize("name", NAMES)
def test_known_inputs(name: str) -> None:
    """Every seed and every input of the corpus keeps the invariant."""
    target = load(name)
    for data in (*target.seeds, *(path.read_bytes() for path in target.corpus())):
        target.check(data)


@pytest.mark.parametrize("name", NAMES)
def test_inputs_near_the_known_ones(name: str) -> None:
    """So does what is like them, and what is like nothing."""
    target = load(name)

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(mutated(target))
    def keeps(data: bytes) -> None:
        target.check(data)

    keeps()


@pytest.mark.parametrize("name", NAMES)
def test_a_target_says_its_invariant_and_begins_somewhere(name: str) -> None:
    """A sentence, seeds that are not too long to be tried, and a small corpus."""
    target = load(name)
    assert target.invariant.endswith(".")
    assert target.seeds
    assert len(set(target.seeds)) == len(target.seeds)
    files = target.corpus()
    assert len(files) <= _campaign.MOST_FILES
    assert sum(path.stat().st_size for path in files) <= _campaign.MOST_BYTES


def test_every_target_has_a_bug_that_it_finds() -> None:
    """A bug for each, whose place in the code is there once; ``--bugs`` sees them found."""
    bugs = _bugs.load()
    assert {bug.target for bug in bugs} == set(NAMES)
    for bug in bugs:
        text = (_targets.FOLDER.parent / bug.file).read_text()
        assert text.count(bug.old) == 1, bug
        assert bug.new not in (bug.old, text)

"""``ping_asyncio.py`` and ``ping_trio.py``, which are two ways to say the same."""

from __future__ import annotations

import pytest

from tests.examples.programs import Homes, as_shown

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("ping_asyncio.py", "ping_asyncio.py"),
        ("ping_trio.py", "ping_trio.py"),
        ("ping_asyncio.py", "ping_trio.py"),
    ],
)
def test_both_measure(homes: Homes, one: str, two: str) -> None:
    """Each prints times no shorter than the network's 40 ms, as its header shows."""
    for example, side in [(one, homes.example("alice", one)), (two, homes.example("bob", two))]:
        code, said = side.end()
        assert code == 0, said
        assert as_shown(example, said), said
        times = [float(line.removesuffix(" ms")) for line in said.splitlines()[1:]]
        assert len(times) == 3
        assert min(times) >= 40


@pytest.mark.parametrize("example", ["ping_asyncio.py", "ping_trio.py"])
def test_one_who_vanishes(homes: Homes, example: str) -> None:
    """A peer that is killed is told of in a sentence."""
    alice, bob = homes.example("alice", example), homes.example("bob", example)
    bob.until(" ms\n.* ms\n")
    bob.kill()
    code, said = alice.end()
    assert code == 1
    assert "the connection broke: " in said
    assert "Traceback" not in said

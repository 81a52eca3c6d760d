from __future__ import annotations

from typing import Any

import pytest

from benchmarks.rivals.catalogue import CONTENDERS, PAIRS
from benchmarks.rivals_picture import SITES, paint, rows, square

HEAD = {
    "at": "2026-11-21T00:00:00+00:00",
    "cpus": 2,
    "kernel": "6.18",
    "limit": 20.0,
    "rivals": {"warpgate": "4.0"},
    "simopen": "0.1",
}


def trial(contender: str, usable: float | None) -> dict[str, Any]:
    """A line of a result file."""
    ok = usable is not None
    return {"contender": contender, "pair": ["drop", "open"], "ok": ok, "usable": usable}


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        ((0.04, 0.05, 0.06), ("50 ms", "3 of 3", 1.0)),
        ((1.6254, None), ("1,625 ms", "1 of 2", 0.5)),
        ((None, None), ("never", "0 of 2", 0.0)),
    ],
)
def test_a_square(times: tuple[float | None, ...], shown: tuple[str, str, float]) -> None:
    """The median of those who got there, how many did, and no time where nobody did."""
    assert square([trial("warpgate", each) for each in times]) == shown


def test_every_contender_and_site_has_its_place() -> None:
    """None is left out, no two share a row, and those with a server are below the others."""
    places = rows()
    assert set(places) == {each.name for each in CONTENDERS}
    assert len(set(places.values())) == len(CONTENDERS)
    served = [places[each.name] for each in CONTENDERS if each.server]
    given = [places[each.name] for each in CONTENDERS if not each.server]
    assert max(given) < min(served)
    assert {site for pair in PAIRS for site in pair} <= set(SITES)


def test_what_is_painted() -> None:
    """Each square's words are in the picture, and who was not tried is not named."""
    figure = paint(HEAD, [trial("warpgate", 0.05), trial("punchhole", None)])
    (axes,) = figure.axes
    words = {text.get_text() for text in axes.texts}
    assert {"50 ms", "1 of 1", "never", "0 of 1"} <= words
    assert [label.get_text() for label in axes.get_yticklabels()] == ["warpgate", "punchhole"]

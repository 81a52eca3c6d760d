from __future__ import annotations

from xml.etree import ElementTree as ET

from simopen.figures import _heat
from simopen.figures._sources import read
from simopen.figures._squares import maps
from tests.figures.makers import cell, grid


def test_a_square_has_its_rate_and_its_number() -> None:
    """And the axes say what rows and columns are."""
    data = grid(cell("loss", 3, loss=0.05), cell(succeeded=2000, trials=2000))
    (heat,) = maps(read("g.jsonl", data).batches)
    picture = _heat.draw(heat, "heat")
    words = [
        each.text
        for each in ET.fromstring(picture.svg).iter("{http://www.w3.org/2000/svg}text")  # noqa: S314  # our own
    ]
    assert {"75 %", "n = 4", "100 %", "n = 2,000"} <= set(words)
    assert {"loss each way", "round trip", "5 %", "0 %", "40 ms"} <= set(words)
    assert picture.title == "Success by loss and round trip (g.jsonl)"
    assert "Where n is 4, the least here" in picture.words
    assert "above 51 %" in picture.words
    assert picture.png is not None

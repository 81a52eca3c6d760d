from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from simopen.figures import _cdf
from simopen.figures._canvas import Picture
from simopen.figures._series import Panel, panels
from simopen.figures._sources import read
from tests.figures.makers import cell, grid, lines, measured


def panel(*cells: dict[str, object]) -> Panel:
    """The first panel of a grid."""
    return panels(read("g.jsonl", grid(*cells)).batches)[0]


def drawn(*cells: dict[str, object]) -> Picture:
    """Its picture."""
    picture = _cdf.draw(panel(*cells), "curve")
    assert picture is not None
    return picture


def words(picture: Picture) -> list[str]:
    """Everything that is written in a picture."""
    return [
        each.text or ""
        for each in ET.fromstring(picture.svg).iter("{http://www.w3.org/2000/svg}text")  # noqa: S314  # our own
    ]


def test_axes_and_curves_are_labelled() -> None:
    """What is drawn, in which unit and of how many trials stands in the picture."""
    found = words(drawn(cell(), cell(succeeded=3, rtt=0.1)))
    assert "time to connect, ms" in found
    assert "trials connected, %" in found
    assert "Time to connect: no loss" in found
    assert {"RTT 40 ms", "100 % of n = 4 connected"} <= set(found)
    assert {"RTT 100 ms", "75 % of n = 4 connected"} <= set(found)


def test_a_curve_ends_at_its_rate_of_success() -> None:
    """Failed trials are under it: half of them connecting, it ends half way up."""
    both = (drawn(cell()), drawn(cell(succeeded=2)))
    ends = []
    for picture in both:
        (path,) = re.findall(
            r'd="([^"]*)"[^>]*stroke: #0072b2[^>]*stroke-width: 1\.7', picture.svg
        )[:1]
        ends.append([float(y) for y in re.findall(r"[ML] [-\d.]+ ([-\d.]+)", path)])
    zero, full, half = ends[0][0], ends[0][-1], ends[1][-1]
    assert abs((zero - half) / (zero - full) - 0.5) < 0.01


def test_the_least_time_is_marked_where_all_have_the_same() -> None:
    """One round trip and one and a half, but not where round trips differ."""
    assert "1.5 RTT" in words(drawn(cell(), cell() | {"times": [0.041] * 4}))
    assert "1.5 RTT" not in words(drawn(cell(), cell(rtt=0.1)))


def test_what_never_connected_is_told() -> None:
    """A panel without a time is no picture; a line without one is in the words."""
    assert _cdf.draw(panel(cell(succeeded=0)), "curve") is None
    assert "Of 1 more" in drawn(cell(), cell(succeeded=0, rtt=0.1)).words


def test_names_are_drawn_as_they_are() -> None:
    """No dollar starts a formula, no underscore hides a line."""
    (one,) = panels(read("_a", lines(measured(4, label="_x$\\frac$"))).batches)
    picture = _cdf.draw(one, "curve")
    assert picture is not None
    assert "Time to connect: _x$\\frac$ – bob (_a)" in words(picture)  # noqa: RUF001  # as drawn
    runs = [read(name, lines(measured(4, run=name))) for name in ("_1", "_2")]
    (both,) = panels([batch for run in runs for batch in run.batches])
    picture = _cdf.draw(both, "curve")
    assert picture is not None
    assert len([text for text in words(picture) if "of n = 4" in text]) == 2


def test_the_same_trials_give_the_same_bytes() -> None:
    """Neither the date nor chance is in a picture."""
    one, other = drawn(cell()), drawn(cell())
    assert (one.svg, one.png) == (other.svg, other.png)
    assert one.png is not None
    assert one.png.startswith(b"\x89PNG")


def test_times_beyond_all_measure_are_drawn() -> None:
    """Neither no time at all nor a week is an error."""
    assert drawn(cell() | {"times": [0.0, 1e6, 1.0, 1.0]}).svg

from __future__ import annotations

from simopen.figures._sources import read
from simopen.figures._squares import MOST, Map, maps
from tests.figures.makers import cell, grid, lines, measured


def of(*files: tuple[str, bytes]) -> list[Map]:
    """The heat maps of files."""
    return maps([batch for name, data in files for batch in read(name, data).batches])


def test_site_by_site() -> None:
    """Each pair of sites is one square, whichever of them came first."""
    pairs = (["open", "open"], ["open", "drop"], ["drop", "open"])
    (heat,) = of(("g", grid(*(cell(pair=pair) for pair in pairs))))
    assert (heat.rows, heat.columns) == (("open",), ("open", "drop"))
    assert {key: tally.trials for key, tally in heat.squares.items()} == {
        ("open", "open"): 4,
        ("open", "drop"): 8,
    }
    assert heat.least == 4


def test_skew_by_round_trip_in_order_of_size() -> None:
    """Rows and columns are sorted as numbers, and are written with units."""
    cells = [cell(rtt=rtt) | {"skew": skew} for rtt in (0.4, 0.02) for skew in (1.0, 0.05)]
    (heat,) = of(("g", grid(*cells)))
    assert (heat.rows, heat.columns) == (("50 ms", "1 s"), ("20 ms", "400 ms"))
    assert len(heat.squares) == 4


def test_loss_by_round_trip() -> None:
    """No loss is a loss of 0 %."""
    (heat,) = of(("g", grid(cell(), cell("loss", 3, loss=0.05))))
    assert heat.rows == ("0 %", "5 %")
    assert heat.squares["5 %", "40 ms"].rate == 0.75


def test_measured_runs_share_a_map_and_know_no_loss() -> None:
    """Of several hosts there is one map; none is by loss, which is not known."""
    carol = lines(measured(9, label="carol", run="cd34"))
    sites, skews = of(("a", lines(measured(9))), ("c", carol))
    assert set(sites.squares) == {("alice", "bob"), ("bob", "carol")} or set(sites.squares) == {
        ("alice", "bob"),
        ("carol", "bob"),
    }
    assert (skews.rows, skews.columns) == (("0 ms", "50 ms", "400 ms"), ("40 ms",))


def test_files_of_the_grid_are_not_mixed() -> None:
    """Each has maps of its own, and measured runs others."""
    data = grid(cell(), cell() | {"skew": 0.4})
    found = of(("g", data), ("h", data), ("a", lines(measured(9))))
    assert [heat.source for heat in found] == ["g", "h", ""]


def test_only_simopen_is_shown() -> None:
    """The naive loop's trials are in no square."""
    cells = [cell() | {"skew": skew} for skew in (0.1, 0.2)]
    naive = [each | {"naive": True} for each in cells]
    assert {
        tally.trials for heat in of(("g", grid(*cells, *naive))) for tally in heat.squares.values()
    } == {4}


def test_one_square_is_no_map() -> None:
    """A single number is left to the table."""
    assert of(("g", grid(cell()))) == []
    assert of(("g", grid(cell(), cell(rtt=0.1)))) == []  # one skew, one loss


def test_too_many_are_counted() -> None:
    """A map has room for so many columns, and says how many more there were."""
    cells = [cell() | {"skew": 0.001 * number} for number in range(MOST + 2)]
    (heat,) = of(("g", grid(*cells)))
    assert (len(heat.rows), heat.left_out) == (MOST, 2)
    assert len(heat.squares) == MOST

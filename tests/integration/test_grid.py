"""The grid's canary: a few of its cells through its own runner, with generous bounds.

Figures are what ``python -m benchmarks.grid`` is for. This fails where a change of the engine costs
successes, or makes a punch several times as slow as it has to be.
"""

from __future__ import annotations

import pytest

from benchmarks.cells import Cell, Path
from benchmarks.grid import Runner
from benchmarks.statistics import percentile

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]

RTT = 0.02  # seconds
SKEWS = (0.0, 0.05, 0.4)  # seconds
TRIALS = 4  # a cell

CLEAN = [
    Path("clean", ("drop", "drop"), rtt=RTT),
    Path("clean", ("rst", "rst"), rtt=RTT),
    Path("clean", ("open", "icmp"), rtt=RTT),
    Path("clean", ("rst", "rst"), kernel=True, rtt=RTT),
]


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The driver runs on one loop; the peers have tests of their own on all."""
    return request.param


async def run(path: Path) -> tuple[list[Cell], str]:
    """The path's cells after their trials, and what to show where something is amiss."""
    cells = [Cell(path, skew, trials=TRIALS) for skew in SKEWS]
    runner = Runner("asyncio", progress=lambda: None)
    await runner.path(path, cells)
    return cells, "\n".join(runner.pictures)


@pytest.mark.parametrize(
    "path", CLEAN, ids=lambda path: "~".join(path.pair) + ("-kernel" if path.kernel else "")
)
async def test_without_loss(path: Path) -> None:
    """Every trial succeeds, no stream is handed over that carries nothing, none takes ages."""
    cells, pictures = await run(path)
    for cell in cells:
        assert (cell.succeeded, cell.false) == (cell.trials, 0), pictures
        assert percentile(cell.times, 50) <= 3 * cell.limit + 0.05


async def test_with_loss() -> None:
    """Where one packet in twenty is lost, all trials but one at most succeed."""
    cells, pictures = await run(Path("loss", ("drop", "drop"), rtt=RTT, loss=0.05))
    failed = sum(cell.trials - cell.succeeded for cell in cells)
    assert failed <= 1, pictures

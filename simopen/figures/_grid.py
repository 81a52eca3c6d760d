"""The benchmarks' grid files: an environment line, then a line for each cell.

What such a line has is said by `record()` in ``benchmarks/cells.py``. Fields that are not needed
here are passed over.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from simopen.figures._batches import Batch

Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Number = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
Name = Annotated[str, msgspec.Meta(max_length=100)]


class Environment(msgspec.Struct, frozen=True):
    """On what the cells were run; the first line.

    Attributes:
        at: When, ISO 8601.
        kernel: Its release.
        python: Its version.
        simopen: Its version.
        loop: The event loop.
        cpus: How many.
    """

    at: Name
    kernel: Name
    python: Name
    simopen: Name
    loop: Name = "asyncio"
    cpus: int | None = None


class Path(msgspec.Struct, frozen=True):
    """The network between two sites.

    Attributes:
        row: Which part of the grid it belongs to.
        pair: What stands in front of either site.
        rtt: Round trip in seconds.
        loss: Chance of each packet to be lost, each way.
    """

    row: Name
    pair: tuple[Name, Name]
    rtt: Seconds
    loss: Share = 0.0


class Cell(msgspec.Struct, frozen=True):
    """What came of the trials of one cell.

    Attributes:
        path: Where.
        skew: Seconds from the earlier start to the later.
        trials: How many.
        succeeded: How many did.
        times: Of those, in seconds.
        limit: The least time that is owed, in seconds.
        naive: Whether it was the bare loop.
        aided: Whether the punching sockets did not see refusals.
    """

    path: Path
    skew: Seconds
    trials: Number
    succeeded: Number
    times: list[Seconds]
    limit: Seconds
    naive: bool = False
    aided: bool = False

    def __post_init__(self) -> None:
        if not len(self.times) == self.succeeded <= self.trials:
            raise ValueError("as many times as successes, and no more of them than trials")

    def batch(self, source: str) -> Batch:
        """The cell as the figures take it."""
        path = self.path
        return Batch(
            source=source,
            row=path.row,
            sites=path.pair,
            who="naive loop" if self.naive else "refusals unseen" if self.aided else "simopen",
            rtt=path.rtt,
            skew=self.skew,
            loss=path.loss,
            trials=self.trials,
            succeeded=self.succeeded,
            times=tuple(self.times),
            ratios=tuple(time / self.limit for time in self.times) if self.limit else (),
        )

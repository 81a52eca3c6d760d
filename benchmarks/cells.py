"""The grid's cells: which sites, over which paths, started at which distances, how often.

A row is a function that yields cells; `ROWS` are those a run has, `ON_REQUEST` those it has only
where they are named.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.puncher import Outcome
from simopen import lab

RTTS = (0.002, 0.02, 0.04, 0.1, 0.2, 0.4)  # seconds
SKEWS = (0.0, 0.005, 0.05, 0.4, 1.0)  # seconds

# What stands in front of a site: as a model and as Linux. ICMP at Linux's pace in both.
SITES: dict[str, tuple[lab.Gateway | None, lab.Gateway | None]] = {
    "open": (None, None),
    "drop": (lab.preset("home-router"), lab.preset("kernel")),
    "rst": (lab.preset("home-router-rst"), lab.preset("kernel-rst")),
    "icmp": (lab.preset("home-router-icmp"), lab.preset("kernel-icmp")),
    "blocked": (lab.preset("crossing-blocked"), None),
}
KINDS = ("open", "drop", "rst", "icmp")
PAIRS = tuple(itertools.combinations_with_replacement(KINDS, 2))
REFUSING_PAIRS = (("rst", "rst"), ("open", "open"))
SOME_PAIRS = (
    ("drop", "drop"),
    ("open", "open"),
    ("rst", "rst"),
    ("drop", "rst"),
    ("open", "icmp"),
)


@dataclass(frozen=True)
class Path:
    """What a network is made for.

    Attributes:
        row: Which part of the grid it belongs to.
        pair: The two sites.
        kernel: Whether Linux plays their gateways.
        rtt: Round trip from host to host, in seconds, least.
        loss: Chance of each packet to be lost, each way.
        jitter: Most additional one-way delay, in seconds.
    """

    row: str
    pair: tuple[str, str]
    kernel: bool = False
    rtt: float = 0.04
    loss: float = 0.0
    jitter: float = 0.0

    def sites(self) -> list[lab.Site]:
        """The network."""
        up = lab.Link(latency=self.rtt / 2, jitter=self.jitter, loss=self.loss)
        return [
            lab.Site(
                f"site-{name}",
                hosts=[name],
                gateway=SITES[kind][self.kernel],
                link=up,
                downlink=lab.Link(),
            )
            for name, kind in zip("ab", self.pair, strict=True)
        ]

    @property
    def at_once(self) -> int:
        """How many trials may run at the same time without disturbing each other."""
        refused_often = self.rtt < 0.01 and self.pair != ("drop", "drop")  # noqa: PLR2004
        return 2 if refused_often else 8


@dataclass
class Cell:
    """A path with one difference of starts and one kind of application, and what came of it.

    Attributes:
        path: The path.
        skew: Seconds from the earlier start to the later.
        writes: Whether the application writes on connecting.
        naive: Whether it is the bare loop's.
        aided: Whether the punching sockets do not see refusals (`benchmarks.puncher`).
        trials: How many there are.
        succeeded: How many did.
        false: How many sides held a stream that carried nothing.
        times: Of those that succeeded, in seconds, later start to last side connected.
        syns: SYNs of both sides together, of the same.
        failures: What was said of the others.
    """

    path: Path
    skew: float
    writes: bool = True
    naive: bool = False
    aided: bool = False
    trials: int = 0
    succeeded: int = 0
    false: int = 0
    times: list[float] = field(default_factory=list)
    syns: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def limit(self) -> float:
        """The least time that is owed, in seconds; a SYN that is just under way may save some.

        Starts exactly one one-way delay apart owe the longer: in half of the trials they are more.
        """
        return self.path.rtt if self.skew < self.path.rtt / 2 else 1.5 * self.path.rtt

    def count(self, a: Outcome, b: Outcome) -> bool:
        """Take a trial's two outcomes; whether it succeeded."""
        self.false += sum(each.connected is not None and not each.proven for each in (a, b))
        if a.proven and b.proven and a.connected and b.connected:
            self.succeeded += 1
            took = max(a.connected, b.connected) - max(a.began, b.began)
            self.times.append(round(took, 6))
            self.syns.append(a.syns + b.syns)
            return True
        self.failures.append(f"a: {a.failure or 'connected'}; b: {b.failure or 'connected'}")
        return False

    def record(self) -> dict[str, Any]:
        """The cell as a line of the result file."""
        return asdict(self) | {"limit": self.limit}


@dataclass(frozen=True)
class Extent:
    """How much of the grid is run.

    Attributes:
        rtts: Round trips, in seconds.
        skews: Differences of starts, in seconds.
        losses: Chances of loss.
        lates: Great differences of starts, in seconds.
        few: Trials of a cell, where its class has many cells.
        many: Trials of a cell, where it has few.
        most: Trials of a cell in which rare failures are looked for.
    """

    rtts: Sequence[float]
    skews: Sequence[float]
    losses: Sequence[float]
    lates: Sequence[float]
    few: int
    many: int
    most: int


SHORT = Extent((0.02, 0.2), (0.0, 0.05, 0.4), (0.05,), (2.0,), few=3, many=6, most=20)
FULL = Extent(RTTS, SKEWS, (0.01, 0.05, 0.1, 0.3), (2.0, 5.0, 10.0), few=8, many=50, most=300)


def clean(extent: Extent) -> Iterator[Cell]:
    """No loss: every pair, model and kernel."""
    for pair, kernel in itertools.product(PAIRS, (False, True)):
        if kernel and pair == ("open", "open"):
            continue  # there is nothing that a kernel could play
        trials = extent.many if pair == ("drop", "drop") else extent.few
        for rtt, skew in itertools.product(extent.rtts, extent.skews):
            yield Cell(Path("clean", pair, kernel, rtt), skew, trials=trials)


def blocked(extent: Extent) -> Iterator[Cell]:
    """One site lets no crossing SYN in."""
    rtts = [rtt for rtt in extent.rtts if rtt >= 0.02]  # noqa: PLR2004  # what is asked begins there
    for rtt, skew in itertools.product(rtts, extent.skews):
        yield Cell(Path("blocked", ("blocked", "drop"), rtt=rtt), skew, trials=extent.many // 2)


def loss(extent: Extent) -> Iterator[Cell]:
    """Loss, for applications that write on connecting and for silent ones."""
    for pair, chance in itertools.product(SOME_PAIRS, extent.losses):
        for skew, writes in itertools.product((0.0, 0.05), (True, False)):
            yield Cell(Path("loss", pair, loss=chance), skew, writes, trials=extent.many)


def jitter(extent: Extent) -> Iterator[Cell]:
    """Jitter of up to half the round trip."""
    for pair, rtt, skew in itertools.product(SOME_PAIRS, extent.rtts[1:], (0.0, 0.05)):
        yield Cell(Path("jitter", pair, rtt=rtt, jitter=rtt / 4), skew, trials=extent.few)


def late(extent: Extent) -> Iterator[Cell]:
    """One side comes seconds after the other."""
    for pair, skew in itertools.product(SOME_PAIRS, extent.lates):
        yield Cell(Path("late", pair), skew, trials=extent.few)


def naive(extent: Extent) -> Iterator[Cell]:
    """The yardstick, and the engine in the same networks at the same time."""
    for pair, chance, skew in itertools.product(SOME_PAIRS, (0.0, 0.05), (0.0, 0.05, 0.4)):
        for bare in (True, False):
            yield Cell(Path("naive", pair, loss=chance), skew, naive=bare, trials=extent.few)


def lock(extent: Extent) -> Iterator[Cell]:
    """Both sides refused: do they ever keep missing each other? The full row takes 7 minutes."""
    for pair, rtt, skew in itertools.product(REFUSING_PAIRS, (0.002, 0.02), (0.05, 0.4)):
        yield Cell(Path("lock", pair, rtt=rtt), skew, trials=extent.most)


def aided(extent: Extent) -> Iterator[Cell]:
    """Does it help not to see refusals? In the same networks at the same time, with and without."""
    for pair, rtt, skew in itertools.product(REFUSING_PAIRS, (0.002, 0.02, 0.04), (0.05, 0.4)):
        for aid in (False, True):
            yield Cell(Path("aided", pair, rtt=rtt), skew, aided=aid, trials=extent.many // 2)


ROWS = {row.__name__: row for row in (loss, lock, blocked, jitter, late, naive, clean)}
ON_REQUEST = {aided.__name__: aided}

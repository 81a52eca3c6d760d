"""Meetings through a coordinator: how many succeed, and how long they take against the bound.

``python -m benchmarks.rendezvous`` takes a quarter of an hour, ``--quick`` some three minutes; both
print a table of classes with what is asked of each and write ``results/rendezvous.jsonl``
(``quick-`` in front for a short run): the environment, then a line for each path.

How it is measured
------------------
Each *path* is a network of its own: two sites, a public coordinator at the centre, one warm process
a host. In each meeting both sides call ``connect_peer`` with a fresh invite, one of them up to
``SKEW`` later than the other, and then each sends eight bytes and waits for the other's.

Zero is when the later side's join leaves: when its welcome comes, less its own round trip to the
coordinator. With round trips ``rA`` of that side and ``rB`` of the other the bound is
``T* = max(rA, (rA + rB)/2) + RTT``: the join goes up, the introductions come down, the SYNs cross.
*bare* is when both sides have a TCP connection, the one that was kept; *proven* is when both hold
the stream.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import anyio

import simopen
from benchmarks.commands import Judgement, arguments, conclude, require_lab
from benchmarks.common import LOOPS, environment, write_lines
from benchmarks.display import progress_bar, table
from benchmarks.statistics import percentile, wilson
from benchmarks.workers import Answer, Worker, ask_both, serve, sleep_until
from simopen import lab

PORT = 7337
SKEW = 0.1  # seconds by which one side may be later
LEAD = 0.05  # seconds from the order to the first start
TIMEOUT = 30.0  # seconds
PROOF_TIMEOUT = 10.0  # seconds
BARE_LIMIT = 1.15  # times T*
PROVEN_ROUND_TRIPS = 2.5  # beyond T*

# What stands in front of a site, as a model and as Linux.
SITES: dict[str, tuple[lab.Gateway | None, lab.Gateway | None]] = {
    "open": (None, None),
    "drop": (lab.preset("home-router"), lab.preset("kernel")),
    "rst": (lab.preset("home-router-rst"), lab.preset("kernel-rst")),
    "icmp": (lab.preset("home-router-icmp"), lab.preset("kernel-icmp")),
    "firewall": (lab.Firewall(), lab.KernelFirewall()),
}
PAIRS = tuple(itertools.combinations_with_replacement(SITES, 2))
SOME_PAIRS = (("drop", "drop"), ("open", "open"), ("rst", "rst"), ("drop", "rst"))


@dataclass(frozen=True)
class Path:
    """What a network is made for.

    Attributes:
        row: Which class it belongs to.
        pair: The two sites.
        kernel: Whether Linux plays their gateways.
        near: Round trip of the first site to the coordinator, in seconds.
        far: Of the second.
        loss: Chance of each packet to be lost, each way.
        families: What the hosts may use.
    """

    row: str
    pair: tuple[str, str]
    kernel: bool = False
    near: float = 0.02
    far: float = 0.02
    loss: float = 0.0
    families: str = "IPv4"

    @property
    def rtt(self) -> float:
        """Round trip from host to host, in seconds."""
        return self.near + self.far

    def sites(self) -> list[lab.Site]:
        """The network."""
        members = [
            lab.Site(
                f"site-{name}",
                hosts=[name],
                gateway=SITES[kind][self.kernel],
                link=lab.Link(latency=round_trip / 2, loss=self.loss),
            )
            for name, kind, round_trip in zip("ab", self.pair, (self.near, self.far), strict=True)
        ]
        return [*members, lab.Site("public", hosts=["c"])]


@dataclass
class Outcomes:
    """What came of a path's meetings.

    Attributes:
        path: The path.
        trials: Meetings.
        met: Those in which both sides hold a stream that carries both sides' bytes.
        false: Sides that hold a stream which carries nothing.
        bare: Of those that met, seconds to the connection, as parts of T*.
        proven: Of those, seconds to the stream, less T*, in round trips.
        rounds: Of those, how many it took.
        ways: Of those, how the peer was reached.
        failures: What was said of the others.
    """

    path: Path
    trials: int = 0
    met: int = 0
    false: int = 0
    bare: list[float] = field(default_factory=list)
    proven: list[float] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    ways: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def count(self, first: Answer, second: Answer) -> None:
        """Take what two sides say of one meeting."""
        self.trials += 1
        sides = (first, second)
        self.false += sum(side["connected"] is not None and not side["carries"] for side in sides)
        if not all(side["carries"] for side in sides):
            self.failures.append(" | ".join(side["words"] for side in sides))
            return
        self.met += 1
        joins = [
            side["joined"] - own
            for side, own in zip(sides, (self.path.near, self.path.far), strict=True)
        ]
        later = joins.index(max(joins))
        own = (self.path.near, self.path.far)[later]
        bound = max(own, (self.path.near + self.path.far) / 2) + self.path.rtt
        self.bare.append((max(side["bare"] for side in sides) - max(joins)) / bound)
        held = max(side["connected"] for side in sides) - max(joins)
        self.proven.append((held - bound) / self.path.rtt)
        self.rounds.append(max(side["rounds"] for side in sides))
        self.ways.append(first["way"])


# -- in the hosts ----------------------------------------------------------------------------------


async def meet(url: str, invite: str, at: float, local: str | None) -> Answer:
    """One side of one meeting."""
    moments: dict[str, float] = {}

    def note(event: simopen.Event) -> None:
        if isinstance(event, simopen.RendezvousJoined):
            moments.setdefault("joined", began + event.at)
        elif isinstance(event, simopen.ProofStarted):
            opened[event.lane] = began + event.at

    opened: dict[int, float] = {}
    answer: Answer = {"connected": None, "carries": False, "words": ""}
    await sleep_until(at)
    began = time.monotonic()
    try:
        stream = await simopen.connect_peer(
            rendezvous=url, secret=invite, local=local, timeout=TIMEOUT, on_event=note
        )
    except simopen.SimopenError as error:
        return answer | {"words": f"{type(error).__name__}: {error}"}
    answer["connected"] = time.monotonic()
    lanes = stream.report.lanes
    lane = [each.remote for each in lanes].index(stream.report.remote) if lanes else 0
    async with stream:
        with anyio.move_on_after(PROOF_TIMEOUT):
            try:
                await stream.send(b"8 bytes!")
                answer["carries"] = await stream.receive() == b"8 bytes!"
                await stream.send_eof()
                while await stream.receive():
                    pass
            except anyio.EndOfStream:
                pass
            except anyio.BrokenResourceError as error:
                answer["words"] = f"broken: {error.__cause__}"
    assert stream.report.meeting is not None  # noqa: S101  # we have come through a coordinator
    return (
        answer
        | moments
        | {
            "bare": opened[lane],
            "rounds": stream.report.meeting.rounds,
            "way": stream.report.path,
            "words": answer["words"] or "carries" if answer["carries"] else "carries nothing",
        }
    )


async def coordinate() -> None:
    """Be the coordinator."""
    async with simopen.Coordinator(("0.0.0.0", PORT)):  # noqa: S104  # the lab's network
        print("ready", flush=True)
        await anyio.sleep_forever()


# -- outside ---------------------------------------------------------------------------------------


async def run_path(path: Path, trials: int, loop: str, progress: Callable[[], None]) -> Outcomes:
    """All meetings of one path."""
    outcomes = Outcomes(path)
    chances = random.Random(repr(path))
    local = "0.0.0.0:0" if path.families == "IPv4" else None
    async with lab.network(path.sites(), seed=1) as net:
        command = [sys.executable, "-m", "benchmarks.rendezvous", "--coordinator"]
        coordinator = await net["c"].popen(command, stderr=None)
        assert coordinator.stdout is not None  # noqa: S101  # a pipe, as asked for
        await coordinator.stdout.receive()
        workers = (
            await Worker.start(net["a"], "benchmarks.rendezvous", loop),
            await Worker.start(net["b"], "benchmarks.rendezvous", loop),
        )
        for _ in range(trials):
            invite = simopen.Invite.new("bench").reveal()
            starts = [time.monotonic() + LEAD, time.monotonic() + LEAD + chances.uniform(0, SKEW)]
            chances.shuffle(starts)
            orders = [
                {
                    "what": "meet",
                    "url": f"tcp://{net['c'].public_ipv4}:{PORT}",
                    "invite": invite,
                    "at": at,
                    "local": local,
                }
                for at in starts
            ]
            outcomes.count(*await ask_both(workers, orders[0], orders[1]))
            progress()
    return outcomes


def paths(*, quick: bool) -> list[tuple[Path, int]]:
    """What is measured, and how often."""
    often, seldom = (5, 3) if quick else (30, 20)
    found = [
        (Path("site pairs, RTT 40 ms", pair, kernel), seldom)
        for pair in PAIRS
        for kernel in ((False, True) if set(pair) != {"open"} else (False,))
    ]
    for rtt in (0.02, 0.1, 0.2):
        row = f"RTT {rtt * 1000:g} ms"
        found += [(Path(row, pair, near=rtt / 2, far=rtt / 2), often) for pair in SOME_PAIRS]
    found += [
        (Path("10 against 150 ms", pair, near=0.01, far=0.15), often)
        for pair in (*SOME_PAIRS, ("rst", "drop"))
    ]
    found += [(Path("both families", pair, families="both"), often) for pair in SOME_PAIRS]
    found += [(Path("5 % loss", pair, loss=0.05), often) for pair in SOME_PAIRS]
    return found


async def run(found: Sequence[tuple[Path, int]], loop: str) -> list[Outcomes]:
    """All paths, one after the other."""
    outcomes = []
    with progress_bar() as progress:
        task = progress.add_task("meetings", total=sum(trials for _, trials in found))
        for path, trials in found:
            what = f"{path.row}, {'~'.join(path.pair)}{' (Linux)' if path.kernel else ''}"
            progress.update(task, description=what)
            advance = lambda: progress.advance(task)  # noqa: E731  # at once, in this turn
            outcomes.append(await run_path(path, trials, loop, advance))
    return outcomes


def show(found: Sequence[Outcomes]) -> Judgement:
    """Print the table and the failures; whether what is asked is met."""
    told, judgement = class_table(found)
    print(told)
    for each in found:
        for failure in each.failures:
            print(f"\n{each.path}: {failure}")
    return judgement


def class_table(found: Sequence[Outcomes]) -> tuple[str, Judgement]:
    """A line for each class, and whether what is asked is met."""
    rows, met_all, sound = [], True, True
    for row in dict.fromkeys(each.path.row for each in found):
        group = [each for each in found if each.path.row == row]
        trials, met = sum(each.trials for each in group), sum(each.met for each in group)
        bare = [value for each in group for value in each.bare]
        proven = [value for each in group for value in each.proven]
        rounds = [value for each in group for value in each.rounds]
        lossy = any(each.path.loss for each in group)
        good = met == trials and not any(each.false for each in group)
        sound &= good
        if not lossy:
            good &= percentile(bare, 50) <= BARE_LIMIT
            good &= percentile(proven, 50) <= PROVEN_ROUND_TRIPS
        met_all &= good
        low, _ = wilson(met, trials)
        rows.append(
            [
                row,
                str(len(group)),
                f"{met} of {trials} (≥ {low:.1%})",
                str(sum(each.false for each in group)),
                *(f"{percentile(bare, percent):.2f}" for percent in (50, 99)),
                *(f"{percentile(proven, percent):.2f}" for percent in (50, 99)),
                f"{sum(count > 1 for count in rounds)}",
                "yes" if good else "NO",
            ]
        )
    head = [
        "class", "pairs", "met", "false", "bare / T*", "p99", "(proven - T*) / RTT", "p99",
        "more than one round", "as asked",
    ]  # fmt: skip
    return table(head, rows), Judgement(met_all, sound)


def main() -> None:
    """Read the arguments and run."""
    parser = arguments(__doc__, "fewer meetings of each kind")
    parser.add_argument("--only", help="only classes whose name begins so")
    parser.add_argument("--loop", choices=LOOPS, default="asyncio")
    parser.add_argument("--worker", choices=LOOPS, help=argparse.SUPPRESS)
    parser.add_argument("--coordinator", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.coordinator:
        anyio.run(coordinate, **LOOPS["uvloop"])
    elif args.worker:
        anyio.run(serve, meet, **LOOPS[args.worker])
    else:
        measure(args)


def measure(args: argparse.Namespace) -> None:
    """Run what was asked for, and tell."""
    require_lab()
    chosen = [pair for pair in paths(quick=args.quick) if pair[0].row.startswith(args.only or "")]
    found = anyio.run(run, chosen, args.loop)
    if not args.only:
        head = environment() | {"loop": args.loop}
        records = [head, *(asdict(each) for each in found)]
        write_lines("rendezvous.jsonl", records, quick=args.quick)
    conclude(show(found), quick=args.quick)


if __name__ == "__main__":
    main()

"""What waiting for a peer costs, and how soon it ends once the peer is there.

Four networks: *loopback* (two processes of one host, each pinned to a CPU: over loopback a SYN is
refused before ``connect()`` returns, so two sides cross only while both are in it), *lan* (two open
sites, a round trip of 0.2 ms; both refuse at once), *clocks* (the same with hosts whose wall clocks
disagree, so that they share no moments) and *silence* (with routers that drop). On each, by loop:

- *alone*: nobody is there. CPU time of the process, user and system, and the SYNs that its kernel
  sent, retransmissions too, a second, once the free period is over. The kernel's own count disturbs
  nothing, and nothing else connects in that host.
- *newcomer*: one side has waited for more than a second when the other starts. The time counts from
  the newcomer's start to the moment the last side holds its stream.
- *patient*: both sides pace their SYNs from the first one on (``free_period=0``), as after a long
  wait; they start at random within a second, and the time counts from the later start.

A meeting succeeds when both sides hold a stream and the bytes of each have come through it. One
that fails is counted as if it had taken its timeout.

``python -m benchmarks.waiting [--quick]`` prints the tables and writes ``results/waiting.jsonl``:
one line for the environment, then one a cell. ``--cases``, ``--loops`` and ``--figures`` choose.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest.mock import patch

import anyio

import simopen
from benchmarks.commands import Judgement, all_of, arguments, conclude, require_lab
from benchmarks.common import LOOPS, environment, write_lines
from benchmarks.display import progress_bar, table
from benchmarks.statistics import percentile
from benchmarks.workers import Answer, Worker, ask_both, serve, sleep_until
from simopen import PunchOptions, lab

RTT = 0.0002  # seconds, of lan and silence
FIRST_PORT = 10_000
LEAD = 0.05  # seconds from the order to the first start
SETTLE = PunchOptions().free_period + 0.1  # seconds alone that are not counted
SECONDS, QUICK_SECONDS = 3.0, 1.5  # of being alone that are counted
TRIALS, QUICK_TRIALS = 12, 6
PATIENT = 1.0  # seconds, the least wait before the newcomer
TIMEOUT = 20.0  # seconds a meeting may take
PROOF_TIMEOUT = 5.0  # seconds
FIGURES = ("alone", "newcomer", "patient")

CPU_ASKED = 0.05  # of a core, at most
SYNS_ASKED = 200.0  # a second, at most
MEDIAN_ASKED = {"newcomer": 0.050, "patient": 1.0}  # seconds, at most


@dataclass(frozen=True)
class Case:
    """A network.

    Attributes:
        name: What it is called.
        gateway: What stands in front of each site.
        one_host: Whether both sides are processes of one host.
        clock_error: Seconds by which the wall clocks of the two sides disagree.
    """

    name: str
    gateway: str | None = None
    one_host: bool = False
    clock_error: float = 0.0

    def sites(self) -> list[lab.Site]:
        """The sites of both hosts."""
        up, down = lab.Link(latency=RTT / 2), lab.Link()
        return [
            lab.Site(f"site-{name}", hosts=[name], gateway=self.gateway, link=up, downlink=down)
            for name in "ab"
        ]


CASES = {
    case.name: case
    for case in (
        Case("loopback", one_host=True),
        Case("lan"),
        Case("clocks", clock_error=0.073),
        Case("silence", gateway="home-router"),
    )
}


# --- what runs inside the hosts -------------------------------------------------------------------


def tcp_counters(text: str) -> dict[str, int]:
    """The TCP counters of a ``/proc/net/snmp``, by name."""
    names, values = (line.split()[1:] for line in text.splitlines() if line.startswith("Tcp:"))
    return dict(zip(names, map(int, values), strict=True))


def syns_sent() -> int:
    """How many SYNs this host has sent, if all its connects are still without an answer."""
    counters = tcp_counters(Path("/proc/self/net/snmp").read_text())
    return counters["ActiveOpens"] + counters["RetransSegs"]


async def alone(remote: str, local: str, seconds: float) -> Answer:
    """Wait where nobody is; CPU seconds a second and SYNs a second."""

    async def wait() -> None:
        await simopen.connect_peer(remote, local=local, timeout=SETTLE + seconds + TIMEOUT)
        raise AssertionError("somebody is there")

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.sleep(SETTLE)
        began, cpu, syns = time.monotonic(), time.process_time(), syns_sent()
        await anyio.sleep(seconds)
        cpu, syns = time.process_time() - cpu, syns_sent() - syns
        took = time.monotonic() - began
        group.cancel_scope.cancel()
    return {"cpu": cpu / took, "syns": syns / took}


async def meet(
    remote: str, local: str, at: float, free_period: float, clock_error: float
) -> Answer:
    """Meet the peer: when the call began, when it had a stream, whether that carries bytes."""
    await sleep_until(at)
    answer = {"began": time.monotonic(), "connected": None, "proven": False, "failure": ""}
    options = PunchOptions(free_period=free_period)
    right = time.time
    try:
        with patch.object(time, "time", lambda: right() + clock_error):
            stream = await simopen.connect_peer(
                remote, local=local, timeout=TIMEOUT, options=options
            )
    except simopen.PeerConnectError as error:
        return answer | {"syns": error.report.attempts, "failure": str(error)}
    answer |= {"connected": time.monotonic(), "syns": stream.report.attempts}
    try:
        with anyio.fail_after(PROOF_TIMEOUT):
            await stream.send(b"!")
            answer["proven"] = await stream.receive(1) == b"!"
    except (anyio.BrokenResourceError, anyio.EndOfStream, TimeoutError) as error:
        answer["failure"] = type(error).__name__
    finally:
        await anyio.aclose_forcefully(stream)
    return answer


# --- what is measured -----------------------------------------------------------------------------


@dataclass
class Alone:
    """A cell of *alone*.

    Attributes:
        case: The network.
        loop: The event loop.
        cpu: Share of a core.
        syns: A second.
    """

    case: Case
    loop: str
    cpu: float
    syns: float

    def row(self) -> list[str]:
        """As a line of its table."""
        figures = [f"{self.cpu:.1%}", f"{CPU_ASKED:.0%}", f"{self.syns:.1f}", f"{SYNS_ASKED:g}"]
        return [self.case.name, self.loop, *figures, "yes" if self.judgement.met else "NO"]

    @property
    def judgement(self) -> Judgement:
        """Whether it is modest; how many SYNs it sends is no matter of the machine."""
        few = self.syns <= SYNS_ASKED
        return Judgement(few and self.cpu <= CPU_ASKED, sound=few)


@dataclass
class Meetings:
    """A cell of *newcomer* or *patient*.

    Attributes:
        figure: Which of them.
        case: The network.
        loop: The event loop.
        times: Of each trial, in seconds; None: it failed.
        syns: Of both sides together, of each trial.
        failures: What was said of those that failed.
    """

    figure: str
    case: Case
    loop: str
    times: list[float | None]
    syns: list[int]
    failures: list[str]

    def count(self, a: Answer, b: Answer) -> None:
        """Take what both sides answered."""
        self.syns.append(a["syns"] + b["syns"])
        if a["proven"] and b["proven"]:
            last, later = (max(a[name], b[name]) for name in ("connected", "began"))
            self.times.append(round(last - later, 6))
        else:
            self.times.append(None)
            told = (side["failure"] or "connected" for side in (a, b))
            self.failures.append("a: {}; b: {}".format(*told))

    def percentile(self, percent: float) -> float:
        """Of the times, in seconds; a failure counts as the timeout."""
        return percentile([TIMEOUT if each is None else each for each in self.times], percent)

    def row(self) -> list[str]:
        """As a line of its table."""
        asked = MEDIAN_ASKED[self.figure]
        met = sum(each is not None for each in self.times)
        median, p90, longest = (self.percentile(percent) for percent in (50, 90, 100))
        return [
            *(self.figure, self.case.name, self.loop, f"{met}/{len(self.times)}"),
            *(_ms(median), _ms(asked), _ms(p90), _ms(longest)),
            f"{percentile([float(each) for each in self.syns], 50):g}",
            "yes" if self.judgement.met else "NO",
        ]

    @property
    def judgement(self) -> Judgement:
        """Whether half of them are soon over; that all come about is more than is asked."""
        return Judgement(self.percentile(50) <= MEDIAN_ASKED[self.figure], None not in self.times)


ALONE_HEAD = ("case", "loop", "CPU of a core", "asked", "SYNs/s", "asked", "met")
MEETINGS_HEAD = (
    *("figure", "case", "loop", "succeeded", "median, ms", "asked", "p90, ms", "max, ms"),
    *("SYNs", "met"),
)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"


class Pair:
    """The two sides of a running network."""

    def __init__(self, case: Case, loop: str, net: lab.Network) -> None:
        self._case = case
        self._loop = loop
        self._hosts = (net["a"], net["a" if case.one_host else "b"])
        self._trials = 0

    async def start(self) -> None:
        """Bring up their processes."""
        started = []
        for number, host in enumerate(self._hosts):
            cpu = number if self._case.one_host else None
            started.append(await Worker.start(host, "benchmarks.waiting", self._loop, cpu=cpu))
        self._workers = started[0], started[1]

    def _ends(self) -> tuple[dict[str, str], dict[str, str]]:
        """Fresh endpoints, as each side sees them."""
        port = FIRST_PORT + 2 * self._trials
        self._trials += 1
        if self._case.one_host:
            ends = [f"127.0.0.1:{port}", f"127.0.0.1:{port + 1}"]
            a, b = ({"remote": ends[1 - n], "local": ends[n]} for n in (0, 1))
            return a, b
        a, b = (
            {"remote": f"{peer.public_ipv4}:{port}", "local": f"{host.ipv4}:{port}"}
            for host, peer in (self._hosts, self._hosts[::-1])
        )
        return a, b

    async def alone(self, seconds: float) -> Alone:
        """Leave one side alone."""
        first, _ = self._ends()
        answer = await self._workers[0].ask("alone", seconds=seconds, **first)
        return Alone(self._case, self._loop, answer["cpu"], answer["syns"])

    async def meet(self, starts: Sequence[float], free_period: float) -> tuple[Answer, Answer]:
        """Have both sides start so many seconds from now."""
        now = time.monotonic() + LEAD
        first, second = (
            {
                "what": "meet",
                "at": now + start,
                "free_period": free_period,
                "clock_error": error,
                **ends,
            }
            for start, error, ends in zip(
                starts, (0.0, self._case.clock_error), self._ends(), strict=True
            )
        )
        return await ask_both(self._workers, first, second)


def starts(figure: str, chances: random.Random) -> tuple[list[float], float]:
    """When the two sides of a trial start, in seconds from now, and their free period."""
    if figure == "patient":
        return [chances.random(), chances.random()], 0.0
    # Neither in step with a timer, nor always the same side first.
    times = [0.0, PATIENT + chances.uniform(0, 0.1)]
    chances.shuffle(times)
    return times, PunchOptions().free_period


@dataclass
class Extent:
    """What is run.

    Attributes:
        cases: Networks.
        loops: Event loops.
        figures: Of ``FIGURES``.
        seconds: Of being alone.
        trials: Of each meeting.
    """

    cases: Sequence[str]
    loops: Sequence[str]
    figures: Sequence[str]
    seconds: float
    trials: int

    @property
    def steps(self) -> int:
        """How many steps of progress there are."""
        each = sum(1 if figure == "alone" else self.trials for figure in self.figures)
        return each * len(self.cases) * len(self.loops)


async def cells(
    case: Case, loop: str, extent: Extent, progress: Callable[[], None]
) -> list[Alone | Meetings]:
    """All figures of one network on one loop."""
    found: list[Alone | Meetings] = []
    chances = random.Random(repr((case, loop)))
    async with lab.network(case.sites(), seed=1) as net:
        pair = Pair(case, loop, net)
        await pair.start()
        for figure in extent.figures:
            if figure == "alone":
                found.append(await pair.alone(extent.seconds))
                progress()
                continue
            meetings = Meetings(figure, case, loop, [], [], [])
            for _ in range(extent.trials):
                meetings.count(*await pair.meet(*starts(figure, chances)))
                progress()
            found.append(meetings)
    return found


async def run(extent: Extent, *, quick: bool) -> Judgement:
    """All cells, the tables, the file; whether what is asked is met."""
    found: list[Alone | Meetings] = []
    with progress_bar() as progress:
        task = progress.add_task("waiting", total=extent.steps)
        for name in extent.cases:
            for loop in extent.loops:
                progress.update(task, description=f"{name}, {loop}")
                found += await cells(CASES[name], loop, extent, lambda: progress.advance(task))
    lone = [cell for cell in found if isinstance(cell, Alone)]
    meetings = [cell for cell in found if isinstance(cell, Meetings)]
    print(table(ALONE_HEAD, (cell.row() for cell in lone)))
    meetings.sort(key=lambda cell: FIGURES.index(cell.figure))
    print(f"\n{table(MEETINGS_HEAD, (cell.row() for cell in meetings))}")
    records = [{"figure": "alone"} | asdict(cell) for cell in lone]
    records += [asdict(cell) for cell in meetings]
    write_lines("waiting.jsonl", [environment(), *records], quick=quick)
    return all_of(cell.judgement for cell in found)


def main() -> None:
    """Read the arguments; run all, or one worker."""
    parser = arguments(__doc__, "fewer trials and seconds")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), help="only these")
    parser.add_argument("--loops", nargs="+", choices=LOOPS, default=list(LOOPS), help="only these")
    parser.add_argument("--figures", nargs="+", choices=FIGURES, default=FIGURES, help="only these")
    parser.add_argument("--worker", choices=LOOPS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        anyio.run(serve, alone, meet, **LOOPS[args.worker])
        return
    require_lab()
    seconds, trials = (QUICK_SECONDS, QUICK_TRIALS) if args.quick else (SECONDS, TRIALS)
    extent = Extent(args.cases, args.loops, args.figures, seconds, trials)
    conclude(anyio.run(lambda: run(extent, quick=args.quick)), quick=args.quick)


if __name__ == "__main__":
    main()

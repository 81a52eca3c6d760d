"""Meetings where packets are lost: how many come about, and whether any success is a false one.

``python -m benchmarks.lossy_meetings`` brings ten thousand meetings in some twenty minutes,
``--quick`` 500 in one; both print what came of them and write ``results/lossy_meetings.jsonl``
(``quick-`` in front for a short run): the environment, the counts, then a line for
each meeting that was none.

How it is measured
------------------
Two sites behind home routers, 20 ms from a coordinator each, so 40 ms apart. Either site's link
loses one packet in twenty each way: a packet between a host and the coordinator is lost with a
chance of 5 %, one between the hosts, which takes both links, with 9.75 %. One process a host brings
a *wave* of meetings at a time, each in a room of its own, which begin at random moments of a few
seconds, one side up to ``SKEW`` later than the other. Whoever is handed a stream sends eight bytes
and waits for the other's.

A success is *false* if the stream was handed over before authenticated bytes had crossed it both
ways. That is judged from what both processes saw. A TLS client has had authenticated bytes of its
peer when it makes its HELLO, which is after TLS; a server when it has checked that HELLO. Both
moments must be there, for the same round and lane, and not after the hand-over. One machine has one
monotonic clock, also in its namespaces.

What no protocol can give is counted apart: *one-sided* is a meeting in which the server's ACCEPT
was lost with the connection, so that it holds a stream that breaks and the client none.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import anyio

import simopen
from benchmarks.commands import Judgement, arguments, conclude, require_lab
from benchmarks.common import LOOPS, environment, write_lines
from benchmarks.display import progress_bar, table
from benchmarks.statistics import percentile, wilson
from benchmarks.workers import Answer, Worker, ask_both, serve, sleep_until
from simopen import lab
from simopen.security import _handshake
from simopen.security._keys import GroupKeys

PORT = 7337
RTT = 0.040  # seconds, host to host
LOSS = 0.05  # chance of each packet to be lost, on each site's link and each way
WAVE = 50  # meetings at a time
SPREAD = 2.0  # seconds in which a wave's meetings begin; more at a time wait for two processors
SKEW = 0.1  # seconds by which one side may be later
LEAD = 0.1  # seconds from the order to the first start
TIMEOUT = 30.0  # seconds that a call may take
EXCHANGE_TIMEOUT = 15.0  # seconds until a stream that says nothing carries nothing
MEETINGS, QUICK_MEETINGS = 10_000, 500
PERCENTS = (50, 90, 99, 99.9, 100)
SEED = 1
MODULE = "benchmarks.lossy_meetings"

# What one host may ask of a coordinator that has all meetings from two addresses.
LIMITS = simopen.CoordinatorLimits(
    connections_per_address=10_000, connection_rate=10_000, connection_burst=10_000
)

# -- judging ---------------------------------------------------------------------------------------


def is_false(side: Answer, peer: Answer) -> bool:
    """Whether a side was handed a stream before authenticated bytes had crossed it both ways.

    Args:
        side: Its answer: ``held``, when it was handed a stream, or None; ``heard``, when it had
            authenticated bytes of the peer's, by round and lane, in order.
        peer: The other's.
    """
    if side["held"] is None:
        return False
    if not side["heard"]:
        return True
    connection = list(side["heard"])[-1]
    moments = (side["heard"][connection], peer["heard"].get(connection))
    return any(moment is None or moment > side["held"] for moment in moments)


def outcome(first: Answer, second: Answer) -> str:
    """What came of a meeting, apart from whether it was false."""
    sides = (first, second)
    if all(side["carries"] for side in sides):
        return "met"
    held = sum(side["held"] is not None for side in sides)
    return ("failed", "one-sided", "cut")[held]


@dataclass
class Counts:
    """What came of all meetings.

    Attributes:
        outcomes: How many had which outcome.
        false: Sides whose success was false.
        times: Of those that met, seconds from the later start until both held the stream.
        rounds: Of those, how many took how many.
        failures: What both sides said of the others.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    false: int = 0
    times: list[float] = field(default_factory=list)
    rounds: Counter[int] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)

    @property
    def trials(self) -> int:
        """Meetings so far."""
        return self.outcomes.total()

    def count(self, first: Answer, second: Answer) -> None:
        """Take what two sides say of one meeting."""
        what = outcome(first, second)
        self.outcomes[what] += 1
        self.false += is_false(first, second) + is_false(second, first)
        if what == "met":
            began = max(first["began"], second["began"])
            self.times.append(max(first["held"], second["held"]) - began)
            self.rounds[max(first["rounds"], second["rounds"])] += 1
        else:
            self.failures.append({"outcome": what, "sides": [first, second]})

    def summary(self) -> dict[str, Any]:
        """The counts, with what they are sure of at 95 %."""
        return {
            "trials": self.trials,
            **{name: self.outcomes[name] for name in ("met", "one-sided", "cut", "failed")},
            "met at least": wilson(self.outcomes["met"], self.trials)[0],
            "false": self.false,
            "false of sides at most": wilson(self.false, 2 * self.trials)[1],
            "seconds": {str(percent): percentile(self.times, percent) for percent in PERCENTS},
            "rounds": dict(sorted(self.rounds.items())),
        }


# -- in the hosts ----------------------------------------------------------------------------------

_heard: ContextVar[dict[str, float]] = ContextVar("heard")  # of the call that a task belongs to


def listen_in() -> None:
    """Have the moments noted at which a side has had authenticated bytes of its peer's."""
    module: Any = _handshake  # what it has imported is replaced in it
    make_hello, check_hello = module.make_hello, module.check_hello

    def make(keys: GroupKeys, transcript: bytes, lane: int) -> object:
        _note(transcript, lane)  # TLS is done: the server has proved its certificate
        return make_hello(keys, transcript, lane)

    def check(keys: GroupKeys, transcript: bytes, frame: bytes) -> object:
        lane = check_hello(keys, transcript, frame)
        _note(transcript, lane)
        return lane

    module.make_hello, module.check_hello = make, check


def _note(transcript: bytes, lane: int) -> None:
    heard = _heard.get()
    connection = f"{transcript.hex()[:16]}/{lane}"
    heard.pop(connection, None)  # the latest is the last
    heard[connection] = time.monotonic()


def moments_heard() -> dict[str, float]:
    """What is noted from here on by this task and those that it starts."""
    heard: dict[str, float] = {}
    _heard.set(heard)
    return heard


async def meet_all(url: str, invites: list[str], starts: list[float]) -> Answer:
    """One side of a wave of meetings."""
    answers: list[Answer] = [{}] * len(invites)

    async def one(number: int) -> None:
        answers[number] = await meet(url, invites[number], starts[number])

    async with anyio.create_task_group() as group:
        for number in range(len(invites)):
            group.start_soon(one, number)
    return {"answers": answers}


async def meet(url: str, invite: str, at: float) -> Answer:
    """One side of one meeting."""
    heard = moments_heard()
    answer: Answer = {"held": None, "carries": False, "heard": heard, "rounds": 0, "words": ""}
    await sleep_until(at)
    answer["began"] = time.monotonic()
    try:
        stream = await simopen.connect_peer(
            rendezvous=url, secret=invite, local="0.0.0.0:0", timeout=TIMEOUT
        )
    except simopen.SimopenError as error:
        return answer | {"words": f"{type(error).__name__}: {error}"}
    answer["held"] = time.monotonic()
    assert stream.report.meeting is not None  # noqa: S101  # we have come through a coordinator
    answer["rounds"] = stream.report.meeting.rounds
    async with stream:
        with anyio.move_on_after(EXCHANGE_TIMEOUT):
            try:
                await exchange(stream, answer)
            except anyio.EndOfStream:
                answer["words"] = "the stream ended"
            except anyio.BrokenResourceError as error:
                answer["words"] = f"the stream broke: {error.__cause__}"
    return answer


async def exchange(stream: simopen.PeerStream, answer: Answer) -> None:
    """Send eight bytes, wait for the other's, and part."""
    await stream.send(b"8 bytes!")
    answer["carries"] = await stream.receive() == b"8 bytes!"
    await stream.send_eof()
    async for _ in stream:
        pass


async def coordinate() -> None:
    """Be the coordinator."""
    async with simopen.Coordinator(("0.0.0.0", PORT), limits=LIMITS):  # noqa: S104  # the lab's
        print("ready", flush=True)
        await anyio.sleep_forever()


# -- outside ---------------------------------------------------------------------------------------


def sites() -> list[lab.Site]:
    """The network: two homes and the coordinator."""
    link = lab.Link(latency=RTT / 4, loss=LOSS)
    homes = [lab.Site(f"home-{x}", hosts=[x], gateway="home-router", link=link) for x in "ab"]
    return [*homes, lab.Site("public", hosts=["c"])]


async def run(meetings: int, loop: str, progress: Callable[[int], None]) -> Counts:
    """All meetings, a wave at a time."""
    counts, chances = Counts(), random.Random(SEED)
    async with lab.network(sites(), seed=SEED) as net:
        command = [sys.executable, "-m", MODULE, "--coordinator"]
        coordinator = await net["c"].popen(command, stderr=None)
        assert coordinator.stdout is not None  # noqa: S101  # a pipe, as asked for
        await coordinator.stdout.receive()
        workers = (
            await Worker.start(net["a"], MODULE, loop),
            await Worker.start(net["b"], MODULE, loop),
        )
        url = f"tcp://{net['c'].public_ipv4}:{PORT}"
        while (left := meetings - counts.trials) > 0:
            orders = wave(url, min(WAVE, left), chances)
            first, second = await ask_both(workers, *orders)
            for sides in zip(first["answers"], second["answers"], strict=True):
                counts.count(*sides)
            progress(counts.trials)
    return counts


def wave(url: str, meetings: int, chances: random.Random) -> tuple[dict[str, Any], dict[str, Any]]:
    """What both sides are told to do."""
    invites = [simopen.Invite.new("bench").reveal() for _ in range(meetings)]
    now = time.monotonic() + LEAD
    orders = {"what": "meet_all", "url": url, "invites": invites}
    starts: list[list[float]] = []
    for _ in range(meetings):
        earlier = now + chances.uniform(0, SPREAD)
        both = [earlier, earlier + chances.uniform(0, SKEW)]
        chances.shuffle(both)
        starts.append(both)
    return (
        {**orders, "starts": [each[0] for each in starts]},
        {**orders, "starts": [each[1] for each in starts]},
    )


def show(counts: Counts) -> None:
    """Print the counts as a table, and what was said of meetings that were none."""
    print(summary_table(counts.summary()))
    for each in counts.failures:
        words = " | ".join(side["words"] or "holds a stream" for side in each["sides"])
        print(f"\n{each['outcome']}: {words}")


def summary_table(summary: Mapping[str, Any]) -> str:
    """The counts, one a line."""
    told = dict(summary)
    times = told.pop("seconds")
    rounds = told.pop("rounds")
    rows = [[name, f"{value:.6g}"] for name, value in told.items()]
    rows += [[f"took {number} rounds", f"{count:,}"] for number, count in rounds.items()]
    rows += [[f"seconds, {percent} %", f"{value:.3f}"] for percent, value in times.items()]
    return table(["what", "figure"], rows)


def measure(meetings: int, loop: str) -> None:
    """Run what was asked for, and tell."""
    require_lab()
    with progress_bar() as bar:
        task = bar.add_task("meetings", total=meetings)
        counts = anyio.run(run, meetings, loop, lambda done: bar.update(task, completed=done))
    setting = {"loop": loop, "rtt": RTT, "loss": LOSS, "wave": WAVE, "seed": SEED}
    records = [environment() | setting, counts.summary(), *counts.failures]
    write_lines("lossy_meetings.jsonl", records, quick=meetings < MEETINGS)
    show(counts)
    conclude(Judgement(counts.false == 0, counts.false == 0), quick=meetings < MEETINGS)


def main() -> None:
    """Read the arguments and run."""
    parser = arguments(__doc__, f"{QUICK_MEETINGS:,} meetings")
    parser.add_argument("--meetings", type=int, help=f"how many; {MEETINGS:,} if it is not said")
    parser.add_argument("--loop", choices=LOOPS, default="asyncio")
    parser.add_argument("--worker", choices=LOOPS, help=argparse.SUPPRESS)
    parser.add_argument("--coordinator", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.coordinator:
        anyio.run(coordinate, **LOOPS["uvloop"])
    elif args.worker:
        listen_in()
        anyio.run(serve, meet_all, **LOOPS[args.worker])
    else:
        measure(args.meetings or (QUICK_MEETINGS if args.quick else MEETINGS), args.loop)


if __name__ == "__main__":
    main()

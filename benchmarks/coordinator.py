"""A coordinator with thousands who wait: memory and CPU for each, and introductions at full speed.

``python -m benchmarks.coordinator`` has 20,000 members wait, or as many as there may be open files;
``--quick`` 2,000. Both print two tables and write ``results/coordinator.jsonl`` (``quick-`` in
front for a short run): the environment, then a line for each phase. Plain and TLS.

How it is measured
------------------
``simopen coordinator`` is one process, and a bare echo server (:mod:`benchmarks.echo`) on the same
framework is another; both have the first CPU for themselves, and only one of them is in use at a
time. Driver processes (:mod:`benchmarks.crowd`) on the other CPU come from addresses of their own.
The two servers take turns, several times each; each turn is a *phase*:

1. *gather*: all who wait connect, join and are welcomed. To the echo server they send the same
   join, which comes back.
2. *idle*, in the first phase of each: nothing but pings, one for each every 25 seconds.
3. *rush*: partners come for half of those who wait, in batches, as fast as the drivers can. Here
   the wall clock counts, and with it the drivers; *busy* says how much of its CPU the server used.
4. *steps*: partners come for the others, one step for the whole batch after the other, and the
   server stands still (SIGSTOP) while it is given the work of a step, so that it always has all of
   it before it: *arrive* (accept; TLS shakes hands meanwhile and cannot be held), *messages* (join
   in, welcome and introduction out, and the introduction of the one who waited; of the echo: join
   in, join out), *leave* (a result and the end; of the echo: the end). Here the server's own CPU
   time counts, which the drivers and the rest of the machine do not touch.

An *introduction* is all three steps for one partner, an *exchange* the same with the echo server:
connect, send 2.9 kB, receive as much (2.9 kB, of the coordinator 3.0), hang up. The introduction of
the one who waited, another 2.9 kB on another connection, has no counterpart: it is the
coordinator's work. *Full speed* is the inverse of the steps' CPU time: what one processor does.
Asked: half as many introductions as exchanges; 20,000 members plain in less than 512 MiB.
"""

from __future__ import annotations

import contextlib
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import anyio

from benchmarks.commands import Judgement, arguments, conclude
from benchmarks.common import environment, write_lines
from benchmarks.display import progress_bar, table
from benchmarks.servers import HOST, Server, free_port, running, write_certificate
from benchmarks.statistics import around_median
from benchmarks.workers import Answer, Worker, on_cpu
from simopen.rendezvous._files import SPARE, allow_connections
from simopen.rendezvous.protocol import CoordinatorLimits

MEMBERS, QUICK_MEMBERS = 20_000, 2_000
TURNS, QUICK_TURNS = 6, 2
IDLE_SLICES, QUICK_IDLE_SLICES = 3, 1  # of 25 seconds
DRIVERS = 4
BATCH = 400  # partners at once
PASSING = 4 * BATCH  # connections of partners, whose end the server may not have seen yet
CHUNK = 2_000  # members that come between two looks at the clock
PING_INTERVAL = 25.0  # seconds, a client's
NEVER = 10**9  # a limit that is none
LONGEST_IDLE = 3600  # seconds, the most that a coordinator takes for one

MEMORY_ASKED = 512 * 2**20  # bytes, at most, for MEMBERS members, plain
RATIO_ASKED = 0.5  # introductions for each exchange, at least
STEPS = ("arrive", "messages", "leave")


@dataclass
class Phase:
    """What one server did in one turn.

    Attributes:
        kind: ``"coordinator"`` or ``"echo"``.
        tls: Whether over TLS.
        turn: Which one.
        members: How many waited.
        memory: Bytes resident with all of them; in the first turn only.
        memory_each: Bytes that each has added; likewise.
        idle_cpu: Seconds of CPU each second while all only wait; likewise.
        gather_each: Seconds of CPU for each who comes to wait.
        rush_rate: Partners each second, by the wall clock.
        rush_busy: CPU seconds of the server each second of the rush.
        steps: Seconds of CPU for each partner, by step.
    """

    kind: str
    tls: bool
    turn: int
    members: int = 0
    memory: int | None = None
    memory_each: float | None = None
    idle_cpu: float | None = None
    gather_each: float = 0.0
    rush_rate: float = 0.0
    rush_busy: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)

    @property
    def each(self) -> float:
        """Seconds of CPU for one partner, all steps."""
        return sum(self.steps.values())


class Drivers:
    """All driver processes; each has an equal part of whatever they do."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers

    async def all(self, what: str, **arguments: object) -> list[Answer]:
        """Have all of them do something; their answers."""
        answers: list[Answer] = []

        async def one(worker: Worker) -> None:
            answers.append(await worker.ask(what, **arguments))

        async with anyio.create_task_group() as group:
            for worker in self._workers:
                group.start_soon(one, worker)
        return answers

    async def begin(self, phase: Phase, server: Server, certificate: Path | None) -> None:
        """Say whom they drive from here on."""
        trusted = str(certificate) if phase.tls else None
        for number, worker in enumerate(self._workers):
            await worker.ask(
                "begin", kind=phase.kind, driver=number, port=server.port, certificate=trusted
            )


# -- one phase -------------------------------------------------------------------------------------


async def run_phase(
    phase: Phase, server: Server, drivers: Drivers, members: int, idle_slices: int
) -> None:
    """All of it, into ``phase``."""
    alone = server.rss
    await _gather(phase, server, drivers, members)
    if phase.turn == 0:
        phase.memory = server.rss
        phase.memory_each = (phase.memory - alone) / members
        began, cpu = time.monotonic(), server.cpu
        for _ in range(idle_slices):
            await drivers.all("idle", seconds=PING_INTERVAL)
        phase.idle_cpu = (server.cpu - cpu) / (time.monotonic() - began)
    batches = max(1, members // BATCH // 2)
    await _rush(phase, server, drivers, batches)
    totals = dict.fromkeys(STEPS, 0.0)
    for _ in range(batches):
        await drivers.all("beat")
        for step, cpu in (await _steps(server, drivers, tls=phase.tls)).items():
            totals[step] += cpu
    phase.steps = {step: cpu / (batches * BATCH) for step, cpu in totals.items()}
    await drivers.all("scatter")
    server.quiet_cpu()


async def _gather(phase: Phase, server: Server, drivers: Drivers, members: int) -> None:
    phase.members = members
    cpu = server.cpu
    for first in range(0, members, CHUNK):
        await drivers.all("gather", count=min(CHUNK, members - first) // DRIVERS)
        await drivers.all("beat")
    phase.gather_each = (server.quiet_cpu() - cpu) / members


async def _rush(phase: Phase, server: Server, drivers: Drivers, batches: int) -> None:
    await drivers.all("beat")
    began, cpu = time.monotonic(), server.cpu
    for _ in range(batches):
        await drivers.all("rush", count=BATCH // DRIVERS)
    took = time.monotonic() - began
    phase.rush_rate = batches * BATCH / took
    phase.rush_busy = (server.cpu - cpu) / took


async def _steps(server: Server, drivers: Drivers, *, tls: bool) -> dict[str, float]:
    """One batch, held before each step; the CPU seconds of each."""
    marks = [server.quiet_cpu()]
    with contextlib.nullcontext() if tls else server.held():
        await drivers.all("arrive", count=BATCH // DRIVERS)
    marks.append(server.quiet_cpu())
    with server.held():
        await drivers.all("ask")
    await drivers.all("hear")
    marks.append(server.quiet_cpu())
    with server.held():
        await drivers.all("leave")
    marks.append(server.quiet_cpu())
    return {step: marks[n + 1] - marks[n] for n, step in enumerate(STEPS)}


# -- all phases ------------------------------------------------------------------------------------


def command_of(kind: str, port: int, files: Sequence[Path], members: int) -> list[str]:
    """What starts a server on the first CPU.

    Args:
        kind: ``"coordinator"`` or ``"echo"``.
        port: Where it listens.
        files: Certificate and key; empty for plain TCP.
        members: How many it has to bear; no limit by address is to be met.
    """
    python = [*on_cpu(0), sys.executable, "-m"]
    if kind == "echo":
        return [*python, "benchmarks.echo", str(port), *map(str, files)]
    most = {each.name: members for each in fields(CoordinatorLimits) if _is_by_address(each.name)}
    most |= {"connections": members, "connection_rate": NEVER, "connection_burst": NEVER}
    most |= {"meeting": NEVER, "idle": LONGEST_IDLE}  # a phase takes long on a slow machine
    limits = [f"--limit={name}={value}" for name, value in most.items()]
    options = ["--listen", f"{HOST}:{port}", "--probe-listen", "off", *limits]
    for option, path in zip(("--tls-cert", "--tls-key"), files, strict=False):
        options += [option, str(path)]
    return [*python, "simopen", "coordinator", *options]


def _is_by_address(name: str) -> bool:
    return name.endswith("_per_address")


@contextlib.contextmanager
def both_servers(files: Sequence[Path], members: int) -> Iterator[dict[str, Server]]:
    """The coordinator and the echo server, by kind."""
    with contextlib.ExitStack() as stack:
        servers = {}
        for kind in ("echo", "coordinator"):
            port = free_port()
            command = command_of(kind, port, files, members)
            servers[kind] = stack.enter_context(running(command, port))
        yield servers


async def run(
    members: int, turns: int, idle_slices: int, protections: Sequence[bool]
) -> list[Phase]:
    """All phases of plain and of TLS."""
    phases = []
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        certificate, key = write_certificate(folder)
        drivers = Drivers([await _start_driver(stack) for _ in range(DRIVERS)])
        progress = stack.enter_context(progress_bar())
        task = progress.add_task("phases", total=2 * turns * len(protections))
        for tls in protections:
            files = (certificate, key) if tls else ()
            with both_servers(files, members + PASSING) as servers:
                for turn in range(turns):
                    for kind, server in servers.items():
                        words = f"{kind}, {'TLS' if tls else 'plain'}, turn {turn + 1}"
                        progress.update(task, description=words)
                        phases.append(phase := Phase(kind, tls, turn))
                        await drivers.begin(phase, server, certificate)
                        await run_phase(phase, server, drivers, members, idle_slices)
                        progress.advance(task)
                        progress.console.print(told(phase))
    return phases


async def _start_driver(stack: contextlib.AsyncExitStack) -> Worker:
    command = [*on_cpu(1), sys.executable, "-m", "benchmarks.crowd"]
    process = await stack.enter_async_context(await anyio.open_process(command, stderr=None))
    stack.callback(process.terminate)
    return await Worker.of(process)


# -- telling ---------------------------------------------------------------------------------------


def told(phase: Phase) -> str:
    """One phase in a line, for whoever watches."""
    words = [f"{phase.members:,} gathered at {phase.gather_each * 1e6:.0f} µs of CPU each"]
    if phase.memory is not None and phase.memory_each is not None:
        words.append(f"{phase.memory / 2**20:.0f} MiB, {phase.memory_each / 1024:.1f} KiB each")
    if phase.idle_cpu is not None:
        words.append(f"idle {phase.idle_cpu:.1%} of a CPU")
    words.append(f"rush {phase.rush_rate:,.0f}/s, busy {phase.rush_busy:.0%}")
    words.append(f"{1 / phase.each:,.0f}/s at full speed")
    return "; ".join(words)


def ratios(
    phases: Sequence[Phase], measure: Callable[[Phase], float]
) -> tuple[float, float, float]:
    """Echo over coordinator, turn by turn: the median, the least and the greatest."""
    turns: dict[int, dict[str, float]] = {}
    for phase in phases:
        turns.setdefault(phase.turn, {})[phase.kind] = measure(phase)
    return around_median([each["echo"] / each["coordinator"] for each in turns.values()])


def show(phases: Sequence[Phase]) -> Judgement:
    """Print the tables; whether what is asked is met."""
    told, judgement = tables(phases)
    print(told)
    return judgement


def tables(phases: Sequence[Phase]) -> tuple[str, Judgement]:
    """The tables, and whether what is asked is met; memory is the same on a busy machine."""
    memory, small = _memory_table([phase for phase in phases if phase.turn == 0])
    rows, met = [], small
    for tls in dict.fromkeys(phase.tls for phase in phases):
        group = [phase for phase in phases if phase.tls is tls]
        rows += [[_words(tls), step, *_figures(group, step)] for step in (*STEPS, "all")]
        met &= ratios(group, lambda phase: phase.each)[0] >= RATIO_ASKED
        rows.append([_words(tls), "rush", *_rush_figures(group)])
    head = ["", "step", "echo, µs", "coordinator, µs", "echo / coordinator", "coordinator, /s"]
    return f"{memory}\n\n{table(head, rows)}", Judgement(met, sound=small)


def _memory_table(first: Sequence[Phase]) -> tuple[str, bool]:
    rows, met = [], True
    for phase in first:
        memory, each, idle = phase.memory or 0, phase.memory_each or 0.0, phase.idle_cpu or 0.0
        for_all = memory + each * (MEMBERS - phase.members)
        judged = phase.kind == "coordinator" and not phase.tls
        good = for_all < MEMORY_ASKED
        met &= good or not judged
        rows.append(
            [
                f"{phase.kind}, {_words(phase.tls)}",
                f"{phase.members:,}",
                f"{memory / 2**20:.0f}",
                f"{for_all / 2**20:.0f}",
                f"{each / 1024:.1f}",
                f"{idle:.1%}",
                f"{idle / phase.members * 1e6:.2f}",
                ("yes" if good else "NO") if judged else "",
            ]
        )
    head = [
        "server", "wait", "MiB", f"MiB for {MEMBERS:,}", "KiB each", "CPU, idle",
        "µs each a second", "as asked",
    ]  # fmt: skip
    return table(head, rows), met


def _figures(group: Sequence[Phase], step: str) -> list[str]:
    def cpu(phase: Phase) -> float:
        return phase.each if step == "all" else phase.steps[step]

    medians = {kind: _median(group, kind, cpu) for kind in ("echo", "coordinator")}
    ratio = "{:.2f} ({:.2f} to {:.2f})".format(*ratios(group, cpu))
    return [*(f"{each * 1e6:.1f}" for each in medians.values()), ratio,
            f"{1 / medians['coordinator']:,.0f}"]  # fmt: skip


def _rush_figures(group: Sequence[Phase]) -> list[str]:
    echo, own = (_median(group, kind, lambda p: p.rush_rate) for kind in ("echo", "coordinator"))
    busy = (_median(group, kind, lambda p: p.rush_busy) for kind in ("echo", "coordinator"))
    loads = [f"busy {each:.0%}" for each in busy]
    return [f"{loads[0]}, {echo:,.0f}/s", loads[1], f"{own / echo:.2f}", f"{own:,.0f}"]


def _median(group: Sequence[Phase], kind: str, measure: Callable[[Phase], float]) -> float:
    return around_median([measure(phase) for phase in group if phase.kind == kind])[0]


def _words(tls: bool) -> str:  # noqa: FBT001 - a table's word
    return "TLS" if tls else "plain"


def main() -> None:
    """Read the arguments, measure and tell."""
    parser = arguments(__doc__, "fewer members, fewer turns")
    parser.add_argument("--members", type=int, help="how many wait")
    parser.add_argument("--turns", type=int, help="of each server")
    parser.add_argument("--only", choices=("plain", "TLS"))
    args = parser.parse_args()
    asked = args.members or (QUICK_MEMBERS if args.quick else MEMBERS)
    members = allow_connections(asked + PASSING) - PASSING
    members -= members % DRIVERS
    turns = args.turns or (QUICK_TURNS if args.quick else TURNS)
    slices = QUICK_IDLE_SLICES if args.quick else IDLE_SLICES
    protections = [tls for tls in (False, True) if args.only in (None, _words(tls))]
    phases = anyio.run(run, members, turns, slices, protections)
    if args.only is None:
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        head = environment() | {"asked": asked, "open_files": files, "spare_files": SPARE}
        write_lines("coordinator.jsonl", [head, *map(asdict, phases)], quick=args.quick)
    conclude(show(phases), quick=args.quick)


if __name__ == "__main__":
    main()

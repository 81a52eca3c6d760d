"""``python -m benchmarks.rivals``: rivals side by side; see the package's header."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import anyio

import benchmarks.rivals
from benchmarks.commands import arguments, require_lab
from benchmarks.common import environment, write_lines
from benchmarks.display import progress_bar
from benchmarks.rivals.catalogue import CONTENDERS, PAIRS, Contender
from benchmarks.rivals.outcomes import Pair, tables
from benchmarks.rivals.trials import LIMIT, QUICK_LIMIT, SKEWS, Bench
from benchmarks.rivals.venvs import CannotInstallError, installed, python_of

TRIALS, QUICK_TRIALS = 9, 3  # of each contender at each pair of sites; each skew equally often


def install(contenders: Sequence[Contender]) -> tuple[dict[str, Path], dict[str, str]]:
    """The interpreters of those that can be installed, and why the others cannot."""
    pythons, absent = {}, {}
    with progress_bar() as progress:
        for each in progress.track(contenders, description="installing"):
            try:
                pythons[each.name] = python_of(each.package)
            except CannotInstallError as error:
                absent[each.name] = f"{each.package}: {error}"
    return pythons, absent


async def run(
    bench: Bench,
    pairs: Sequence[Pair],
    contenders: Sequence[Contender],
    trials: int,
    keep: Callable[[], object],
) -> None:
    """All trials of all pairs; what there is is kept after each."""
    with progress_bar() as progress:
        task = progress.add_task("trials", total=len(pairs) * len(contenders) * trials)
        bench.progress = lambda: progress.advance(task)
        for pair in pairs:
            progress.update(task, description="~".join(pair))
            await bench.run(pair, contenders, trials)
            keep()


def main() -> None:
    """Read the arguments and run."""
    parser = arguments(benchmarks.rivals.__doc__, "few trials of each")
    parser.add_argument("--only", nargs="+", choices=[each.adapter for each in CONTENDERS])
    parser.add_argument("--pairs", nargs="+", choices=["~".join(pair) for pair in PAIRS])
    args = parser.parse_args()
    require_lab()
    trials = QUICK_TRIALS if args.quick else TRIALS
    contenders = [each for each in CONTENDERS if each.adapter in (args.only or [each.adapter])]
    pairs = [pair for pair in PAIRS if "~".join(pair) in (args.pairs or ["~".join(pair)])]
    pythons, absent = install(contenders)
    bench = Bench(pythons, QUICK_LIMIT if args.quick else LIMIT, absent=absent)
    head = environment() | {
        "skews": SKEWS,
        "limit": bench.limit,
        "trials": trials,
        "installed": {
            each.package: installed(pythons[each.name])
            for each in contenders
            if each.package and each.name in pythons
        },
    }

    def keep(name: str) -> Path:
        told = head | {"rivals": bench.versions, "absent": bench.absent}
        records = [told, *(asdict(each) for each in bench.results)]
        return write_lines(name, records, quick=args.quick)

    present = [each for each in contenders if each.name in pythons]
    anyio.run(run, bench, pairs, present, trials, lambda: keep("unfinished-rivals.jsonl"))
    print(tables(bench.results, bench.absent))
    if not (args.only or args.pairs):
        keep("rivals.jsonl")


if __name__ == "__main__":
    main()

"""``python -m benchmarks.rivals``: rivals side by side; see the package's header."""

from __future__ import annotations

from collections.abc import Sequence
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
from benchmarks.rivals.venvs import CannotInstallError, python_of

TRIALS, QUICK_TRIALS = 20, 3  # of each contender at each pair of sites


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
    pairs: Sequence[Pair], contenders: Sequence[Contender], trials: int, limit: float
) -> Bench:
    """All trials of all pairs."""
    pythons, absent = install(contenders)
    present = [each for each in contenders if each.name in pythons]
    with progress_bar() as progress:
        task = progress.add_task("trials", total=len(pairs) * len(present) * trials)
        bench = Bench(pythons, limit, lambda: progress.advance(task), absent=absent)
        for pair in pairs:
            progress.update(task, description="~".join(pair))
            await bench.run(pair, present, trials)
    return bench


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
    limit = QUICK_LIMIT if args.quick else LIMIT
    bench = anyio.run(run, pairs, contenders, trials, limit)
    print(tables(bench.results, bench.absent))
    if not (args.only or args.pairs):
        head = environment() | {
            "rivals": bench.versions,
            "absent": bench.absent,
            "skews": SKEWS,
            "limit": limit,
        }
        records = [head, *(asdict(each) for each in bench.results)]
        write_lines("rivals.jsonl", records, quick=args.quick)


if __name__ == "__main__":
    main()

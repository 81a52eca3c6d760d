"""All benchmarks, one after the other: ``python -m benchmarks [--quick]``.

Each runs in a process of its own, since it measures itself too. One that fails, that misses what is
asked of it, or that is not there is told of in the end and stops no other.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from benchmarks.commands import arguments
from benchmarks.display import table

COMMANDS = (
    "connect",
    "grid",
    "population",
    "rivals",
    "throughput",
    "concurrency",
    "waiting",
    "rendezvous",
    "presets",
    "lossy_meetings",
    "coordinator",
    "soak",
    "lab",
    "raw",
    "simulate",
)
HEAD = ("benchmark", "seconds", "what came of it")
MISSING = "NOT RUN: there is no such module"


def is_there(name: str) -> bool:
    """Whether a benchmark has been written."""
    return find_spec(f"benchmarks.{name}") is not None


def run(name: str, options: Sequence[str]) -> str:
    """Run one; what came of it."""
    code = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], check=False)
    said = f"NOT MET, or it failed: exit status {code.returncode}"
    return said if code.returncode else "done"


def run_all(
    names: Sequence[str], options: Sequence[str], run: Callable[[str, Sequence[str]], str] = run
) -> tuple[list[list[str]], bool]:
    """Run all of them; a row for each, and whether every one was run and met what is asked."""
    rows = []
    for name in names:
        print(f"\n--- {name} ---\n", flush=True)
        began = time.monotonic()
        said = run(name, options) if is_there(name) else MISSING
        print(f"{name}: {said}", file=sys.stderr)
        rows.append([name, f"{time.monotonic() - began:.0f}", said])
    return rows, all(row[-1] == "done" for row in rows)


def main() -> None:
    """Read the arguments and run."""
    parser = arguments(__doc__, "a short run of each")
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=COMMANDS)
    args = parser.parse_args()
    rows, met = run_all(args.only, ["--quick"] if args.quick else [])
    print("\n" + table(HEAD, rows))
    sys.exit(not met)


if __name__ == "__main__":
    main()

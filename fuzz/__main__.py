"""Fuzz decoders: ``python -m fuzz frames --executions 10000000``, ``python -m fuzz --all``.

Needs the dependency group ``fuzz`` (``pip install --group fuzz``) and a Python that atheris has a
wheel for. Each target is one process after the other; the records are appended to
``benchmarks/results/fuzz.jsonl``. With ``--bugs`` nothing is recorded: the decoders are broken one
way each, and the targets have to find it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fuzz import _bugs, _campaign, _targets

EXECUTIONS = 10_000_000


def main() -> int:
    """Read the arguments and fuzz; 1 where something was found."""
    parser = argparse.ArgumentParser(
        prog="python -m fuzz", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("targets", nargs="*", metavar="target", help=", ".join(_targets.names()))
    parser.add_argument("--all", action="store_true", help="every target, one after the other")
    parser.add_argument("--executions", type=int, default=EXECUTIONS, help="inputs for each")
    parser.add_argument("--again", type=Path, metavar="FILE", help="try the bytes of one file")
    parser.add_argument("--bugs", action="store_true", help="see that known bugs are found")
    arguments = parser.parse_args()
    chosen = _targets.names() if arguments.all else arguments.targets
    if not chosen or not set(chosen) <= set(_targets.names()):
        parser.error(f"name targets, or --all: {', '.join(_targets.names())}")
    if arguments.again is not None:
        for name in chosen:
            _targets.load(name).check(arguments.again.read_bytes())
        return 0
    if arguments.bugs:
        return int(_bugs.missed(chosen) > 0)
    return max([fuzz(name, arguments.executions) for name in chosen])


def fuzz(name: str, executions: int) -> int:
    """Fuzz one target and record it; 1 where something was found."""
    target = _targets.load(name)
    print(f"{name}: {target.invariant}", file=sys.stderr)
    campaign = _campaign.run(target, executions)
    _campaign.record(campaign)
    print(campaign, file=sys.stderr)
    return int(campaign.crashes > 0)


if __name__ == "__main__":
    sys.exit(main())

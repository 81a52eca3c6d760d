"""What every benchmark's command has: ``--quick``, an exit status, and a word where it cannot run.

A benchmark that asks for something ends with 1 if it is not met. A short run tells the same figures
and marks the same lines, but what it judges is less: it runs beside other things on any machine and
has few trials, so times, rates and shares of a processor are not held against it, and neither is
what only many trials can show. What is left is what may not happen even once, however slow the
machine: a success that is none, a meeting that does not come about where all have to, something
left behind.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

from simopen import lab


def arguments(doc: str | None, quick: str) -> argparse.ArgumentParser:
    """The arguments that all benchmarks have; a benchmark adds its own.

    Args:
        doc: The module's docstring, whose first line describes the command.
        quick: What is less in a short run.
    """
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help=quick)
    return parser


@dataclass(frozen=True)
class Judgement:
    """Whether what a benchmark asks is met.

    Attributes:
        met: All of it.
        sound: That part of it which no machine is too slow for, and no run too short.
    """

    met: bool
    sound: bool


def all_of(judgements: Iterable[Judgement]) -> Judgement:
    """Several as one."""
    found = list(judgements)
    return Judgement(all(each.met for each in found), all(each.sound for each in found))


def conclude(judgement: Judgement, *, quick: bool) -> NoReturn:
    """End the command; with 1 if what counts in such a run is not met."""
    if quick and judgement.sound and not judgement.met:
        print("not all that is asked is met; a short run is not judged by that", file=sys.stderr)
    sys.exit(not (judgement.sound if quick else judgement.met))


def require_lab() -> None:
    """End the command where this machine has no lab."""
    if reason := lab.why_unavailable():
        sys.exit(f"this benchmark needs the lab: {reason}")

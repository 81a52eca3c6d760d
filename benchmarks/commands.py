"""What every benchmark's command has: ``--quick``, and a word where it cannot run."""

from __future__ import annotations

import argparse
import sys

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


def require_lab() -> None:
    """End the command where this machine has no lab."""
    if reason := lab.why_unavailable():
        sys.exit(f"this benchmark needs the lab: {reason}")

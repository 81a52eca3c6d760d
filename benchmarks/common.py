"""What the benchmarks share: the loops, and the environment that stands beside every figure."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"

LOOPS: dict[str, dict[str, Any]] = {
    "asyncio": {"backend": "asyncio"},
    "uvloop": {"backend": "asyncio", "backend_options": {"use_uvloop": True}},
    "trio": {"backend": "trio"},
}


def environment() -> dict[str, Any]:
    """On what the figures were taken, and by which command."""
    return {
        "command": shlex.join(["python", *sys.orig_argv[1:]]),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        **{name: version(name) for name in ("simopen", "anyio", "uvloop", "trio")},
    }


def read_lines(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A file of ``results/``: the environment, and the records behind it."""
    head, *records = map(json.loads, (RESULTS / name).read_text().splitlines())
    return head, records


def write_lines(name: str, records: Iterable[Mapping[str, Any]], *, quick: bool) -> Path:
    """Keep records as JSON lines in ``results/``, apart from the full ones if quick; says where."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / (f"quick-{name}" if quick else name)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    print(f"written: {path}", file=sys.stderr)
    return path

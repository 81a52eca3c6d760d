"""Shows that each invariant can fail: a bug is put into the decoder, and libFuzzer has to find it.

``bugs.toml`` has them. Each is put into a copy of what git knows, and the target fuzzed there from
its seeds alone; the worker has to end with a find.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.protections.__main__ import copy_tree

from ._targets import FOLDER

EXECUTIONS = 1_000_000  # within which it has to be found; most are in a thousand
LONGEST = 300  # seconds


@dataclass(frozen=True, slots=True)
class Bug:
    """A way to break a decoder.

    Attributes:
        target: Who finds it.
        file: Where it goes.
        old: The right code, which is there once.
        new: The wrong code.
    """

    target: str
    file: str
    old: str
    new: str


def load() -> list[Bug]:
    """All bugs."""
    return [Bug(**row) for row in tomllib.loads((FOLDER / "bugs.toml").read_text())["bug"]]


def missed(targets: list[str]) -> int:
    """Put in the bugs of some targets one after the other; how many were not found."""
    count = 0
    with tempfile.TemporaryDirectory(prefix="simopen-fuzz-") as name:
        copy = Path(name)
        copy_tree(copy)
        for bug in load():
            if bug.target in targets:
                found = _is_found(bug, copy)
                print(f"{'found' if found else 'MISSED':6} {bug.target}: {bug.new!r}", flush=True)
                count += not found
    return count


def _is_found(bug: Bug, copy: Path) -> bool:
    path = copy / bug.file
    text = path.read_text()
    path.write_text(text.replace(bug.old, bug.new))
    shutil.rmtree(copy / "fuzz" / "corpus", ignore_errors=True)
    command = [sys.executable, "-m", "fuzz", bug.target, f"--executions={EXECUTIONS}"]
    try:
        ended = subprocess.run(
            command,
            cwd=copy,
            env=os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            check=False,
            timeout=LONGEST,
        )
    except subprocess.TimeoutExpired:
        return False
    finally:
        path.write_text(text)
    return b"Uncaught Python exception" in ended.stdout + ended.stderr

"""Takes out one protection after the other and sees its tests fail.

    python -m tests.protections            all of them; some seconds each
    python -m tests.protections NAME ...   these

Works on a copy of the files that git knows, as they are on the disk. A line for each on standard
output (``benchmarks/results/protections.txt`` has the last whole run); the exit code is 1 if a
protection can be taken out without a test failing, or its tests do not run at all.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.protections.table import ROOT, Protection, load

LONGEST = 60  # seconds for each test: without a protection one may well hang
FAILED = 1  # pytest's exit code when tests ran and some failed; 2 and above: they did not run


def main(names: list[str]) -> int:
    """Take out the named protections, or all."""
    known = {each.name: each for each in load()}
    if unknown := [name for name in names if name not in known]:
        print(f"no protection is called {', '.join(unknown)}", file=sys.stderr)
        return 2
    chosen = [known[name] for name in names or known]
    missed = 0
    with tempfile.TemporaryDirectory(prefix="simopen-protections-") as folder:
        copy = Path(folder)
        copy_tree(copy)
        for number, each in enumerate(chosen, 1):
            print(f"{number} of {len(chosen)}: {each.name}", file=sys.stderr)
            began = time.monotonic()
            word = without(each, copy)
            missed += word != "caught"
            print(f"{word:8} {each.name} ({time.monotonic() - began:.1f} s)", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} caught")
    return 1 if missed else 0


def copy_tree(folder: Path) -> None:
    """Copy what git knows."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (source := ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)


def without(protection: Protection, folder: Path) -> str:
    """Run a protection's tests without it: ``caught``, ``missed`` or ``broken``."""
    path = folder / protection.file
    text = path.read_text()
    path.write_text(protection.removed_from(text))
    # The copy before an installed package, in the processes that tests start as well.
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    try:
        ended = subprocess.run(
            [*command, f"--timeout={LONGEST}", *protection.tests],
            cwd=folder,
            env=environment,
            capture_output=True,
            check=False,
        )
    finally:
        path.write_text(text)
    if ended.returncode == FAILED:
        return "caught"
    if ended.returncode:
        sys.stderr.write(ended.stdout.decode(errors="replace")[-2000:])
    return "broken" if ended.returncode else "missed"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

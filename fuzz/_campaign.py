"""A target fuzzed: so many executions, the corpus made small again, and a record of it.

Theory of operation
===================

A worker begins with the corpus and the seeds in a temporary folder, to which libFuzzer adds what
reaches something new. Afterwards libFuzzer picks the inputs of that folder that together reach as
much (``-set_cover_merge``), and of these the shortest ones replace the corpus, as many as
:data:`MOST_FILES` and :data:`MOST_BYTES` allow. After a find the corpus stays as it was.

The numbers of the record are libFuzzer's own, from its last line and its statistics.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, environment

from ._targets import FOLDER, Target

MOST_FILES = 50  # of a corpus
MOST_BYTES = 100 * 1024  # likewise
SLOWEST = 10  # seconds that one input may take; most take microseconds
MOST_MEMORY = 2048  # MiB of a worker

FOUND = FOLDER / "found"
RECORDS = RESULTS / "fuzz.jsonl"

_DONE = re.compile(r"#(\d+)\s+DONE\s+cov: (\d+) ft: (\d+)")
_RUN = re.compile(r"stat::number_of_executed_units:\s+(\d+)")


@dataclass(frozen=True, slots=True)
class Campaign:
    """What came of fuzzing one target.

    Attributes:
        target: Its name.
        executions: How many inputs were tried.
        seconds: How long that took, by the wall.
        coverage: Places in the byte code of simopen and the target that were reached, as libFuzzer
            counts them.
        features: The same told apart by how often one input reached them.
        corpus: Inputs that were kept.
        corpus_bytes: Bytes of these.
        crashes: Inputs that broke the invariant, took too long or too much memory: 0, or 1, since
            a worker ends at the first.
        longest: Bytes of the longest input that was tried.
    """

    target: str
    executions: int
    seconds: float
    coverage: int | None
    features: int | None
    corpus: int
    corpus_bytes: int
    crashes: int
    longest: int


def run(target: Target, executions: int) -> Campaign:
    """Fuzz a target and keep its corpus.

    Args:
        target: What to fuzz.
        executions: How many inputs to try.
    """
    found = FOUND / target.name
    found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="simopen-fuzz-") as name:
        folder = Path(name)
        _fill(folder, target)
        began = time.monotonic()
        status, said = _worker(
            target,
            f"-runs={executions}",
            f"-max_len={target.longest}",
            f"-timeout={SLOWEST}",
            f"-rss_limit_mb={MOST_MEMORY}",
            f"-artifact_prefix={found}/",
            "-print_final_stats=1",
            str(folder),
        )
        seconds = time.monotonic() - began
        if status == 0:
            _minimise(target, folder)
    done, run_ = _DONE.search(said), _RUN.search(said)
    kept = target.corpus()
    return Campaign(
        target=target.name,
        executions=int(run_[1]) if run_ else 0,
        seconds=round(seconds, 1),
        coverage=int(done[2]) if done else None,
        features=int(done[3]) if done else None,
        corpus=len(kept),
        corpus_bytes=sum(path.stat().st_size for path in kept),
        crashes=int(status != 0),
        longest=target.longest,
    )


def record(campaign: Campaign) -> None:
    """Append what came of a campaign, and where, to the results."""
    line: dict[str, Any] = {**environment(), "atheris": version("atheris"), **asdict(campaign)}
    RESULTS.mkdir(exist_ok=True)
    with RECORDS.open("a") as file:
        file.write(json.dumps(line) + "\n")


def shortest(sizes: Iterable[tuple[int, str]]) -> list[str]:
    """The names of the shortest files, as many as a corpus may have.

    Args:
        sizes: Bytes and name of each file.
    """
    chosen: list[str] = []
    total = 0
    for size, name in sorted(sizes)[:MOST_FILES]:
        total += size
        if total > MOST_BYTES:
            break
        chosen.append(name)
    return chosen


def _fill(folder: Path, target: Target) -> None:
    for path in target.corpus():
        shutil.copy(path, folder)
    for number, seed in enumerate(target.seeds):
        (folder / f"seed-{number}").write_bytes(seed)


def _minimise(target: Target, folder: Path) -> None:
    """Let the corpus be the shortest inputs of a folder that reach as much as all of them."""
    with tempfile.TemporaryDirectory(prefix="simopen-fuzz-") as name:
        few = Path(name)
        arguments = ("-set_cover_merge=1", f"-max_len={target.longest}", str(few), str(folder))
        status, _ = _worker(target, *arguments)
        if status != 0 or not any(few.iterdir()):
            raise RuntimeError(f"the corpus of {target.name} could not be made small")
        corpus = target.folder
        shutil.rmtree(corpus, ignore_errors=True)
        corpus.mkdir(parents=True)
        for file in shortest((path.stat().st_size, path.name) for path in few.iterdir()):
            shutil.copy(few / file, corpus)


def _worker(target: Target, *arguments: str) -> tuple[int, str]:
    """Run a worker to its end; its exit status and what it said, which is shown meanwhile."""
    command = [sys.executable, "-m", "fuzz._worker", target.name, *arguments]
    said = []
    with subprocess.Popen(command, cwd=FOLDER.parent, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None  # a pipe, as asked for
        for line in process.stderr:
            if not line.startswith(("INFO: Instrumenting", "WARNING: Failed to find function")):
                sys.stderr.write(line)
            said.append(line)
    return process.returncode, "".join(said)

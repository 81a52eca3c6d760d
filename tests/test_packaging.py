"""What is installed is what is tested, and all of the package is in it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import simopen

ROOT = Path(__file__).parent.parent
WHERE = "import simopen; print(simopen.__file__)"


def test_a_wheel_is_tested_and_not_the_checkout() -> None:
    """Where a wheel has to be tested, no simopen is imported from the folder of the tests."""
    if "SIMOPEN_REQUIRE_WHEEL" not in os.environ:
        pytest.skip("the checkout is tested, as always but in .ci/run")
    assert not Path(simopen.__file__).is_relative_to(ROOT / "simopen")


def test_a_process_that_a_test_starts_tests_the_same_package() -> None:
    """Not the one in the folder where it starts, which would be the checkout's."""
    command = [sys.executable, "-c", WHERE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    assert done.stdout.strip() == simopen.__file__


def built(folder: Path, *arguments: str) -> list[Path]:
    """What ``python -m build`` makes, in ``folder``, with what is installed here."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*command, *arguments, str(ROOT)], capture_output=True, check=True)
    return sorted(folder.iterdir())


def test_the_source_distribution_makes_the_same_wheel(tmp_path: Path) -> None:
    """A wheel of the checkout and one of its source distribution are equal, byte for byte."""
    wheel, _ = built(tmp_path / "both")
    [direct] = built(tmp_path / "direct", "--wheel")
    assert wheel.read_bytes() == direct.read_bytes()
    sources = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "simopen").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert "simopen/py.typed" in names
    assert names == sources

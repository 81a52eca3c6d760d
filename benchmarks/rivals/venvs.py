"""An environment for each rival, made once, in a folder that git does not see.

It is made anew when its package or this Python is another. What cannot be installed is no error of
the run: its own words are the result.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / ".venvs"
INSTALL_TIMEOUT = 900.0  # seconds; some rivals bring forty packages


class CannotInstallError(Exception):
    """The package index or the package does not let it be installed."""


def python_of(package: str) -> Path:
    """The interpreter of a package's environment, which is made if need be.

    Args:
        package: With its version, as ``name==version``; "": our own environment.

    Raises:
        CannotInstallError: With the installer's words.
    """
    if not package:
        return Path(sys.executable)
    folder = FOLDER / package.partition("==")[0]
    python, mark = folder / "bin" / "python", folder / ".ready"
    wanted = f"{package}, Python {sys.version.split()[0]}"
    if not (mark.exists() and mark.read_text() == wanted):
        shutil.rmtree(folder, ignore_errors=True)
        _do(sys.executable, "-m", "venv", str(folder))
        _do(str(python), "-m", "pip", "install", "--quiet", "--no-input", package)
        mark.write_text(wanted)
    return python


def installed(python: Path) -> list[str]:
    """All that an environment has, as ``name==version``: a rival's own needs are not pinned."""
    return _do(str(python), "-m", "pip", "freeze", "--disable-pip-version-check").splitlines()


def _do(*command: str) -> str:
    """What a command wrote."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise CannotInstallError(f"not installed within {error.timeout:g} s") from None
    if done.returncode:
        raise CannotInstallError(last_error(done.stderr))
    return done.stdout


def last_error(said: str) -> str:
    """The line of an installer's or interpreter's output that says why."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["it said nothing"])[-1]

"""``simopen completion``: what a shell needs to complete our command lines.

The script is data and goes to standard output; where it belongs is the reader's to say, and no
file of a shell is touched.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

from cyclopts import App

from simopen import UsageError
from simopen.cli import _exit

Shell = Literal["bash", "fish", "zsh"]
SHELLS: tuple[Shell, ...] = ("bash", "fish", "zsh")


def print_script(app: App, shell: Shell | None) -> int:
    """Run the command; returns its exit code."""
    sys.stdout.write(app.generate_completion(shell=shell or _own_shell()))
    return _exit.OK


def _own_shell() -> Shell:
    """The shell of whoever asks, as the login has it."""
    name = Path(os.environ.get("SHELL", "")).name
    for known in SHELLS:
        if name == known:
            return known
    raise UsageError(f"which shell? give one of {', '.join(SHELLS)}")

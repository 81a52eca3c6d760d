"""What a command writes to a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Sequence

COLOUR = re.compile(rb"\x1b\[(?:\d+;)*(?:3|4|9|10)\d")  # SGR 30 to 49, 90 to 107


def on_a_terminal(command: Sequence[str], **environment: str) -> bytes:
    """Run a command with a terminal that has colours; what it wrote, to either output."""
    ours, theirs = pty.openpty()
    unset = {"NO_COLOR", "FORCE_COLOR", "COLORTERM", "SIMOPEN_INVITE", "SIMOPEN_SECRET"}
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    with subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=inherited | {"TERM": "xterm-256color"} | environment,
    ):
        os.close(theirs)
        said = b""
        while chunk := _some(ours):
            said += chunk
    os.close(ours)
    return said


def _some(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # as Linux says that the other end has closed
        return b""

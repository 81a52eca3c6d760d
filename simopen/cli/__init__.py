"""The command line: arguments in, pictures and exit codes out.

Data goes to standard output, words go to standard error, and the exit code says how it ended
(:mod:`simopen.cli._exit`).
"""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of ``simopen`` and ``python -m simopen``."""
    try:
        from simopen.cli._app import run  # noqa: PLC0415 - the extra may be missing
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("cyclopts", "rich"):
            raise
        sys.exit(
            f"simopen: the command line needs {error.name}; install it with: "
            "pip install 'simopen[cli]'"
        )
    sys.exit(run(sys.argv[1:]))

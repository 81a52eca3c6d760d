"""The command line: arguments in, pictures and exit codes out.

Data goes to standard output, words go to standard error, and the exit code says how it ended
(:mod:`simopen.cli._exit`).
"""

from __future__ import annotations

import contextlib
import os
import sys

from simopen.cli import _exit


def main() -> None:
    """Entry point of ``simopen`` and ``python -m simopen``."""
    _fill_standard_descriptors()
    try:
        code = _run()
    except KeyboardInterrupt:
        code = _exit.INTERRUPTED
    try:
        sys.stdout.flush()
    except OSError:  # a full disk, a reader that has gone: data is lost, and that is a failure
        code = code or _exit.FAILED
    with contextlib.suppress(OSError):  # words that nobody can read are none
        sys.stderr.flush()
    # Not sys.exit(): that would wait for a thread that is stuck writing to a pipe nobody reads.
    os._exit(code)


def _run() -> int:
    try:
        from simopen.cli._app import run  # noqa: PLC0415 - the extra may be missing
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("cyclopts", "rich"):
            raise
        extra = "pip install 'simopen[cli]'"
        sys.stderr.write(
            f"simopen: the command line needs {error.name}; install it with: {extra}\n"
        )
        return _exit.FAILED
    return run(sys.argv[1:])


def _fill_standard_descriptors() -> None:
    """Open what the caller has closed, or a socket would become our standard input or output.

    Standard output is filled with something that cannot be written, so that no data is lost
    unnoticed.
    """
    for fd, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, flags)  # the lowest free number, which is this one
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - for good
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115 - for good

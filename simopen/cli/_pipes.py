"""Standard input and output for an event loop, without a thread left hanging in a read.

Input that can be polled (pipe, socket, terminal) is waited for and then read, so that a cancelled
command ends at once; files and ``/dev/null`` never block for long and are read in a thread.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.to_thread

STDIN, STDOUT = 0, 1
CHUNK = 262_144  # bytes a read; large enough that a thread hop does not show


class OutputClosedError(Exception):
    """Whoever read our standard output has gone, or the disk under it is full."""


def is_terminal(fd: int) -> bool:
    """Whether a person is at that end; False where the descriptor is closed."""
    try:
        return os.isatty(fd)
    except OSError:
        return False


async def read_chunks(fd: int = STDIN) -> AsyncIterator[bytes]:
    """Yield what arrives until its end; a closed descriptor is an empty input."""
    try:
        pollable = _is_pollable(fd)
    except OSError:
        return
    while True:
        if pollable:
            await anyio.wait_readable(fd)
            chunk = os.read(fd, CHUNK)
        else:
            chunk = await anyio.to_thread.run_sync(os.read, fd, CHUNK)
        if not chunk:
            return
        yield chunk


async def write_all(data: bytes, fd: int = STDOUT) -> None:
    """Write all of ``data``, in a thread since a slow reader may block it.

    Raises:
        OutputClosedError: It cannot be written.
    """
    try:
        await anyio.to_thread.run_sync(_write_all, fd, data, abandon_on_cancel=True)
    except OSError as error:
        reason = "its reader has gone" if error.errno == errno.EPIPE else error.strerror
        raise OutputClosedError(f"standard output cannot be written: {reason}") from None


def end_output(fd: int = STDOUT) -> None:
    """Let whoever reads our standard output see its end, while the command goes on.

    The descriptor stays valid, so that no file opened later becomes standard output.
    """
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), fd)


def _write_all(fd: int, data: bytes) -> None:
    with memoryview(data) as rest:
        written = 0
        while written < len(rest):
            written += os.write(fd, rest[written:])


def _is_pollable(fd: int) -> bool:
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd)

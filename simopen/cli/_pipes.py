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


class PipeError(Exception):
    """Standard input or output broke: its other end has gone, or the disk is full."""


def is_terminal(fd: int) -> bool:
    """Whether a person is at that end; False where the descriptor is closed."""
    try:
        return os.isatty(fd)
    except OSError:
        return False


async def read_chunks(fd: int = STDIN) -> AsyncIterator[bytes]:
    """Yield what arrives until its end.

    Raises:
        PipeError: It cannot be read.
    """
    try:
        pollable = _is_pollable(fd)
        while chunk := await _read(fd, pollable=pollable):
            yield chunk
    except OSError as error:
        raise PipeError(f"standard input cannot be read: {error.strerror}") from None


async def _read(fd: int, *, pollable: bool) -> bytes:
    while pollable:
        await anyio.wait_readable(fd)
        try:
            return os.read(fd, CHUNK)
        except BlockingIOError:  # somebody who shares the descriptor was quicker
            continue
    return await anyio.to_thread.run_sync(os.read, fd, CHUNK)


async def write_all(data: bytes, fd: int = STDOUT) -> None:
    """Write all of ``data``, in a thread since a slow reader may block it.

    Raises:
        PipeError: It cannot be written.
    """
    rest = memoryview(data)
    try:
        while rest:
            try:
                written = await anyio.to_thread.run_sync(os.write, fd, rest, abandon_on_cancel=True)
            except BlockingIOError:  # whoever shares the descriptor has made it non-blocking
                await anyio.wait_writable(fd)
            else:
                rest = rest[written:]
    except OSError as error:
        reason = "its reader has gone" if error.errno == errno.EPIPE else error.strerror
        raise PipeError(f"standard output cannot be written: {reason}") from None


def end_output(fd: int = STDOUT) -> None:
    """Let whoever reads our standard output see its end, while the command goes on.

    The descriptor stays valid, so that no file opened later becomes standard output.
    """
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), fd)


def _is_pollable(fd: int) -> bool:
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd)

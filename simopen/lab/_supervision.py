"""Starts a supervisor, waits until it is ready, and ends it.

All of it blocks, for a few tenths of a second: whoever runs an event loop calls it in a thread and
shields it, so that a cancellation never loses a handle. What holds a supervisor is its standard
input: it ends when we close it or die.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from typing import BinaryIO

from simopen.lab._available import missing, supervisor_command, supervisor_environment
from simopen.lab._errors import LabBroken, LabUnavailable
from simopen.lab._plan import Plan
from simopen.lab._protocol import Access, Ended, read_ended, read_ready

_SETUP_LIMIT_S = 20.0  # it takes about 0.3 s; a machine may be busy
_SETUP_LIMIT_PER_HOST_S = 0.5
_END_LIMIT_S = 5.0  # it takes milliseconds; then it is killed
_CHUNK_BYTES = 1 << 16
_MS_PER_S = 1_000


class Supervisor:
    """The process that holds one lab.

    Args:
        plan: The lab.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: BinaryIO | None = None

    def start(self) -> dict[str, Access]:
        """Start it and return how to get at each host.

        Raises:
            LabUnavailable: This machine cannot have the lab; nothing is left of it.
        """
        lack = missing(self._plan)
        if lack is not None:
            raise LabUnavailable(lack)
        self._stderr = _memory_file()
        try:
            self._process = _spawn(self._stderr)
            return self._set_up(self._process, self._stderr)
        except BaseException:
            self.stop_quietly()
            raise

    def stop(self) -> Ended:
        """End it, and with it everything in the lab.

        Raises:
            LabBroken: It had died before.
        """
        words = self._stderr
        ended = self._end()
        text = _read(words).decode(errors="replace") if words else ""
        self._close()
        if ended is None:
            raise LabBroken(f"the lab's supervisor died:\n{text}")
        return ended

    def stop_quietly(self) -> None:
        """End it, whatever has become of it."""
        self._end()
        self._close()

    def _set_up(self, process: subprocess.Popen[bytes], stderr: BinaryIO) -> dict[str, Access]:
        limit = _SETUP_LIMIT_S + _SETUP_LIMIT_PER_HOST_S * len(list(self._plan.hosts()))
        try:
            line = _converse(process, self._plan.to_json(), limit)
        except TimeoutError as error:
            text = f"the lab's supervisor was not ready within {limit:g} s"
            raise LabUnavailable(text) from error
        if not line:
            process.wait()  # for all that it writes to its standard error
        return read_ready(line, _read(stderr))

    def _end(self) -> Ended | None:
        process, self._process = self._process, None
        if process is None:
            return None
        line = b""
        try:
            assert process.stdin is not None  # noqa: S101  # a pipe, as asked for
            process.stdin.close()
            line = _read_line(process, time.monotonic() + _END_LIMIT_S)
            process.wait(_END_LIMIT_S)
        except (TimeoutError, subprocess.TimeoutExpired, BrokenPipeError):
            process.kill()
            process.wait()
        assert process.stdout is not None  # noqa: S101  # likewise
        process.stdout.close()
        last = line.splitlines()[-1:]  # before it, what nobody waited for: that it was ready
        return read_ended(b"".join(last))

    def _close(self) -> None:
        if self._stderr is not None:
            self._stderr.close()
            self._stderr = None


def _spawn(stderr: BinaryIO) -> subprocess.Popen[bytes]:
    """Start a supervisor, in a session of its own so that the terminal's Ctrl-C spares it."""
    return subprocess.Popen(  # noqa: S603  # our own module
        supervisor_command(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=supervisor_environment(),
        start_new_session=True,
        bufsize=0,
    )


def _converse(process: subprocess.Popen[bytes], message: bytes, limit: float) -> bytes:
    """Send the plan and return the first line, empty when the supervisor dies instead."""
    assert process.stdin is not None  # noqa: S101  # a pipe, as asked for
    until = time.monotonic() + limit
    try:
        process.stdin.write(message)
    except BrokenPipeError:
        return b""
    return _read_line(process, until)


def _read_line(process: subprocess.Popen[bytes], until: float) -> bytes:
    """Return one line of a supervisor's, empty when it ends first.

    Raises:
        TimeoutError: It is silent at the moment `until`.
    """
    assert process.stdout is not None  # noqa: S101  # a pipe, as asked for
    poller = select.poll()
    poller.register(process.stdout, select.POLLIN)
    line = b""
    while not line.endswith(b"\n"):
        if not poller.poll(max(0.0, until - time.monotonic()) * _MS_PER_S):
            raise TimeoutError
        if not (chunk := os.read(process.stdout.fileno(), _CHUNK_BYTES)):
            return b""
        line += chunk
    return line


def _memory_file() -> BinaryIO:
    """Return a file for a standard error: unlike a pipe it never fills and needs no reader."""
    return os.fdopen(os.memfd_create("simopen-lab-stderr"), "w+b", buffering=0)


def _read(file: BinaryIO) -> bytes:
    return os.pread(file.fileno(), 1 << 20, 0)

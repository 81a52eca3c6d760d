"""Starts a supervisor, waits until it is ready, and ends it, on any event loop.

A cancellation between any two awaits leaves nothing behind: the process is started under a shield,
so that its handle is never lost, and ended under a shield. Its standard input is what holds it: the
supervisor ends when we close it or die.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from simopen.lab._available import missing, supervisor_command, supervisor_environment
from simopen.lab._errors import LabBroken, LabUnavailable
from simopen.lab._protocol import Access, Traffic, read_counts, read_ready

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import Process

    from simopen.lab._plan import Plan

_SETUP_LIMIT_S = 20.0  # it takes about 0.3 s; a machine may be busy
_END_LIMIT_S = 5.0  # it takes milliseconds; then it is killed
_LINE_BYTES = 1 << 20  # more than any answer


@dataclass(slots=True)
class Supervision:
    """A supervisor that is ready.

    Attributes:
        access: How to get at each host.
        traffic: What the wire did, by sending host; filled when the lab has ended.
    """

    access: dict[str, Access]
    traffic: dict[str, Traffic] = field(default_factory=dict)


@asynccontextmanager
async def supervise(plan: Plan) -> AsyncIterator[Supervision]:
    """Hold the planned lab for the time of the context.

    Raises:
        LabUnavailable: This machine cannot have it.
        LabBroken: The supervisor did not live until the context's end.
    """
    lack = missing()
    if lack is not None:
        raise LabUnavailable(lack)
    with _memory_file() as stderr:
        with anyio.CancelScope(shield=True):
            process = await _start(stderr)
        assert process.stdout is not None  # noqa: S101  # a pipe, as asked for
        answers = BufferedByteReceiveStream(process.stdout)
        last_line = b""
        try:
            supervision = Supervision(await _setup(process, answers, plan, stderr))
            yield supervision
        finally:
            with anyio.CancelScope(shield=True):
                last_line = await _end(process, answers)
        traffic = read_counts(last_line)
        if traffic is None:
            raise LabBroken(f"the lab's supervisor died:\n{_read(stderr).decode()}")
        supervision.traffic.update(traffic)


async def _start(stderr: BinaryIO) -> Process:
    """Start a supervisor, in a session of its own so that the terminal's Ctrl-C spares it."""
    return await anyio.open_process(
        supervisor_command(),
        stderr=stderr,
        env=supervisor_environment(),
        start_new_session=True,
    )


async def _setup(
    process: Process, answers: BufferedByteReceiveStream, plan: Plan, stderr: BinaryIO
) -> dict[str, Access]:
    assert process.stdin is not None  # noqa: S101  # a pipe, as asked for
    line = b""
    with anyio.move_on_after(_SETUP_LIMIT_S) as limit:
        try:
            await process.stdin.send(plan.to_json())
            line = await answers.receive_until(b"\n", _LINE_BYTES)
        except (anyio.BrokenResourceError, anyio.EndOfStream, anyio.IncompleteRead):
            await process.wait()  # for all that it writes to its standard error
    if limit.cancelled_caught:
        raise LabUnavailable(f"the lab's supervisor was not ready within {_SETUP_LIMIT_S:g} s")
    return read_ready(line, _read(stderr))


async def _end(process: Process, answers: BufferedByteReceiveStream) -> bytes:
    """End a supervisor, reap it, and return its last line, empty when it wrote none."""
    assert process.stdin is not None  # noqa: S101  # a pipe, as asked for
    line = b""
    with anyio.move_on_after(_END_LIMIT_S):
        try:
            await process.stdin.aclose()
            line = await answers.receive_until(b"\n", _LINE_BYTES)
        except (anyio.BrokenResourceError, anyio.EndOfStream, anyio.IncompleteRead):
            pass  # it is dead already
        await process.wait()
    if process.returncode is None:
        process.kill()
    await process.aclose()
    return line


def _memory_file() -> BinaryIO:
    """Return a file for a standard error: unlike a pipe it never fills and needs no reader."""
    return os.fdopen(os.memfd_create("simopen-lab-stderr"), "w+b", buffering=0)


def _read(file: BinaryIO) -> bytes:
    return os.pread(file.fileno(), _LINE_BYTES, 0)

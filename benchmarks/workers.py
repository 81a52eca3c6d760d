"""Warm processes in the lab's hosts: orders go in, answers come out, each a line of JSON.

An order names a function of the worker and its arguments; the answer is what it returns. A worker
does one thing at a time, so that nothing of its own disturbs what it measures.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import anyio
import anyio.to_thread
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from simopen import lab

LINE_BYTES = 1 << 20
PATIENCE = 60.0  # seconds until a worker that says nothing has failed

Answer: TypeAlias = dict[str, Any]
Handler: TypeAlias = Callable[..., Awaitable[Answer]]


def on_cpu(number: int) -> list[str]:
    """What goes before a command to keep it on one CPU, where there are so many."""
    cpus = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cpus[number])] if len(cpus) > number else []


class Worker:
    """A worker, seen from outside. It ends with the network it is in."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018
        self._orders = process.stdin
        self._answers = BufferedByteReceiveStream(process.stdout)

    @classmethod
    async def start(
        cls, host: lab.Host, module: str, loop: str, *, cpu: int | None = None
    ) -> Worker:
        """Bring one up.

        Args:
            host: Where it runs.
            module: What it runs, with ``--worker`` and the loop; calls :func:`serve`.
            loop: On which event loop.
            cpu: The only CPU it may run on; None: all.
        """
        pinned = [] if cpu is None else on_cpu(cpu)
        command = [*pinned, sys.executable, "-m", module, "--worker", loop]
        return await cls.of(await host.popen(command, stderr=None))

    @classmethod
    async def of(cls, process: Process) -> Worker:
        """A process that has just been started, once it is ready."""
        worker = cls(process)
        await worker._answer()
        return worker

    async def ask(self, what: str, **arguments: object) -> Answer:
        """Have it call a function of its own; what that returns."""
        order = {"what": what, **arguments}
        await self._orders.send(json.dumps(order).encode() + b"\n")
        return await self._answer()

    async def _answer(self) -> Answer:
        with anyio.fail_after(PATIENCE):
            line = await self._answers.receive_until(b"\n", LINE_BYTES)
        answer: Answer = json.loads(line)
        return answer


async def ask_both(
    workers: tuple[Worker, Worker], first: dict[str, Any], second: dict[str, Any]
) -> tuple[Answer, Answer]:
    """Ask two workers at the same time; both answers."""
    answers: dict[int, Answer] = {}

    async def one(which: int, order: dict[str, Any]) -> None:
        answers[which] = await workers[which].ask(**order)

    async with anyio.create_task_group() as group:
        group.start_soon(one, 0, first)
        group.start_soon(one, 1, second)
    return answers[0], answers[1]


async def sleep_until(moment: float) -> None:
    """Wait for a moment of the monotonic clock; a busy machine may be late already."""
    await anyio.sleep(max(0.0, moment - time.monotonic()))


async def serve(*handlers: Handler) -> None:
    """Be a worker: do as told until there are no more orders."""
    known = {handler.__name__: handler for handler in handlers}
    _say({"ready": True})
    while line := await anyio.to_thread.run_sync(sys.stdin.readline):
        order = json.loads(line)
        _say(await known[order.pop("what")](**order))


def _say(answer: Answer) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()

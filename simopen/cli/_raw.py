"""``simopen raw accept`` and ``raw connect``: connections whose handshake is done here.

SIGTERM ends them as Ctrl-C does, since either has a rule of the firewall to take back.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import anyio
from anyio.abc import SocketAttribute

from simopen import Endpoint, SimopenError, UsageError, raw
from simopen.cli import _exit
from simopen.cli._connect import Copy, Traffic, fastest_loop
from simopen.cli._display import write_line


def accept(endpoint: str, program: Sequence[str]) -> int:
    """Run ``simopen raw accept``; returns its exit code."""
    job = partial(_serve, endpoint, program) if program else partial(_accept_one, endpoint)
    return anyio.run(_run, job, **fastest_loop())


def connect(remote: str, *, local: str | None, timeout: float | None) -> int:
    """Run ``simopen raw connect``; returns its exit code."""
    job = partial(_connect, remote, local, timeout)
    return anyio.run(_run, job, **fastest_loop())


async def _run(job: Callable[[], Awaitable[int]]) -> int:
    """Do it until it is done, or a signal ends it."""
    code = _exit.INTERRUPTED
    wrong_use: UsageError | None = None

    async def obey(scope: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                _say("interrupted")
                scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(obey, group.cancel_scope)
        try:
            code = await job()
        except UsageError as error:
            wrong_use = error  # raised below, free of the task group's wrapping
        except SimopenError as error:
            _say(getattr(error, "strerror", None) or str(error))
            code = _exit.FAILED
        group.cancel_scope.cancel()
    if wrong_use is not None:
        raise wrong_use
    return code


async def _accept_one(endpoint: str) -> int:
    async with raw.accept(endpoint) as listener:
        _say(f"accepting on {listener.local}, where nothing listens")
        stream = await listener.accept()
    return await _copy(stream)


async def _connect(remote: str, local: str | None, timeout: float | None) -> int:  # noqa: ASYNC109 - the option
    return await _copy(await raw.connect(remote, local=local, timeout=timeout))


async def _copy(stream: raw.TcpStream) -> int:
    async with stream:
        sock = stream.extra(SocketAttribute.raw_socket)
        try:
            remote = Endpoint(*sock.getpeername()[:2])
        except OSError:  # reset in the moment of the hand-over
            _say("the peer has reset the connection already")
            return _exit.BROKEN
        _say(f"connected with {remote}; this is a socket of the kernel now")
        traffic = Traffic()
        copy = Copy(stream, traffic)
        await copy.run()
    if copy.failure is not None:
        _say(copy.failure)
        return _exit.BROKEN
    _say(f"{traffic.sent} bytes sent, {traffic.received} received")
    return _exit.OK


async def _serve(endpoint: str, program: Sequence[str]) -> int:
    async with raw.accept(endpoint) as listener:
        _say(f"accepting on {listener.local}, where nothing listens; {program[0]} for each")
        await listener.serve(partial(_start, program))
    return _exit.OK


async def _start(program: Sequence[str], stream: raw.TcpStream) -> None:
    async with stream:
        sock = stream.extra(SocketAttribute.raw_socket)
        sock.setblocking(True)  # as programs expect of their standard input
        try:
            process = await anyio.open_process(
                program, stdin=sock.fileno(), stdout=sock.fileno(), stderr=None
            )
        except OSError as error:
            _say(f"{program[0]} cannot be started: {error.strerror}")
            return
        async with process:
            await process.wait()


def _say(text: str) -> None:
    write_line(sys.stderr, f"simopen: {text}")

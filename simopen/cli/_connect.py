"""``simopen connect``: two pipes over one punched connection.

Everything that can be wrong with the command line is found before the terminal is asked for a
secret, and that before anything is sent.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import anyio
from anyio.abc import ByteStream

import simopen
from simopen.cli import _exit
from simopen.cli._display import FAILURES, Display, make_display
from simopen.cli._pipes import (
    CHUNK,
    STDIN,
    STDOUT,
    PipeError,
    end_output,
    is_terminal,
    read_chunks,
    write_all,
)
from simopen.cli._secret import Sources, find_secret

TICK = 0.1  # seconds between looks of the display at the figures


@dataclass
class Traffic:
    """Bytes so far."""

    sent: int = 0
    received: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line says."""

    remote: str | None
    local: str | None
    rendezvous: str | None
    room: str | None
    invite_file: Path | None
    secret_file: Path | None
    timeout: float | None
    json: bool
    trace: Path | None


def connect_pipes(settings: Settings) -> int:
    """Run the command; returns its exit code."""
    ends = peer_ends(settings)
    found = find_secret(
        Sources(
            invite_file=settings.invite_file,
            secret_file=settings.secret_file,
            room=settings.room,
            rendezvous=settings.rendezvous is not None,
        )
    )
    with contextlib.ExitStack() as stack:
        display = stack.enter_context(make_display(json=settings.json))
        if found.warning is not None:
            display.warn(found.warning)
        sinks: list[simopen.OnEvent] = [display.on_event]
        if settings.trace is not None:
            sinks.append(stack.enter_context(_TraceFile(settings.trace, display)))

        def on_event(event: simopen.Event) -> None:
            for sink in sinks:
                sink(event)

        peer = simopen.PeerConnectable(
            **ends, secret=found.secret, timeout=settings.timeout, on_event=on_event
        )
        return anyio.run(_connect, peer, display, **fastest_loop())


class Ends(Protocol):
    """The options that say who is to be connected, of whichever command."""

    @property
    def remote(self) -> str | None: ...
    @property
    def local(self) -> str | None: ...
    @property
    def rendezvous(self) -> str | None: ...
    @property
    def room(self) -> str | None: ...


def peer_ends(settings: Ends) -> dict[str, Any]:
    """Who is to be connected, as :func:`simopen.connect_peer` takes it.

    Raises:
        UsageError: The options do not go together.
    """
    local = None if settings.local is None else settings.local.split(",")
    if settings.rendezvous is not None:
        if settings.remote is not None:
            raise simopen.UsageError(
                "REMOTE and --rendezvous exclude each other: a coordinator finds the peer"
            )
        rendezvous = simopen.Rendezvous(settings.rendezvous)
        return {"rendezvous": rendezvous, "room": settings.room, "local": local}
    if settings.remote is None:
        raise simopen.UsageError(
            "whom to connect to? give --rendezvous URL (and an invite), or REMOTE and --local"
        )
    if local is None:
        raise simopen.UsageError("REMOTE needs --local, the endpoint to connect from")
    if settings.room is not None:
        raise simopen.UsageError("--room is at a coordinator: give --rendezvous URL as well")
    return {"remote": settings.remote.split(","), "local": local}


class _TraceFile(contextlib.AbstractContextManager["_TraceFile"]):
    """``--trace``: a file that fills the disk ends the trace, not the connection."""

    def __init__(self, path: Path, display: Display) -> None:
        try:
            self._file = path.open("w")
        except OSError as error:
            raise simopen.UsageError(f"--trace: {error}") from None
        self._trace: simopen.OnEvent | None = simopen.JsonLinesTrace(self._file)
        self._display = display

    def __call__(self, event: simopen.Event) -> None:
        if self._trace is not None:
            try:
                self._trace(event)
            except OSError as error:
                self._trace = None
                self._display.warn(f"the trace ends here: {error}")

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # said already
            self._file.close()


def fastest_loop() -> dict[str, Any]:
    """The arguments for :func:`anyio.run` that choose uvloop where it is installed."""
    if importlib.util.find_spec("uvloop") is None:
        return {}
    return {"backend": "asyncio", "backend_options": {"use_uvloop": True}}


async def _connect(peer: simopen.PeerConnectable, display: Display) -> int:
    traffic = Traffic()
    wrong_use: simopen.UsageError | None = None
    code = _exit.OK
    async with anyio.create_task_group() as group:
        group.start_soon(_tick, display, traffic)
        try:
            stream = await peer.connect()
        except simopen.UsageError as error:
            wrong_use = error  # raised below, free of the task group's wrapping
        except FAILURES as error:
            display.failed(error)
            code = _exit.FAILED
        else:
            display.connected(stream.report)
            async with stream:
                copy = Copy(stream, traffic)
                await copy.run()
            if copy.failure:
                code = _exit.BROKEN
            display.ended(copy.failure, traffic.sent, traffic.received)
        group.cancel_scope.cancel()
    if wrong_use:
        raise wrong_use
    return code


async def _tick(display: Display, traffic: Traffic) -> None:
    while True:
        display.tick(traffic.sent, traffic.received)
        await anyio.sleep(TICK)


class Copy:
    """Both directions between our pipes and the stream.

    Attributes:
        failure: Why it ended early, in words; None where both directions ended in order.
    """

    def __init__(self, stream: ByteStream, traffic: Traffic) -> None:
        self.failure: str | None = None
        self._stream = stream
        self._traffic = traffic
        self._input = anyio.CancelScope()

    async def run(self) -> None:
        """Copy until both directions have ended, or one breaks."""
        async with anyio.create_task_group() as group:
            for half in (self._send, self._receive):
                group.start_soon(self._guard, half, group.cancel_scope)

    async def _guard(self, half: Callable[[], Awaitable[None]], both: anyio.CancelScope) -> None:
        try:
            await half()
        except PipeError as error:
            self.failure = str(error)
        except anyio.BrokenResourceError as error:
            self.failure = f"the connection broke: {_reason(error)}"
        if self.failure is not None:
            both.cancel()

    async def _send(self) -> None:
        with self._input:
            async for chunk in read_chunks():
                await self._stream.send(chunk)
                self._traffic.sent += len(chunk)
        await self._stream.send_eof()

    async def _receive(self) -> None:
        with contextlib.suppress(anyio.EndOfStream):
            while True:
                chunk = await self._stream.receive(CHUNK)
                self._traffic.received += len(chunk)
                await write_all(chunk)
        receives_only = is_terminal(STDIN) and not is_terminal(STDOUT)
        end_output()
        if receives_only:
            # Receiving into a file or pipe with a terminal behind us: nobody is going to
            # type an end of input, and the peer waits for it.
            self._input.cancel()


def _reason(error: BaseException) -> str:
    cause = error.__cause__
    return (cause.strerror if isinstance(cause, OSError) else None) or "unknown reason"

"""``simopen self``: a socket that is connected to itself, as the kernel shows it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import anyio

import simopen
from simopen._report import format_seconds
from simopen._self_connection import SelfView, view
from simopen.cli import _exit
from simopen.cli._connect import fastest_loop
from simopen.cli._display import failure_lines, write_line

WORDS = b"is anybody there?"


def show(endpoint: str, *, timeout: float) -> int:
    """Connect, say something, and show what came of it; returns the exit code."""
    return anyio.run(_show, endpoint, timeout, **fastest_loop())


async def _show(endpoint: str, timeout: float) -> int:  # noqa: ASYNC109 - ends in a diagnosis
    try:
        stream = await simopen.connect_self(endpoint, timeout=timeout)
    except (simopen.LocalBindError, simopen.PeerConnectError) as error:
        for line in failure_lines(error):
            write_line(sys.stderr, f"simopen: {line}")
        return _exit.FAILED
    async with stream:
        before = view(stream)
        await stream.send(WORDS)
        heard = await stream.receive(len(WORDS))
    sys.stdout.writelines(f"{line}\n" for line in _screen(stream.report, before, heard))
    return _exit.OK


def _screen(report: simopen.PunchReport, seen: SelfView, heard: bytes) -> Iterator[str]:
    yield f"one socket, connected to itself in {format_seconds(report.elapsed)}"
    yield ""
    yield f"  local     {report.local}"
    yield f"  remote    {report.remote}{', the same' if report.remote == report.local else ''}"
    yield f"  state     {seen.state}"
    if seen.sharing:
        listening = "one listens" if "LISTEN" in seen.sharing else "nobody listens"
        others = len(seen.sharing) - 1
        yield f"  its port  {others or 'no'} other socket{'s' * (others != 1)}, {listening}"
    if seen.segments is not None:
        yield "  segments  {} sent, {} received".format(*seen.segments)
    yield f"  said      {WORDS.decode()}"
    yield f"  heard     {heard.decode(errors='replace')}, echoed by nobody"

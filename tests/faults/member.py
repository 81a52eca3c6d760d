"""One side of a meeting, as a program that stops where a test wants it to.

Writes JSON lines: ``{"at": step}`` when it has come to the step it was told to stop at, and waits
there, its event loop too, for a line on standard input (an order, maybe an empty one); at the end
``{"outcome": {...}}``. It sends its name to whom it meets, so that each side knows who that was.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio

import simopen
from simopen import _meeting
from simopen.rendezvous import _channel, _seat
from simopen.security import _handshake

CLONE_NEWNET = 0x40000000  # linux/sched.h
SECRET = "between these two processes only"  # noqa: S105 - not one of anybody's
EXCHANGE_TIMEOUT = 30.0  # seconds
FILES = 256  # descriptors of a process that is to run out of them
HOARD: list[int] = []  # those it has been robbed of

# Each step of a call, in order, and what is about to be called there; without: not by a patch.
STEPS: dict[str, tuple[tuple[Any, str], ...]] = {
    "start": (),
    "connected": ((_seat.Seat, "_make_join"),),
    "joined": ((_channel.Channel, "_receive"),),
    "welcomed": ((_meeting.Meeting, "_on_joined"),),
    "introduced": ((_meeting.Meeting, "_on_introduced"),),
    "syn": (),
    "open": (),
    "tls": ((_handshake.Handshake, "_nominate"), (_handshake.Handshake, "_accept")),
    "hello": ((_handshake, "check_accept"), (_handshake, "make_accept")),
    "proven": ((_seat.Seat, "report"),),
    "held": (),
}
EVENTS = {simopen.PunchAttempt: "syn", simopen.ProofStarted: "open"}


class Stop:
    """The step at which the program waits for an order; once."""

    def __init__(self, step: str | None) -> None:
        self._step = step
        for owner, name in STEPS.get(step or "", ()):
            self._before(owner, name)

    def _before(self, owner: Any, name: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def stopped(*args: Any, **named: Any) -> Any:
            self.here(self._step)
            return original(*args, **named)

        setattr(owner, name, stopped)

    def on_event(self, event: simopen.Event) -> None:
        """Wait at an event, if that is the step."""
        if (step := EVENTS.get(type(event))) is not None:
            self.here(step)

    def here(self, step: str | None) -> None:
        """Wait, if this is the step and the first time."""
        if step is None or step != self._step:
            return
        self._step = None
        tell({"at": step})
        obey(**json.loads(sys.stdin.readline()))


def obey(net: str | None = None, files: int | None = None) -> None:
    """Carry out an order.

    Args:
        net: Move to this network namespace; sockets that are open stay where they are.
        files: Leave no more than so many descriptors to be had; all, if that is less than 0.
    """
    if net is not None:
        descriptor = os.open(net, os.O_RDONLY)
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(descriptor)
    if files is not None:
        take_descriptors(files)


def take_descriptors(left: int) -> None:
    """Hold all descriptors there are but so many; none, if that is less than 0."""
    while HOARD:
        os.close(HOARD.pop())
    if left < 0:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))
    with suppress(OSError):
        while True:
            HOARD.append(os.open(os.devnull, os.O_RDONLY))
    for _ in range(left):
        os.close(HOARD.pop())


def tell(line: dict[str, Any]) -> None:
    """Write a line."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def meet(args: argparse.Namespace, stop: Stop) -> dict[str, Any]:
    """Meet the peer, exchange names; what came of it."""
    began = time.monotonic()
    lost: list[str] = []  # why the coordinator was, each time

    def on_event(event: simopen.Event) -> None:
        if isinstance(event, simopen.RendezvousLost):
            lost.append(event.reason)
        stop.on_event(event)

    try:
        stream = await simopen.connect_peer(
            rendezvous=args.url,
            room=args.room,
            secret=SECRET,
            local="0.0.0.0:0",
            timeout=args.timeout,
            on_event=on_event,
            options=simopen.PunchOptions(round_time=args.round_time),
        )
    except simopen.SimopenError as error:
        took = time.monotonic() - began
        return {"error": type(error).__name__, "words": str(error), "took": took, "lost": lost}
    meeting = stream.report.meeting
    assert meeting is not None
    told: dict[str, Any] = {
        "rounds": meeting.rounds,
        "took": time.monotonic() - began,
        "lost": lost,
    }
    told["clock"] = time.time()
    stop.here("held")
    async with stream:
        with anyio.move_on_after(EXCHANGE_TIMEOUT):
            try:
                await stream.send(args.name.encode())
                await stream.send_eof()
                return told | {"met": b"".join([chunk async for chunk in stream]).decode()}
            except anyio.BrokenResourceError as error:
                return told | {"broken": str(error.__cause__)}
    return told | {"silent": EXCHANGE_TIMEOUT}


def main() -> None:
    """Read the arguments and meet."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("room")
    parser.add_argument("name")
    parser.add_argument("--at", choices=STEPS)
    parser.add_argument("--timeout", type=float)
    parser.add_argument("--round-time", type=float)
    parser.add_argument("--loop", choices=["asyncio", "trio"], default="asyncio")
    args = parser.parse_args()
    stop = Stop(args.at)
    stop.here("start")
    tell({"outcome": anyio.run(meet, args, stop, backend=args.loop)})


if __name__ == "__main__":
    main()

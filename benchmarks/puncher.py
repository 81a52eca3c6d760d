"""What runs inside a host while punches are measured: one process, warm, many trials.

It says that it is ready, reads trials as lines of JSON, punches each at its moment (the monotonic
clock is one for all namespaces of a machine), and writes what came of it as a line of JSON. Several
trials may be under way at once, each on a pair of ports of its own.

A trial ends with proof. Applications that *write on connecting* send eight bytes at once; *silent*
ones wait for ``SILENCE`` first. Both then expect the other's eight bytes: a stream that was handed
over and does not carry them was a false success.

An *aided* trial punches with sockets that drop arriving RSTs until they are connected: a filter of
four instructions, for which Linux asks CAP_NET_ADMIN on TCP sockets. What is refused looks silent.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import TypeAlias

import anyio
import anyio.lowlevel
import anyio.to_thread
from anyio.abc import ByteStream, SocketAttribute

import simopen
from benchmarks.common import LOOPS
from simopen.net import _sockets

SILENCE = 0.3  # seconds before a silent application says its first word
PROOF_TIMEOUT = 20.0  # seconds; at 30 % loss the kernel repeats a segment six times in it
PROOF_BYTES = 8

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27  # asm-generic/socket.h; missing from Python's socket
# Classic BPF on a TCP socket sees the packet from the TCP header on; its flags are byte 13.
DROP_RST = ctypes.create_string_buffer(
    b"".join(
        struct.pack("@HBBI", *instruction)
        for instruction in (
            (0x30, 0, 0, 13),  # load byte 13
            (0x45, 0, 1, 0x04),  # is RST set? else skip one
            (0x06, 0, 0, 0),  # keep no byte: drop
            (0x06, 0, 0, 0xFFFF),  # keep all
        )
    )
)
FILTER = struct.pack("@HP", 4, ctypes.addressof(DROP_RST))  # struct sock_fprog

aided: ContextVar[bool] = ContextVar("aided", default=False)


@dataclass(frozen=True)
class Trial:
    """One punch of one host.

    Attributes:
        number: Of the trial, the same at both hosts.
        remote: Where to connect to.
        local: Where from.
        at: When to begin, on the monotonic clock, in seconds.
        timeout: Seconds it may take.
        writes: Whether the application writes on connecting.
        naive: Use the bare loop, not the engine.
        aided: Drop RSTs while punching.
    """

    number: int
    remote: str
    local: str
    at: float
    timeout: float
    writes: bool
    naive: bool
    aided: bool


@dataclass
class Outcome:
    """What came of it at one host.

    Attributes:
        number: Of the trial.
        began: When the call was made, on the monotonic clock.
        connected: When it had returned a stream; None if it failed.
        proven: Whether the peer's bytes came through that stream.
        syns: How many SYNs it took.
        failure: Why there was no stream, or why it broke.
    """

    number: int
    began: float
    connected: float | None = None
    proven: bool = False
    syns: int = 0
    failure: str = ""


Connect: TypeAlias = Callable[[Trial, Outcome], Awaitable[ByteStream]]


async def run(trial: Trial, connect: Connect | None = None) -> Outcome:
    """Run one trial to its end.

    Args:
        trial: What to do.
        connect: How to connect; None: as the trial says.
    """
    await anyio.sleep(max(0.0, trial.at - time.monotonic()))
    outcome = Outcome(trial.number, time.monotonic())
    try:
        stream = await (connect or (naive if trial.naive else engine))(trial, outcome)
    except (simopen.PeerConnectError, TimeoutError, ConnectionError) as error:
        outcome.failure = str(error) or "timed out"
        return outcome
    outcome.connected = time.monotonic()
    try:
        with anyio.fail_after(PROOF_TIMEOUT):
            outcome.proven = await prove(stream, trial)
    except (anyio.BrokenResourceError, anyio.EndOfStream, TimeoutError) as error:
        outcome.failure = type(error).__name__
    finally:
        await anyio.aclose_forcefully(stream)
    return outcome


async def engine(trial: Trial, outcome: Outcome) -> ByteStream:
    """Connect as a user of simopen does."""
    aided.set(trial.aided)
    stream = await simopen.connect_peer(trial.remote, local=trial.local, timeout=trial.timeout)
    if trial.aided:
        sock = stream.extra(SocketAttribute.raw_socket)  # anyio's, not Django's
        sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
    outcome.syns = stream.report.attempts
    return stream


async def naive(trial: Trial, outcome: Outcome) -> ByteStream:
    """The yardstick: bind, connect, and once more, until it works."""
    host, _, port = trial.remote.rpartition(":")
    local, _, local_port = trial.local.rpartition(":")
    with anyio.fail_after(trial.timeout):
        while True:
            await anyio.lowlevel.checkpoint()
            outcome.syns += 1
            sock = socket.socket()
            sock.setblocking(False)
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((local, int(local_port)))
                if sock.connect_ex((host, int(port))) == errno.EINPROGRESS:
                    await anyio.wait_writable(sock)
                sock.getpeername()  # raises unless connected
                return await anyio.abc.SocketStream.from_socket(sock)
            except OSError:
                sock.close()
            except BaseException:
                sock.close()
                raise


def filter_when_aided() -> None:
    """Have the engine's sockets drop RSTs in aided trials."""
    plain = _sockets.open_punch_socket

    def opened(family: socket.AddressFamily, local: simopen.Endpoint) -> socket.socket:
        sock = plain(family, local)
        if aided.get():
            sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, FILTER)
        return sock

    _sockets.open_punch_socket = opened


async def prove(stream: ByteStream, trial: Trial) -> bool:
    """Exchange the trial's number."""
    if not trial.writes:
        await anyio.sleep(SILENCE)
    proof = trial.number.to_bytes(PROOF_BYTES, "big")
    await stream.send(proof)
    got = b""
    while len(got) < PROOF_BYTES:
        got += await stream.receive(PROOF_BYTES - len(got))
    return got == proof


async def serve() -> None:
    """Run trials as they come, until there are no more."""
    filter_when_aided()
    lock = threading.Lock()

    async def one(trial: Trial) -> None:
        outcome = await run(trial)
        with lock:
            sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
            sys.stdout.flush()

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    async with anyio.create_task_group() as group:
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            group.start_soon(one, Trial(**json.loads(line)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("loop", choices=LOOPS)
    anyio.run(serve, **LOOPS[parser.parse_args().loop])

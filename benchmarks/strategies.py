"""What runs inside a host while populations are measured: four ways to connect, many trials.

It reads orders as lines of JSON, each with a number, and answers each with a line that bears the
same number; orders are carried out side by side.

- ``observe``: connect from a port to the observer, a third host that says which endpoint it sees;
  the connection is kept, as that to a coordinator is, so that the NAT keeps its mapping.
- ``punch``: at a moment, connect from that port to an endpoint, in one of the ways below. What it
  takes to have succeeded, proof included, is :mod:`benchmarks.puncher`'s.
- ``forget``: close the connection to the observer.

Ways: ``engine`` is what a user of simopen calls; ``naive`` binds and connects again and again;
``single`` connects once, and leaves repeating its SYN to the kernel. DCUtR is made of these by who
gives the orders.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import socket
import sys
import threading
from dataclasses import asdict
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import ByteStream, SocketAttribute, SocketStream

from benchmarks import puncher
from benchmarks.common import LOOPS
from benchmarks.puncher import Outcome, Trial
from simopen import Endpoint

OBSERVER_PORT = 7000
OBSERVER_TIMEOUT = 10.0  # seconds
LINE_BYTES = 100

_links: dict[int, SocketStream] = {}  # to the observer, by local port


async def single(trial: Trial, outcome: Outcome) -> ByteStream:
    """Connect once."""
    remote, local = _endpoint(trial.remote), _endpoint(trial.local)
    outcome.syns = 1
    with anyio.fail_after(trial.timeout):
        return await _connected(remote, local)


WAYS: dict[str, puncher.Connect] = {
    "engine": puncher.engine,
    "naive": puncher.naive,
    "single": single,
}


async def _connected(remote: Endpoint, local: Endpoint) -> SocketStream:
    """One ``connect()``, from a port that others may use as well.

    Raises:
        ConnectionError: It was refused.
    """
    sock = socket.socket()
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(local)
        if sock.connect_ex(remote) == errno.EINPROGRESS:
            await anyio.wait_writable(sock)
        _check_connected(sock)
        return await SocketStream.from_socket(sock)
    except BaseException:
        sock.close()
        raise


def _check_connected(sock: socket.socket) -> None:
    try:
        sock.getpeername()
    except OSError:
        reason = os.strerror(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        raise ConnectionError(reason) from None


def _endpoint(text: str) -> Endpoint:
    host, _, port = text.rpartition(":")
    return Endpoint(host, int(port))


# -- orders ----------------------------------------------------------------------------------------


async def observe(port: int, observer: str) -> dict[str, Any]:
    """Ask the observer which endpoint it sees behind a port."""
    with anyio.fail_after(OBSERVER_TIMEOUT):
        link = await _connected(_endpoint(observer), Endpoint("0.0.0.0", port))  # noqa: S104
        _links[port] = link
        seen = await link.receive(LINE_BYTES)  # one segment
    return {"seen": seen.decode().strip()}


async def punch(way: str, **trial: Any) -> dict[str, Any]:  # noqa: ANN401  # Trial's fields
    """Connect to the peer."""
    outcome = await puncher.run(Trial(**trial, writes=True, naive=False, aided=False), WAYS[way])
    return asdict(outcome)


async def forget(port: int) -> dict[str, Any]:
    """Close the connection to the observer."""
    await _links.pop(port).aclose()
    return {}


ORDERS = {each.__name__: each for each in (observe, punch, forget)}


async def serve() -> None:
    """Carry out orders until there are no more."""
    lock = threading.Lock()

    def say(answer: dict[str, Any]) -> None:
        with lock:
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()

    async def one(order: int, what: str, **arguments: Any) -> None:  # noqa: ANN401
        say(await ORDERS[what](**arguments) | {"order": order})

    say({"ready": True})
    async with anyio.create_task_group() as group:
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            arguments = json.loads(line)
            group.start_soon(lambda arguments: one(**arguments), arguments)


async def be_observer() -> None:
    """Tell everybody who connects which endpoint that comes from."""

    async def tell(stream: SocketStream) -> None:
        async with stream:
            host, port = stream.extra(SocketAttribute.raw_socket).getpeername()
            await stream.send(f"{host}:{port}\n".encode())
            try:
                while await stream.receive():
                    pass
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass

    listener = await anyio.create_tcp_listener(local_host="0.0.0.0", local_port=OBSERVER_PORT)  # noqa: S104
    print("ready", flush=True)
    await listener.serve(tell)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("worker", "observer"))
    parser.add_argument("loop", choices=LOOPS)
    args = parser.parse_args()
    anyio.run({"worker": serve, "observer": be_observer}[args.role], **LOOPS[args.loop])

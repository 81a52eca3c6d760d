"""What several test files use."""

from __future__ import annotations

import errno
import ipaddress
import os
import random
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from simopen.net._interfaces import host_addresses

PEER = [sys.executable, str(Path(__file__).parent / "integration" / "peer.py")]


def on_cpu(number: int) -> list[str]:
    """What goes before a command to keep it on one CPU, where there are two.

    Over loopback a SYN is refused before ``connect()`` returns, so two sides can only cross
    while both are in it: on two CPUs. The scheduler mostly sees to that, and a test wants always.
    """
    cpus = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cpus[number])] if len(cpus) > number else []


_ports = iter(random.sample(range(10_000, 30_000), 20_000))


def free_port() -> int:
    """A TCP port below the ephemeral range that nobody holds on loopback now; each only once."""
    for port in _ports:
        if not _is_taken(socket.AF_INET, "127.0.0.1", port) and not (
            socket.has_ipv6 and _is_taken(socket.AF_INET6, "::1", port)
        ):
            return port
    raise RuntimeError("all ports have been given out")


def _is_taken(family: socket.AddressFamily, host: str, port: int) -> bool:
    """Whether somebody holds it; not where this host lacks the family."""
    try:
        with socket.socket(family) as sock:
            sock.bind((host, port))
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def free_neighbours() -> int:
    """A free port whose next one is free as well, as a coordinator likes them."""
    while True:
        port = free_port()
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def own_address() -> str:
    """An IPv4 address of this host that is not loopback's, which has rules of its own."""
    for host in host_addresses():
        address = ipaddress.ip_address(host)
        if address.version == 4 and not (address.is_loopback or address.is_link_local):
            return host
    pytest.skip("this host has no address but loopback's")


def open_sockets() -> set[str]:
    """The sockets this process has open, as the kernel names them."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = str(link.readlink())
        except OSError:
            continue  # the descriptor of the listing itself
        if target.startswith("socket:"):
            found.add(target)
    return found


async def closed_soon(before: set[str]) -> bool:
    """Whether no other socket is left open than those; what a thread closes takes a moment."""
    for _ in range(1000):
        if open_sockets() <= before:
            return True
        await anyio.sleep(0.005)
    return False


@contextmanager
def no_socket_left() -> Iterator[None]:
    """Fail if a socket opened inside is still open at the end."""
    before = open_sockets()
    yield
    assert open_sockets() <= before


@contextmanager
def silent_endpoint() -> Iterator[tuple[str, int]]:
    """A loopback endpoint that drops SYNs: a listener whose backlog is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(2)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(address)
            yield address
        finally:
            for filler in fillers:
                filler.close()

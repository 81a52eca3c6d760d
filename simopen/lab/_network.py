"""Networks as a program sees them: hosts to run things in, and `two_hosts` to have two of them.

Theory of operation
-------------------
Hosts, wire and recorder live in a supervisor process; this side only knows paths that lead into
them. A process is put into a host by `nsenter`, which enters the namespace and then becomes the
command, so its process id, its standard streams and its signals are the command's own.
"""

from __future__ import annotations

import math
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypedDict

import anyio

from simopen.lab import pcapng
from simopen.lab._plan import DEFAULT_MTU_BYTES, HostPlan, Plan
from simopen.lab._sockets import Listener, listeners
from simopen.lab._supervision import supervise
from simopen.lab.wire import DEFAULT_CAPACITY

if TYPE_CHECKING:
    import os
    import subprocess
    from collections.abc import AsyncIterator, Mapping, Sequence
    from typing import Unpack

    from anyio.abc import Process

    from simopen.lab._protocol import Access, Traffic

MIN_MTU_BYTES = 1280
"""The least that IPv6 allows (RFC 8200 §5)."""

MAX_MTU_BYTES = 65_535
"""The most that a TUN device allows."""

_NS_PER_S = 1_000_000_000


class ProcessOptions(TypedDict, total=False):
    """What `Host.run` and `Host.popen` pass on to anyio, and what it means there."""

    stdin: int | IO[bytes] | None
    stdout: int | IO[bytes] | None
    stderr: int | IO[bytes] | None
    cwd: str | os.PathLike[str] | None
    env: Mapping[str, str] | None
    start_new_session: bool


@dataclass(eq=False)
class Host:
    """One host of a running network.

    Attributes:
        name: What it is called.
        ipv4: Its IPv4 address.
        ipv6: Its IPv6 address.
    """

    name: str
    ipv4: str
    ipv6: str
    _access: Access
    _processes: list[Process] = field(default_factory=list)

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs `argv` in this host, for whoever starts processes."""
        return self._access.command(list(argv))

    async def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,  # noqa: A002  # anyio's name
        check: bool = True,
        **options: Unpack[ProcessOptions],
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command in this host until it ends, as `anyio.run_process` does."""
        command = self.command(argv)
        return await anyio.run_process(command, input=input, check=check, **options)

    async def popen(self, argv: Sequence[str], **options: Unpack[ProcessOptions]) -> Process:
        """Start a command in this host, as `anyio.open_process` does.

        What still runs when the network ends is killed and reaped.
        """
        with anyio.CancelScope(shield=True):  # or a cancellation could lose a running process
            process = await anyio.open_process(self.command(argv), **options)
            self._processes.append(process)
        await anyio.lowlevel.checkpoint_if_cancelled()
        return process

    def listeners(self) -> list[Listener]:
        """Return the TCP sockets that listen in this host, both families."""
        tables = (Path(path).read_text() for path in self._access.tables)
        return [listener for table in tables for listener in listeners(table)]

    async def aclose(self) -> None:
        """Kill and reap what `popen` started. The network does this at its end."""
        with anyio.CancelScope(shield=True):
            for process in self._processes:
                if process.returncode is None:
                    process.kill()
                await process.aclose()


@dataclass(eq=False)
class Network:
    """A running network.

    Attributes:
        hosts: Its hosts by name.
        capture: Path of the capture, if one is written.
        traffic: What the wire did, by sending host; filled when the network has ended.
    """

    hosts: dict[str, Host]
    capture: Path | None
    traffic: dict[str, Traffic]

    async def records(self) -> list[pcapng.Record]:
        """Return what has been captured so far; everything, once the network has ended.

        Raises:
            ValueError: Nothing is captured here.
        """
        if self.capture is None:
            raise ValueError("this network writes no capture: give it a path")
        return pcapng.read(await anyio.Path(self.capture).read_bytes(), growing=True)


class TwoHosts(Network):
    """A running network of the hosts `a` and `b`."""

    @property
    def a(self) -> Host:
        """The first host."""
        return self.hosts["a"]

    @property
    def b(self) -> Host:
        """The second host."""
        return self.hosts["b"]


@asynccontextmanager
async def two_hosts(
    delay: float = 0.0,
    *,
    capture: str | os.PathLike[str] | None = None,
    mtu: int = DEFAULT_MTU_BYTES,
    capacity: int = DEFAULT_CAPACITY,
) -> AsyncIterator[TwoHosts]:
    """Have two hosts, `a` and `b`, with real kernel TCP stacks, joined by a wire.

    Args:
        delay: One-way delay of the wire, in seconds.
        capture: Where to write a pcapng capture; its directory must exist.
        mtu: The largest IP packet a host may send, in bytes.
        capacity: Packets in flight in one direction beyond which further ones are lost.

    Raises:
        LabUnavailable: This machine cannot have a lab.
        LabBroken: The lab died before the context ended.
        OSError: The capture cannot be written.
        ValueError: An argument is out of its range.
    """
    _check(delay, mtu, capacity)
    path = None if capture is None else Path(capture)
    if path is not None:
        await anyio.Path(path).write_bytes(b"")  # complain here, where it can be understood
        path = Path(await anyio.Path(path).resolve())
    plan = Plan(
        hosts=(HostPlan("a", "10.77.0.1", "fd77::1"), HostPlan("b", "10.77.1.1", "fd77:0:0:1::1")),
        delay_ns=round(delay * _NS_PER_S),
        mtu_bytes=mtu,
        capacity=capacity,
        capture=None if path is None else str(path),
    )
    async with AsyncExitStack() as stack:
        # hosts close after the supervisor has: it kills what their processes have started, too
        hosts: dict[str, Host] = {}
        stack.push_async_callback(_close_all, hosts)
        lab = await stack.enter_async_context(supervise(plan))
        for host in plan.hosts:
            hosts[host.name] = Host(host.name, host.ipv4, host.ipv6, lab.access[host.name])
        yield TwoHosts(hosts, path, lab.traffic)


async def _close_all(hosts: Mapping[str, Host]) -> None:
    for host in hosts.values():
        await host.aclose()


def _check(delay: float, mtu: int, capacity: int) -> None:
    if not (math.isfinite(delay) and delay >= 0):
        raise ValueError(f"a delay is a number of seconds from 0 up, not {delay!r}")
    if not MIN_MTU_BYTES <= mtu <= MAX_MTU_BYTES:
        raise ValueError(f"an MTU lies between {MIN_MTU_BYTES} and {MAX_MTU_BYTES}, not {mtu!r}")
    if capacity < 1:
        raise ValueError(f"a wire holds at least one packet, not {capacity!r}")

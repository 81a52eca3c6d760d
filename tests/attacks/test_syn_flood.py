"""SYNs from addresses that do not exist, at a coordinator in the lab, while two hosts meet."""

from __future__ import annotations

import socket
import struct
import time
from typing import Any

import anyio
import pytest

import simopen
from simopen import lab

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]

PORT = 7337
LINK = lab.Link(latency=0.005)
SECRET = "between these two hosts only"  # noqa: S105 - not one of anybody's
LONGEST = 15.0  # seconds that a meeting may take, where it takes a tenth in peace
AT_ONCE = 50  # SYNs, 10 ms apart: thousands a second
SPOOFED = [f"192.0.2.{number}" for number in range(1, 255)]  # nobody is there (RFC 5737)


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The driver's loop; the hosts have theirs."""
    return request.param


async def coordinate() -> None:
    """The server."""
    async with simopen.Coordinator([("0.0.0.0", PORT)]):
        await anyio.sleep_forever()


async def flood(target: str) -> None:
    """Send SYNs to the coordinator, from every spoofed address and port in turn, for ever."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.setblocking(False)
        for port in range(1024, 65_536):
            for at in range(0, len(SPOOFED), AT_ONCE):
                for source in SPOOFED[at : at + AT_ONCE]:
                    raw.sendto(syn((source, port), (target, PORT)), (target, 0))
                await anyio.sleep(0.01)


def syn(source: tuple[str, int], target: tuple[str, int]) -> bytes:
    """An IPv4 packet; the kernel fills in the checksum of its header (raw(7))."""
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
    segment = struct.pack("!HHIIBBHHH", source[1], target[1], 1, 0, 5 << 4, 2, 65_535, 0, 0)
    words = struct.unpack("!16H", addresses + struct.pack("!HH", 6, len(segment)) + segment)
    total = sum(words)
    total = (total & 0xFFFF) + (total >> 16)
    segment = segment[:16] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + segment[18:]
    return struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, 6, 0) + addresses + segment


async def half_open() -> int:
    """How many connections of this host are in SYN_RECEIVED."""
    lines = (await anyio.Path("/proc/net/tcp").read_text()).splitlines()
    return sum(line.split()[3] == "03" for line in lines[1:])


async def meet(rendezvous: str) -> float:
    """Meet the other host; returns how many seconds that took."""
    began = time.monotonic()
    async with await simopen.connect_peer(
        rendezvous=rendezvous, room="tea", secret=SECRET, timeout=LONGEST
    ) as stream:
        await stream.send(b"!")
        await stream.receive()
    return time.monotonic() - began


async def test_a_flood_of_syns() -> None:
    """The kernel's table of half-open connections is full, and two hosts meet all the same."""
    sites = [lab.Site(f"site-{name}", hosts=[name], link=LINK) for name in ("a", "b", "evil")]
    times: dict[str, float] = {}
    async with (
        lab.network([*sites, lab.Site("internet", hosts=["server"])], seed=1) as net,
        anyio.create_task_group() as group,
    ):
        server: Any = net["server"]
        group.start_soon(server.call, coordinate)
        with anyio.fail_after(30):
            while not any(each.port == PORT for each in server.listeners()):  # noqa: ASYNC110
                await anyio.sleep(0.02)
        group.start_soon(net["evil"].call, flood, server.ipv4)
        with anyio.fail_after(30):
            while await server.call(half_open) < 2000:  # noqa: ASYNC110
                await anyio.sleep(0.2)

        async def call(name: str) -> None:
            times[name] = await net[name].call(meet, f"tcp://{server.ipv4}:{PORT}")

        async with anyio.create_task_group() as calls:
            calls.start_soon(call, "a")
            calls.start_soon(call, "b")
        assert await server.call(half_open) > 1000  # it has gone on
        group.cancel_scope.cancel()
    assert max(times.values()) < LONGEST

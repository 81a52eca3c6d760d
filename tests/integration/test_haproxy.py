"""The coordinator behind a real HAProxy, as deploy/haproxy.cfg has it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

import simopen
from simopen import lab

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.lab,
    pytest.mark.usefixtures("require_lab"),
    pytest.mark.skipif(shutil.which("haproxy") is None, reason="needs haproxy"),
]

CONFIGURATION = Path(__file__).parent.parent.parent / "deploy" / "haproxy.cfg"
PATIENCE = 20.0  # seconds for what takes two: programs start, HAProxy checks its server
SECRET = "between these two hosts only"  # noqa: S105 - not one of anybody's
HOME = lab.preset("home-router")
SITES = [
    lab.Site("home", hosts=["alice"], gateway=HOME),
    lab.Site("flat", hosts=["bob"], gateway=HOME),
    lab.Site("internet", hosts=["server"]),
]
COORDINATOR = [
    *(sys.executable, "-m", "simopen", "coordinator", "--listen", "127.0.0.1:7337"),
    *("--proxy-protocol", "--metrics", "9337", "--limit", "connections=100"),
]


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The driver runs on one loop; the hosts are given theirs."""
    return request.param


async def meet(url: str, pause: float) -> dict[str, Any]:
    """A host: meet the other over IPv4, and tell how it was seen."""
    await anyio.sleep(pause)
    stream = await simopen.connect_peer(
        rendezvous=url, room="tea", secret=SECRET, local="0.0.0.0:0", timeout=PATIENCE
    )
    async with stream:
        await stream.send(b"tea?")
        received = await stream.receive()
    meeting = stream.report.meeting
    assert meeting is not None
    return {
        "received": received,
        "path": stream.report.path,
        "observed": [each.host for each in meeting.observed],
        "mappings": (meeting.mapping, meeting.peer_mapping),
    }


def configuration(server: lab.Host, folder: Path) -> Path:
    """The file for this server, and for fewer connections: a test may not have so many files."""
    text = CONFIGURATION.read_text()
    for shown, here in (
        ("203.0.113.10", server.ipv4),
        ("2001:db8::10", server.ipv6),
        ("22500", "100"),
    ):
        assert shown in text
        text = text.replace(shown, here)
    path = folder / "haproxy.cfg"
    path.write_text(text)
    return path


async def page(server: lab.Host, path: str) -> str:
    """What the operator's port answers."""
    url = f"http://127.0.0.1:9337{path}"
    program = f"import urllib.request as r; print(r.urlopen({url!r}).read().decode())"
    done = await server.run([sys.executable, "-c", program], check=False)
    return done.stdout.decode()


@asynccontextmanager
async def behind_haproxy(net: lab.Network, folder: Path) -> AsyncIterator[None]:
    """A coordinator, and HAProxy in front of it that has found it ready."""
    server = net["server"]
    with (folder / "haproxy.log").open("wb") as log:
        command = ["haproxy", "-db", "-f", str(configuration(server, folder))]
        await server.popen(COORDINATOR, stderr=log)
        with anyio.fail_after(PATIENCE):
            while "ready" not in await page(server, "/readyz"):  # noqa: ASYNC110
                await anyio.sleep(0.1)
        await server.popen(command, stderr=log)
        with anyio.fail_after(PATIENCE):
            while sum(each.port in (7337, 7338) for each in server.listeners()) < 6:  # noqa: ASYNC110
                await anyio.sleep(0.05)
        yield


async def test_two_hosts_meet(tmp_path: Path) -> None:
    """They are told their NATs' endpoints, not HAProxy's; the probes go through it as well."""
    async with lab.network(SITES, seed=1) as net, behind_haproxy(net, tmp_path):
        url = f"tcp://{net['server'].ipv4}:7337"
        found: dict[str, dict[str, Any]] = {}

        async def call(name: str, pause: float) -> None:
            found[name] = await net[name].call(meet, url, pause)

        async with anyio.create_task_group() as group:
            group.start_soon(call, "alice", 0.0)
            group.start_soon(call, "bob", 1.0)
        metrics = await page(net["server"], "/metrics")
    for name, outcome in found.items():
        assert outcome["received"] == b"tea?"
        assert outcome["path"] == "IPv4"
        assert outcome["observed"] == [net[name].public_ipv4]
    assert found["bob"]["mappings"][1] == "stable"  # alice's, whose probe has had the time
    assert 'connections_ended_total{ending="proxy"} 0.0' in metrics  # all had their header

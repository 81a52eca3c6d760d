"""open_peer behind real NATs: through a coordinator and encrypted, against a plain connect_peer."""

from __future__ import annotations

import anyio
import pytest

import simopen
from simopen import lab
from simopen.asyncio import open_peer

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]

PORT = 7337
TIMEOUT = 30.0  # seconds; a meeting takes tenths
LINK = lab.Link(latency=0.005)
SECRET = b"between these two hosts only"
SIZE = 2**20  # bytes that go each way; more than all buffers on the way


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The driver runs on one loop; the hosts are given theirs."""
    return request.param


async def coordinate() -> None:
    """The server."""
    async with simopen.Coordinator(("0.0.0.0", PORT)):
        await anyio.sleep_forever()


async def read_and_write(rendezvous: str) -> tuple[int, bool]:
    """A host with a reader and a writer."""
    reader, writer = await open_peer(
        rendezvous=rendezvous, room="lab", secret=SECRET, timeout=TIMEOUT
    )
    writer.write(bytes(SIZE))
    await writer.drain()
    writer.write_eof()
    received = len(await reader.read())
    encrypted: bool = writer.get_extra_info("report").encrypted
    writer.close()
    await writer.wait_closed()
    return received, encrypted


async def send_and_receive(rendezvous: str) -> int:
    """A host with a stream."""
    stream = await simopen.connect_peer(
        rendezvous=rendezvous, room="lab", secret=SECRET, timeout=TIMEOUT
    )
    async with stream:
        received = sum([len(chunk) async for chunk in stream])
        await stream.send(bytes(SIZE))
        await stream.send_eof()
    return received


@pytest.mark.parametrize("uvloop", [False, True], ids=["asyncio", "uvloop"])
async def test_reader_and_writer_meet_a_stream(uvloop: bool) -> None:  # noqa: FBT001
    """All that is written arrives, then the end; all that comes back is read, then the end."""
    sites = [
        lab.Site(f"site-{name}", hosts=[name], gateway=lab.preset("home-router"), link=LINK)
        for name in "ab"
    ]
    found: dict[str, object] = {}
    async with (
        lab.network([*sites, lab.Site("internet", hosts=["server"])], seed=1) as net,
        anyio.create_task_group() as group,
    ):
        group.start_soon(net["server"].call, coordinate)
        url = f"tcp://{net['server'].ipv4}:{PORT}"

        async def one() -> None:
            options = {"use_uvloop": uvloop}
            found["a"] = await net["a"].call(read_and_write, url, backend_options=options)

        async with anyio.create_task_group() as both:
            both.start_soon(one)
            found["b"] = await net["b"].call(send_and_receive, url)
        group.cancel_scope.cancel()
    assert found == {"a": (SIZE, True), "b": SIZE}

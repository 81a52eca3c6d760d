"""The visitors of a soak."""

from __future__ import annotations

import contextlib
import random
import ssl
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from benchmarks import visits
from benchmarks.servers import free_port, write_certificate
from benchmarks.visits import VISITS, Door, Visit
from benchmarks.watched import LIMITS, coordinator
from simopen.rendezvous.protocol import Welcome, encode_frame

SEEDS = range(4)  # so that each visit takes several of its ways
QUICK = replace(LIMITS, handshake=0.5, idle=1.0, grace=0.2)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("visit", VISITS)
@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})], ids=["uvloop"])
@pytest.mark.anyio
async def test_a_visitor_gets_what_it_is_owed_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visit: Visit, *, tls: bool
) -> None:
    """Whatever it does, and however its chances fall; the coordinator is empty soon after."""
    monkeypatch.setattr(visits, "LINGER", 0.05)
    files = write_certificate(tmp_path) if tls else ()
    context = ssl.create_default_context(cafile=files[0]) if files else None
    if context is not None:
        context.check_hostname = False
    port = free_port()
    door = Door(port, port + 1, context)
    async with coordinator((port, port + 1, port + 2), files, QUICK) as served:
        async with anyio.create_task_group() as group:
            for seed in SEEDS:
                group.start_soon(visit, door, random.Random(seed))
        with anyio.fail_after(10):
            while served.connections:  # noqa: ASYNC110 - what is waited for has no event
                await anyio.sleep(0.01)


@pytest.mark.parametrize("visit", [visits.say_nothing, visits.talk_garbage, visits.flood])
@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})], ids=["uvloop"])
@pytest.mark.anyio
async def test_who_is_never_hung_up_on_says_so(
    monkeypatch: pytest.MonkeyPatch, visit: Visit
) -> None:
    """A coordinator that bears with them is not what they are owed, however their chances fall."""
    monkeypatch.setattr(visits, "PATIENCE", 0.2)

    async def bear(stream: SocketStream) -> None:
        async with stream:
            await stream.send(encode_frame(Welcome(observed="192.0.2.1:4000", idle=50)))
            with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                while True:
                    await stream.receive()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, bear)
        door = Door(listener.extra(SocketAttribute.local_port), 0, None)
        for seed in SEEDS:
            with pytest.raises(TimeoutError):
                await visit(door, random.Random(seed))
        group.cancel_scope.cancel()

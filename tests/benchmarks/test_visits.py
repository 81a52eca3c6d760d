"""The visitors of a soak."""

from __future__ import annotations

import random
import ssl
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from benchmarks import visits
from benchmarks.servers import free_port, write_certificate
from benchmarks.visits import VISITS, Door, Visit
from benchmarks.watched import LIMITS, coordinator

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

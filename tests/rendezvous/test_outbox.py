from __future__ import annotations

import anyio
import pytest
from anyio.abc import ByteStream, TaskGroup

from simopen.rendezvous._outbox import Outbox
from simopen.rendezvous._transport import Transport
from simopen.rendezvous.protocol import Limit
from tests.net.conformance import receive_exactly, reset, tcp_pair

pytestmark = pytest.mark.anyio

LIMIT = 100_000  # bytes


class Failures:
    """Notes why a connection was given up, each time."""

    def __init__(self) -> None:
        self.limits: list[Limit | None] = []

    def __call__(self, limit: Limit | None) -> None:
        """One more."""
        self.limits.append(limit)


def outbox(stream: ByteStream, group: TaskGroup) -> tuple[Outbox, Failures]:
    """An outbox, and why it has failed."""
    failures = Failures()
    return Outbox(stream, LIMIT, group.start_soon, failures), failures


async def test_at_once() -> None:
    """What the kernel takes has left when ``put`` returns, and no task was needed."""
    near, far = tcp_pair()
    with far:
        async with Transport(near) as stream, anyio.create_task_group() as group:
            box, failures = outbox(stream, group)
            box.put(b"first ")
            box.put(b"second")
            assert far.recv(100) == b"first second"
            await box.emptied()
            assert not failures.limits


async def test_in_order_when_the_kernel_is_full() -> None:
    """What has to wait follows in order, once the other side reads."""
    near, far = tcp_pair(buffers=4096)
    async with Transport(near) as stream, Transport(far) as client:
        async with anyio.create_task_group() as group:
            filler = 0
            while taken := stream.send_now(bytes(65536)):
                filler += taken
            box, failures = outbox(stream, group)
            parts = [bytes([number]) * 1000 for number in range(LIMIT // 1000)]
            for part in parts:
                box.put(part)
            assert await receive_exactly(client, filler) == bytes(filler)
            assert await receive_exactly(client, LIMIT) == b"".join(parts)
            await box.emptied()
        assert not failures.limits


async def test_the_limit() -> None:
    """One byte more than may wait, and the connection is given up, once."""
    near, far = tcp_pair(buffers=4096)
    with far:
        async with anyio.create_task_group() as group:
            stream = Transport(near)
            while stream.send_now(bytes(65536)):
                pass
            box, failures = outbox(stream, group)
            box.put(bytes(LIMIT))
            assert failures.limits == []
            box.put(b"x")
            box.put(b"y")
            assert failures.limits == [Limit.OUTBOX]
            stream.close()
        assert failures.limits == [Limit.OUTBOX]


@pytest.mark.parametrize("waiting", [False, True])
async def test_a_reset(*, waiting: bool) -> None:
    """A broken connection is given up, whether something waits or not."""
    near, far = tcp_pair(buffers=4096)
    async with Transport(near) as stream, anyio.create_task_group() as group:
        box, failures = outbox(stream, group)
        if waiting:
            while stream.send_now(bytes(65536)):
                pass
            box.put(b"waits")
            await anyio.wait_all_tasks_blocked()
        reset(far)
        if not waiting:
            box.put(b"x")
        await box.emptied()
        assert failures.limits == [None]

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketStream

from simopen import Endpoint
from simopen.rendezvous import _health
from simopen.rendezvous._metrics import Metrics
from simopen.rendezvous._prometheus import PrometheusMetrics
from simopen.rendezvous._server import Coordinator
from simopen.rendezvous.protocol import Welcome
from tests.rendezvous.clients import Client, join, new_tag

pytestmark = pytest.mark.anyio

LOOPBACK = "127.0.0.1:0"


@asynccontextmanager
async def coordinator() -> AsyncIterator[Coordinator]:
    """A coordinator that answers its operator."""
    async with Coordinator(
        LOOPBACK, health_listen=LOOPBACK, metrics=PrometheusMetrics()
    ) as running:
        yield running


async def ask(endpoint: Endpoint, request: bytes) -> bytes:
    """Everything that comes back until the connection ends."""
    answer = b""
    async with await anyio.connect_tcp(*endpoint) as stream:
        await stream.send(request)
        with anyio.fail_after(5), contextlib.suppress(anyio.BrokenResourceError):
            async for part in stream:
                answer += part
    return answer


def get(path: str, method: str = "GET") -> bytes:
    """A request as curl sends it."""
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        (get("/healthz"), b"200 OK", b"alive\n"),
        (get("/readyz"), b"200 OK", b"ready\n"),
        (get("/readyz?verbose"), b"200 OK", b"ready\n"),
        (get("/healthz", "HEAD"), b"200 OK", b""),
        (get("/"), b"404 Not Found", b"/metrics, /healthz or /readyz\n"),
        (get("/healthz", "POST"), b"405 Method Not Allowed", b"GET or HEAD\n"),
        (b"hello\r\n\r\n", b"400 Bad Request", b"no HTTP/1 request\n"),
        (b"\n\n", b"400 Bad Request", b"no HTTP/1 request\n"),
    ],
)
async def test_answers(request_: bytes, status: bytes, body: bytes) -> None:
    """One request, one answer with its length, and the end of the connection."""
    async with coordinator() as running:
        answer = await ask(running.health_endpoints[0], request_)
    head, _, received = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert b"Connection: close" in head
    assert received == body


async def test_metrics() -> None:
    """The present sizes are read when they are asked for."""
    async with coordinator() as running, await Client.connect(running.endpoints[0]) as member:
        await member.send(join(new_tag()))
        await member.receive(Welcome)
        answer = await ask(running.health_endpoints[0], get("/metrics"))
    assert b"\nsimopen_coordinator_members 1.0\n" in answer
    assert b"\nsimopen_coordinator_rooms 1.0\n" in answer
    assert b"\nsimopen_coordinator_connections 1.0\n" in answer
    assert b"\nsimopen_coordinator_welcomes_total 1.0\n" in answer


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_metrics_that_fail(method: str, caplog: pytest.LogCaptureFixture) -> None:
    """They are an error in the log and to who asks; the coordinator goes on."""

    class Failing(Metrics):
        def exposition(self) -> tuple[str, bytes]:
            raise ArithmeticError("no such number")

    async with Coordinator(LOOPBACK, health_listen=LOOPBACK, metrics=Failing()) as running:
        (endpoint,) = running.health_endpoints
        answer = await ask(endpoint, get("/metrics", method))
        assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\nContent-Type:")
        assert b"number" not in answer
        assert "no such number" in caplog.text
        assert b"200" in await ask(endpoint, get("/healthz"))


async def test_not_ready_while_stopping() -> None:
    """From the beginning of a clean stop a load balancer sends nobody here any more."""
    async with coordinator() as running:
        await running.drain()
        (endpoint,) = running.health_endpoints
        assert b"503" in await ask(endpoint, get("/readyz"))
        assert b"200" in await ask(endpoint, get("/healthz"))


async def test_a_request_without_end() -> None:
    """It is cut off at its longest, without an answer."""
    async with (
        coordinator() as running,
        await anyio.connect_tcp(*running.health_endpoints[0]) as stream,
    ):
        await stream.send(b"GET / HTTP/1.1\r\n" + bytes(_health.LONGEST_REQUEST))
        with (
            anyio.fail_after(_health.PATIENCE / 2),
            pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)),
        ):
            await stream.receive()


async def test_slow_and_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many are served at once; the slow make room after a while."""
    monkeypatch.setattr(_health, "PATIENCE", 0.3)
    monkeypatch.setattr(_health, "AT_ONCE", 2)
    async with coordinator() as running:
        (endpoint,) = running.health_endpoints
        slow: list[SocketStream] = []
        for _ in range(2):
            slow.append(await anyio.connect_tcp(*endpoint))
            await slow[-1].send(b"GET ")
        await anyio.sleep(0.1)
        assert await ask(endpoint, get("/healthz")) == b""
        for stream in slow:
            async with stream:
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await stream.receive()
        assert b"200" in await ask(endpoint, get("/healthz"))

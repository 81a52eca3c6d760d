from __future__ import annotations

import errno
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest

from simopen import Endpoint, LocalBindError
from simopen.net._addresses import endpoint_of
from simopen.rendezvous import _listener
from simopen.rendezvous._listener import accept_forever, listen
from tests.helpers import no_socket_left
from tests.rendezvous.clients import Client, until

pytestmark = pytest.mark.anyio

LOOPBACK = Endpoint("127.0.0.1", 0)


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """A process at its limit on open files: existing ones work, new ones do not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as highest:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest.fileno(), hard))
        highest.close()
        fillers = []
        try:
            while True:
                try:
                    fillers.append(socket.socket())
                except OSError:
                    break
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for filler in fillers:
                filler.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_listens_and_accepts(host: str) -> None:
    """Every connection is handed on with the endpoint that the client really has."""
    seen: list[tuple[socket.socket, Endpoint]] = []
    with no_socket_left():
        for listener in await listen([Endpoint(host, 0)]):
            family = listener.family
            async with anyio.create_task_group() as group:
                group.start_soon(accept_forever, listener, lambda *each: seen.append(each))
                with socket.socket(family) as client:
                    client.connect(listener.getsockname())
                    await until(lambda: seen)
                    sock, endpoint = seen.pop()
                    assert endpoint == endpoint_of(client.getsockname())
                    sock.close()
                group.cancel_scope.cancel()
            listener.close()


async def test_a_taken_port_is_named_and_nothing_is_left() -> None:
    """The error has the endpoint and the reason; listeners before it are closed again."""
    with socket.create_server(("127.0.0.1", 0)) as other, no_socket_left():
        taken = Endpoint("127.0.0.1", other.getsockname()[1])
        with pytest.raises(LocalBindError, match="choose another port") as caught:
            await listen([LOOPBACK, taken])
        assert caught.value.errno == errno.EADDRINUSE
        assert caught.value.local == taken


async def test_an_address_of_another_host() -> None:
    """The error says which addresses there are to listen on."""
    with pytest.raises(
        LocalBindError, match=r"203\.0\.113\.1:7337: .*0\.0\.0\.0 and \[::\]"
    ) as caught:
        await listen([Endpoint("203.0.113.1", 7337)])
    assert caught.value.errno == errno.EADDRNOTAVAIL


async def test_a_name_without_address() -> None:
    """A host that does not resolve is a LocalBindError too."""
    with pytest.raises(LocalBindError, match=r"name\.invalid:0"):
        await listen([Endpoint("name.invalid", 0)])


async def test_descriptors_exhausted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a descriptor accepting pauses, does not spin or end, and then goes on."""
    tries = 0
    accept = _listener._accept

    def counted(*arguments: object) -> None:
        nonlocal tries
        tries += 1
        accept(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(_listener, "_accept", counted)
    accepted: list[socket.socket] = []
    (listener,) = await listen([LOOPBACK])
    with listener, socket.socket() as client:
        client.setblocking(False)
        async with anyio.create_task_group() as group:
            group.start_soon(accept_forever, listener, lambda sock, _: accepted.append(sock))
            await anyio.wait_all_tasks_blocked()
            with no_descriptor_left():
                client.connect_ex(listener.getsockname())
                await anyio.sleep(2.5 * _listener.PAUSE)
                assert not accepted
                assert 2 <= tries <= 4
                assert caplog.text.count("accept.exhausted") == 1  # and not with every try
            await until(lambda: accepted)
            group.cancel_scope.cancel()
    accepted.pop().close()


async def test_a_client_that_has_gone_already() -> None:
    """Where a connection cannot be set up it is closed, and the next one is accepted."""

    def refuse(_: socket.socket, __: Endpoint) -> None:
        raise OSError(errno.EINVAL, "has gone")

    (listener,) = await listen([LOOPBACK])
    with listener:
        async with anyio.create_task_group() as group:
            group.start_soon(accept_forever, listener, refuse)
            for _ in range(2):
                async with await Client.connect(endpoint_of(listener.getsockname())) as client:
                    assert await client.ended()
            group.cancel_scope.cancel()

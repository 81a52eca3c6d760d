from __future__ import annotations

import errno
import socket
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute

from simopen import Endpoint, Rendezvous
from simopen.net._sockets import open_punch_socket
from simopen.rendezvous import _channel
from simopen.rendezvous._channel import Channel, connection
from simopen.rendezvous.protocol import ClientEvent, Join, Lost, Ping, Pong, Welcome, Welcomed
from tests.helpers import free_port, no_socket_left, silent_endpoint
from tests.rendezvous.certificates import client_context, write_certificate
from tests.rendezvous.clients import join, new_tag, until
from tests.rendezvous.coordinators import Guest, coordinator, url

pytestmark = pytest.mark.anyio

JOIN = join(new_tag())


def bound() -> socket.socket:
    """A socket to connect from."""
    return open_punch_socket(socket.AF_INET, Endpoint("127.0.0.1", 0))


@pytest.mark.parametrize("named", [True, False])
async def test_a_connection_is_closed_as_its_port_needs(*, named: bool) -> None:
    """A named port is left by a reset, which keeps nobody from using it; any other by a FIN."""
    ended: list[type[Exception]] = []

    async def wait(guest: Guest) -> None:
        try:
            await guest.stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError) as error:
            ended.append(type(error))

    with no_socket_left():
        async with coordinator(wait) as at:
            rendezvous = Rendezvous(url(at))
            async with connection(bound(), at, rendezvous, port_is_named=named) as stream:
                assert stream.extra(SocketAttribute.remote_address) == at
                await anyio.sleep(0.01)
            await until(lambda: ended)
    assert ended == [anyio.BrokenResourceError if named else anyio.EndOfStream]


async def test_a_refusal_is_an_os_error() -> None:
    """With its number; and the socket is closed."""
    at = Endpoint("127.0.0.1", free_port())
    with no_socket_left(), pytest.raises(OSError, match="refused") as caught:
        async with connection(bound(), at, Rendezvous(url(at)), port_is_named=False):
            raise AssertionError
    assert caught.value.errno == errno.ECONNREFUSED


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
async def test_a_connection_has_its_time(
    scheme: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its encryption included: a coordinator that says nothing is given up."""
    monkeypatch.setattr(_channel, "CONNECT_TIMEOUT", 0.05)
    context = client_context(write_certificate(tmp_path)) if scheme == "tls" else None
    with silent_endpoint() as silent, no_socket_left():
        async with coordinator(lambda _: anyio.sleep_forever()) as mute:
            at = mute if scheme == "tls" else Endpoint(*silent)
            rendezvous = Rendezvous(url(at, scheme), ssl_context=context)
            with pytest.raises(TimeoutError):
                async with connection(bound(), at, rendezvous, port_is_named=False):
                    raise AssertionError


async def talk(*, idle: float | None) -> tuple[list[ClientEvent], list[object]]:
    """A conversation to its end: what it tells, and what the coordinator hears."""
    heard: list[object] = []
    told: list[ClientEvent] = []

    async def script(guest: Guest) -> None:
        heard.append(await guest.receive())
        if idle is not None:
            await guest.send(Welcome(observed="192.0.2.1:5000", idle=idle))
            await guest.send(Ping(number=9))
            while not any(isinstance(each, Ping) for each in heard):
                heard.append(await guest.receive())

    with anyio.fail_after(5):
        async with (
            coordinator(script) as at,
            connection(bound(), at, Rendezvous(url(at)), port_is_named=False) as stream,
        ):
            await Channel(stream, JOIN).talk(told.append)
    return told, heard


async def test_a_conversation_pings_and_answers() -> None:
    """Twice in what the welcome allows; and its last event is the end of the stream."""
    told, heard = await talk(idle=1)
    assert told == [Welcomed("192.0.2.1:5000", ()), Lost(silent=False)]
    assert isinstance(heard[0], Join)
    assert heard[1:] == [Pong(number=9), Ping(number=1)]


async def test_an_end_before_a_welcome() -> None:
    """Is the only event."""
    told, heard = await talk(idle=None)
    assert told == [Lost(silent=False)]
    assert heard == [JOIN]


async def test_two_tasks_may_flush() -> None:
    """What is said is said once, and whole."""
    heard: list[object] = []

    async def listen(guest: Guest) -> None:
        heard.extend(await guest.stay())

    async with coordinator(listen) as at:
        async with connection(bound(), at, Rendezvous(url(at)), port_is_named=False) as stream:
            channel = Channel(stream, JOIN)
            for _ in range(20):
                channel.conversation.settle()
            async with anyio.create_task_group() as group:
                for _ in range(10):
                    group.start_soon(channel.flush)
        await until(lambda: len(heard) == 21)

"""The public API as a typed program uses it: never run, checked by mypy and by pyright.

What a call returns is asserted, and what must not pass is ignored by its rule, so that a check that
no longer complains is an error by itself (``warn_unused_ignores``).
"""

from __future__ import annotations

import asyncio
import io
import socket
from pathlib import Path
from typing import assert_type

from anyio.abc import ByteStream, ByteStreamConnectable

import simopen
import simopen.asyncio
from simopen import lab


async def direct() -> None:
    """Between known endpoints: text, pairs, lists and ranges."""
    stream = await simopen.connect_peer("203.0.113.2:40001", local="0.0.0.0:40000", timeout=10)
    assert_type(stream, simopen.PeerStream)
    assert_type(stream.report, simopen.PunchReport)
    assert_type(stream.report.elapsed, float)
    assert_type(stream.report.meeting, simopen.MeetingReport | None)
    await simopen.connect_peer(("203.0.113.2", 40001), local=("0.0.0.0", 40000))
    await simopen.connect_peer(["203.0.113.2:1-2", ("::1", 3)], local=["0.0.0.0:1-2", "[::]:3"])
    sock = await simopen.connect_peer_socket("203.0.113.2:40001", local="0.0.0.0:40000")
    assert_type(sock, socket.socket)


async def through_a_coordinator(invite: simopen.Invite) -> None:
    """With an invite or its string, bytes, or a room and text."""
    stream = await simopen.connect_peer(rendezvous="tcp://coord.example", secret=invite)
    assert_type(stream, simopen.PeerStream)
    there = simopen.Rendezvous("tls://coord.example:7337")
    await simopen.connect_peer(rendezvous=there, secret=invite.reveal(), local="0.0.0.0:0")
    await simopen.connect_peer(rendezvous=there, room="tea", secret=bytes(16), timeout=None)


async def wrong() -> None:
    """What no overload takes."""
    await simopen.connect_peer("203.0.113.2:40001")  # type: ignore[call-overload]  # no local
    await simopen.connect_peer(  # type: ignore[call-overload]  # both ways at once
        "203.0.113.2:40001", local="0.0.0.0:40000", rendezvous="tcp://coord.example"
    )


async def connectable(peer: simopen.PeerConnectable) -> None:
    """A peer where anyio wants something to connect to, and a stream where it wants bytes."""
    anyones: ByteStreamConnectable = peer
    assert_type(await peer.connect(), simopen.PeerStream)
    secured = await simopen.secure_stream(await anyones.connect(), secret=bytes(16))
    assert_type(secured, ByteStream)


async def with_asyncio() -> None:
    """Reader and writer."""
    reader, writer = await simopen.asyncio.open_peer(
        rendezvous="tcp://coord.example", secret=bytes(16), limit=1024
    )
    assert_type(reader, asyncio.StreamReader)
    assert_type(writer, asyncio.StreamWriter)


async def watched() -> None:
    """Events are told apart by their types, errors have what their names say."""

    def note(event: simopen.Event) -> None:
        assert_type(event.at, float)
        if isinstance(event, simopen.PunchRefused):
            assert_type(event.reason, str)

    watcher: simopen.OnEvent = note
    options = simopen.PunchOptions(syn_rate=50, rounds=2)
    try:
        await simopen.connect_peer("x:1", local="y:2", on_event=watcher, options=options)
    except simopen.PeerConnectError as error:
        assert_type(error.diagnosis.cause, simopen.Cause)
    await simopen.connect_peer("x:1", local="y:2", on_event=simopen.JsonLinesTrace(io.StringIO()))


async def coordinator() -> None:
    """A coordinator of one's own."""
    files = simopen.CertificateFiles(Path("chain.pem"))
    limits = simopen.CoordinatorLimits(connections=10)
    async with simopen.Coordinator("[::]:7337", certificate=files, limits=limits) as running:
        assert_type(running.endpoints, tuple[simopen.Endpoint, ...])
        await running.drain()


async def laboratory() -> None:
    """Networks, with an event loop and without."""
    home = lab.Site("home", hosts=["alice"], gateway=lab.Nat(mapping=lab.Mapping.ADDRESS_DEPENDENT))
    async with lab.network([home, lab.Site("net", hosts=["server"])], seed=1) as net:
        assert_type(net, lab.Network)
        assert_type(net["alice"], lab.Host)
        done = await net["alice"].run(["true"])
        assert_type(done.stdout, bytes)
    with lab.two_hosts(0.01) as pair:
        assert_type(pair.a.ipv4, str)

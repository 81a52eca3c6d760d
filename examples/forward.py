"""Reach a TCP service of a peer as if it ran here: a port forward, without a port open to anybody.

Both have the same invite in a file, which (umask 077; simopen invite > tea.invite) makes.
One has the service, here ssh:

    one$ python forward.py serve tcp://coord.example:7337 tea.invite 127.0.0.1:22

The other gets a port for it, on loopback:

    two$ python forward.py listen tcp://coord.example:7337 tea.invite 127.0.0.1:2222
    two$ ssh -p 2222 127.0.0.1

Each connection to that port becomes a connection between the peers, punched and encrypted of its
own: so each has its own pace, its own end, and its own breaking. Both say what they carry:

    10.1.0.2:38429 <-> 203.0.113.2:35093, IPv4, 162.7 ms, of 2 pairs, 2 SYNs, 0 refusals, encrypted
"""

import socket
import struct
import sys
from pathlib import Path

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream

import simopen

RESET = struct.pack("ii", 1, 0)  # for SO_LINGER: the close is a reset
PAUSE = 5  # seconds after a failure, so that a coordinator that is down is not stormed


async def carry(one: ByteStream, other: ByteStream) -> None:
    """Be the wire between two streams, until both directions have ended or one stream breaks."""
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(copy, one, other)
            group.start_soon(copy, other, one)
    except* anyio.BrokenResourceError:
        # What was cut off on one side must not look on the other as if that had been all.
        for stream in (one, other):
            stream.extra(SocketAttribute.raw_socket).setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, RESET
            )
    finally:
        await anyio.aclose_forcefully(one)  # ends in order have been said by copy()
        await anyio.aclose_forcefully(other)


async def copy(source: ByteStream, sink: ByteStream) -> None:
    """Copy one direction and its end; a slow sink holds the source back."""
    async for data in source:
        await sink.send(data)
    await sink.send_eof()


async def serve(peer: simopen.PeerConnectable, host: str, port: int) -> None:
    """Connect each peer that comes to the service."""

    async def answer(stream: simopen.PeerStream) -> None:
        try:
            service = await anyio.connect_tcp(host, port)
        except OSError as error:
            complain(error)
            await anyio.aclose_forcefully(stream)
        else:
            await carry(stream, service)

    async with anyio.create_task_group() as group:
        while True:
            try:
                stream = await peer.connect()
            except simopen.PeerConnectError as error:
                complain(error)
                await anyio.sleep(PAUSE)
            else:
                print(stream.report, flush=True)
                group.start_soon(answer, stream)


async def listen(peer: simopen.PeerConnectable, host: str, port: int) -> None:
    """Connect each client that comes to the peer."""
    turn = anyio.Lock()  # two calls of ours at once would find each other in the room

    async def call(client: SocketStream) -> None:
        async with client:
            try:
                async with turn:
                    stream = await peer.connect()
            except simopen.PeerConnectError as error:
                complain(error)
            else:
                print(stream.report, flush=True)
                await carry(client, stream)

    listener = await anyio.create_tcp_listener(local_host=host, local_port=port)
    await listener.serve(call)


def complain(error: Exception) -> None:
    """One connection's failure is not the program's."""
    print(error, file=sys.stderr)


if len(sys.argv) != 5:
    sys.exit(__doc__)
try:
    role, url, invite, endpoint = sys.argv[1:]
    host, _, port = endpoint.rpartition(":")
    rendezvous, secret = simopen.Rendezvous(url), simopen.Invite.parse(Path(invite).read_text())
    if role == "serve":  # waits for as long as it takes
        peer = simopen.PeerConnectable(rendezvous=rendezvous, secret=secret)
        anyio.run(serve, peer, host, int(port))
    else:
        peer = simopen.PeerConnectable(rendezvous=rendezvous, secret=secret, timeout=20)
        anyio.run(listen, peer, host, int(port))
except (simopen.SimopenError, OSError) as error:
    sys.exit(str(error))
except KeyboardInterrupt:
    sys.exit(130)

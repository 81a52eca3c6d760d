"""Send a file to a peer, or receive one; the receiver checks that it arrived whole.

Through a coordinator, with the same invite in a file on both sides:

    sender:    python send_file.py tcp://coord.example:7337 tea.invite photo.jpg
    receiver:  python send_file.py tcp://coord.example:7337 tea.invite > photo.jpg

Or directly, where both know both endpoints; this is not encrypted:

    sender:    python send_file.py 203.0.113.2:40001  0.0.0.0:40000 photo.jpg
    receiver:  python send_file.py 198.51.100.7:40000 0.0.0.0:40001 > photo.jpg

The first 40 bytes are the file's length and SHA-256.
"""

import hashlib
import sys
from pathlib import Path

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

import simopen


async def send(stream: simopen.PeerStream, data: bytes) -> None:
    """Send length, checksum and contents, and wait until the peer has closed."""
    await stream.send(len(data).to_bytes(8, "big") + hashlib.sha256(data).digest())
    await stream.send(data)
    await stream.send_eof()
    async for _ in stream:
        pass


async def receive(stream: simopen.PeerStream) -> bytes:
    """Receive a file; end the program if it is not whole."""
    buffered = BufferedByteReceiveStream(stream)
    size = int.from_bytes(await buffered.receive_exactly(8), "big")
    digest = await buffered.receive_exactly(32)
    data = await buffered.receive_exactly(size)
    if hashlib.sha256(data).digest() != digest:
        sys.exit("the file has changed on its way")
    return data


def peer(where: str, how: str) -> simopen.PeerConnectable:
    """Whoever has our invite too at the coordinator of a URL, or is at an endpoint."""
    if "://" in where:
        invite = Path(how).read_text()
        return simopen.PeerConnectable(rendezvous=where, secret=invite, timeout=60)
    return simopen.PeerConnectable(remote=where, local=how, timeout=60)


async def main(where: str, how: str, data: bytes | None) -> None:
    """Send if there is something to send, else receive."""
    try:
        stream = await peer(where, how).connect()
    except simopen.SimopenError as error:
        sys.exit(str(error))
    async with stream:
        if data is None:
            sys.stdout.buffer.write(await receive(stream))
        else:
            await send(stream, data)


where, how, *paths = sys.argv[1:]
anyio.run(main, where, how, Path(paths[0]).read_bytes() if paths else None)

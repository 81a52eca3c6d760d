"""Send a file to a peer, or receive one; the receiver checks that it arrived whole.

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


async def main(remote: str, local: str, data: bytes | None) -> None:
    """Send if there is something to send, else receive."""
    try:
        stream = await simopen.connect_peer(remote, local=local, timeout=60)
    except simopen.PeerConnectError as error:
        sys.exit(str(error))
    async with stream:
        if data is None:
            sys.stdout.buffer.write(await receive(stream))
        else:
            await send(stream, data)


remote, local, *paths = sys.argv[1:]
anyio.run(main, remote, local, Path(paths[0]).read_bytes() if paths else None)

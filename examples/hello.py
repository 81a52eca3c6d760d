"""Two hosts say hello, with nobody listening.

    host one:  python hello.py 203.0.113.2:40001  0.0.0.0:40000
    host two:  python hello.py 198.51.100.7:40000 0.0.0.0:40001

Each prints what the other said, then how the connection was opened.
"""

import socket
import sys

import anyio

import simopen


async def main(remote: str, local: str) -> None:
    """Connect, send one line, print the peer's."""
    async with await simopen.connect_peer(remote, local=local, timeout=30) as stream:
        await stream.send(f"hello from {socket.gethostname()}".encode())
        await stream.send_eof()
        async for data in stream:
            print(data.decode())
        print(stream.report)


anyio.run(main, sys.argv[1], sys.argv[2])

"""One socket, connected to itself: both its ends are one, and nobody listens.

    python self_connection.py 127.0.0.1:40000

prints

    127.0.0.1:40000 <-> 127.0.0.1:40000, self, 0.2 ms, 1 SYN, 0 refusals
    the kernel says: local ('127.0.0.1', 40000), remote ('127.0.0.1', 40000)
    sent and received: hello, me

The socket's SYN comes back to the socket, which has sent one itself: a simultaneous open in which
it plays both parts. So does every byte.
"""

import sys

import anyio
from anyio.abc import SocketAttribute

import simopen


async def main(endpoint: str) -> None:
    """Connect, look at both ends, and talk to ourselves."""
    async with await simopen.connect_self(endpoint, timeout=5) as stream:
        print(stream.report)
        sock = stream.extra(SocketAttribute.raw_socket)
        print(f"the kernel says: local {sock.getsockname()}, remote {sock.getpeername()}")
        await stream.send(b"hello, me")
        print("sent and received:", (await stream.receive()).decode())


anyio.run(main, sys.argv[1])

"""Two hosts say hello, with nobody listening.

Through a coordinator, on both hosts, with the same invite in a file, which
(umask 077; simopen invite > tea.invite) makes:

    python hello.py tcp://coord.example:7337 tea.invite

Or directly, where both know both endpoints; this is not encrypted:

    host one:  python hello.py 203.0.113.2:40001  0.0.0.0:40000
    host two:  python hello.py 198.51.100.7:40000 0.0.0.0:40001

Each prints what the other said, then how the connection was opened:

    hello from teahouse
    10.1.0.2:38429 <-> 203.0.113.2:35093, IPv4, 162.7 ms, of 2 pairs, 2 SYNs, 0 refusals, encrypted
"""

import socket
import sys

import anyio
from anyio.streams.text import TextReceiveStream

import simopen


async def connect(where: str, how: str) -> simopen.PeerStream:
    """Connect through the coordinator at a URL, or directly to an endpoint."""
    if "://" in where:
        invite = await anyio.Path(how).read_text()
        return await simopen.connect_peer(rendezvous=where, secret=invite, timeout=30)
    return await simopen.connect_peer(where, local=how, timeout=30)


async def main(where: str, how: str) -> None:
    """Connect, send one line, print the peer's."""
    async with await connect(where, how) as stream:
        await stream.send(f"hello from {socket.gethostname()}\n".encode())
        await stream.send_eof()
        async for text in TextReceiveStream(stream):
            print(text, end="")
        print(stream.report)


if len(sys.argv) != 3:
    sys.exit(__doc__)
try:
    anyio.run(main, sys.argv[1], sys.argv[2])
except (simopen.SimopenError, OSError) as error:
    sys.exit(str(error))

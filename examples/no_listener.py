"""A web server on a port where nothing listens, and a stock client that gets its page.

    sudo python no_listener.py

Nothing listens on the port, as ss tells, and yet:

    listening sockets on port 7777: 0
    curl got: hello from a port without a listener

The handshake is done by this program, over a raw socket; then TCP_REPAIR makes an ordinary kernel
socket of it. Needs Linux, nft, CAP_NET_RAW and CAP_NET_ADMIN.
"""

import sys

import anyio
from anyio.abc import ByteStream

from simopen import raw

PAGE = b"hello from a port without a listener\n"


async def page(stream: ByteStream) -> None:
    """Be a web server of one page."""
    async with stream:
        await stream.receive()
        await stream.send(b"HTTP/1.0 200 OK\r\n\r\n" + PAGE)


async def main() -> None:
    """Serve one client, and be it."""
    async with raw.accept("127.0.0.1:7777") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, page)
        listening = await anyio.run_process(["ss", "-Hltn", "sport = 7777"])
        print("listening sockets on port 7777:", listening.stdout.count(b"\n"))
        curl = await anyio.run_process(["curl", "-sS", "http://127.0.0.1:7777/"])
        print("curl got:", curl.stdout.decode(), end="")
        group.cancel_scope.cancel()


try:
    anyio.run(main)
except raw.RawUnavailableError as error:
    sys.exit(str(error))

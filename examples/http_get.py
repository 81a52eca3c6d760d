"""HTTP from a server that nobody can connect to, with httpx over peer streams (pip install httpx).

One host has any web server, and forward.py beside it; the same invite is in a file on both:

    one$ python -m http.server --bind 127.0.0.1 8000
    one$ python forward.py serve tcp://coord.example:7337 tea.invite 127.0.0.1:8000

The other asks for something there; the host in the URLs is what the server is told:

    two$ python http_get.py tcp://coord.example:7337 tea.invite http://peer/ http://peer/tea.txt
    200 OK: http://peer/, 412 bytes
    200 OK: http://peer/tea.txt, 21 bytes

httpcore, which is below httpx, opens its connections through a network backend. This one punches
them. The rest is httpx as always: connections are kept, timeouts and errors are its own.
"""

import select
import ssl
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpcore
import httpx
from anyio.abc import SocketAttribute

import simopen


class PeerBackend(httpcore.AsyncNetworkBackend):
    """Where others open a TCP connection, this connects to the peer, whatever the host."""

    def __init__(self, peer: simopen.PeerConnectable) -> None:
        self._peer = peer
        self._turn = anyio.Lock()  # two calls of ours at once would find each other in the room

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Punch; all that is asked for but the timeout is for servers that have an address."""
        peer = replace(self._peer, timeout=timeout)
        with httpcore_errors(httpcore.ConnectTimeout, httpcore.ConnectError):
            async with self._turn:
                return PeerNetworkStream(await peer.connect())

    async def sleep(self, seconds: float) -> None:
        """Wait, on whatever loop it is."""
        await anyio.sleep(seconds)


class PeerNetworkStream(httpcore.AsyncNetworkStream):
    """A peer stream as httpcore wants it."""

    def __init__(self, stream: simopen.PeerStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Receive; nothing at the end."""
        with httpcore_errors(httpcore.ReadTimeout, httpcore.ReadError), anyio.fail_after(timeout):
            try:
                return await self._stream.receive(max_bytes)
            except anyio.EndOfStream:
                return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it."""
        with httpcore_errors(httpcore.WriteTimeout, httpcore.WriteError), anyio.fail_after(timeout):
            await self._stream.send(buffer)

    async def aclose(self) -> None:
        """Close."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse https: what is said is encrypted already, up to the peer."""
        raise httpcore.UnsupportedProtocol("between peers it is http://, over an encrypted stream")

    def get_extra_info(self, info: str) -> object:
        """Whether something has come on a kept connection: its end, since nothing was asked."""
        if info == "is_readable":
            sock = self._stream.extra(SocketAttribute.raw_socket)
            poll = select.poll()
            poll.register(sock, select.POLLIN)
            return bool(poll.poll(0))
        return None


@contextmanager
def httpcore_errors(timeout: type[Exception], broken: type[Exception]) -> Iterator[None]:
    """Have our errors as httpcore's, which httpx translates into its own."""
    try:
        yield
    except TimeoutError as error:
        raise timeout(str(error)) from error
    except (simopen.PeerConnectError, anyio.BrokenResourceError) as error:
        raise broken(str(error)) from error


class PeerTransport(httpx.AsyncHTTPTransport):
    """httpx's own transport with our backend, for which it has no argument."""

    def __init__(self, peer: simopen.PeerConnectable) -> None:
        super().__init__()
        self._pool = httpcore.AsyncConnectionPool(network_backend=PeerBackend(peer))


async def get(client: httpx.AsyncClient, url: str, failed: list[str]) -> None:
    """Get one thing and say what it was."""
    try:
        response = await client.get(url)
    except httpx.HTTPError as error:
        print(f"{url}: {error}", file=sys.stderr)
        failed.append(url)
    else:
        status = f"{response.status_code} {response.reason_phrase}"
        print(f"{status}: {url}, {len(response.content):,} bytes")


async def main(url: str, invite: str, *wanted: str) -> list[str]:
    """Get everything at once; httpx decides on how many connections. Returns what failed."""
    peer, failed = simopen.PeerConnectable(rendezvous=url, secret=invite), list[str]()
    async with (
        httpx.AsyncClient(transport=PeerTransport(peer), timeout=20) as client,
        anyio.create_task_group() as group,
    ):
        for each in wanted:
            group.start_soon(get, client, each, failed)
    return failed


if len(sys.argv) < 4:
    sys.exit(__doc__)
try:
    failed = anyio.run(main, sys.argv[1], Path(sys.argv[2]).read_text(), *sys.argv[3:])
    sys.exit(1 if failed else 0)
except OSError as error:
    sys.exit(str(error))
except KeyboardInterrupt:
    sys.exit(130)

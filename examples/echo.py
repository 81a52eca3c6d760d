"""An echo program that does not care how its stream came about.

    python echo.py answer listen 9000
    python echo.py ask connect 203.0.113.3 9000

An ordinary server and its client. And where neither can listen, both connect:

    python echo.py answer punch 203.0.113.1:40000 0.0.0.0:40000
    python echo.py ask punch 203.0.113.2:40000 0.0.0.0:40000

Without knowing each other's endpoints, with the same invite in a file:

    python echo.py answer meet tcp://203.0.113.3:7337 tea.invite
    python echo.py ask meet tcp://203.0.113.3:7337 tea.invite
"""

import sys

import anyio
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream

import simopen

QUESTION = b"is anybody there?"


async def answer(stream: ByteStream) -> None:
    """Send back whatever comes, until the other side has finished."""
    async with stream:
        async for data in stream:
            await stream.send(data)


async def ask(stream: ByteStream) -> None:
    """Say something and print the echo: all of it, of which one receive may bring a part."""
    async with stream:
        await stream.send(QUESTION)
        echo = await BufferedByteReceiveStream(stream).receive_exactly(len(QUESTION))
        print("echo:", echo.decode())


async def main(*arguments: str) -> None:
    """Get a stream one way or another, and talk over it."""
    role, how, *ends = arguments
    talk = answer if role == "answer" else ask
    match how, ends:
        case "listen", [port]:
            listener = await anyio.create_tcp_listener(local_port=int(port))
            await listener.serve(talk)
        case "connect", [host, port]:
            await talk(await anyio.connect_tcp(host, int(port)))
        case "punch", [remote, local]:
            await talk(await simopen.connect_peer(remote, local=local, timeout=10))
        case "meet", [url, path]:
            invite = await anyio.Path(path).read_text()
            await talk(await simopen.connect_peer(rendezvous=url, secret=invite, timeout=10))
        case _:
            sys.exit(__doc__)


if len(sys.argv) < 4:
    sys.exit(__doc__)
try:
    anyio.run(main, *sys.argv[1:])
except (simopen.SimopenError, OSError) as error:
    sys.exit(f"no connection: {error}")
except (anyio.BrokenResourceError, anyio.IncompleteRead):
    sys.exit("the connection broke")

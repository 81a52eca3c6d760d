"""An echo program that does not care how its stream came about.

    python echo.py answer listen 9000
    python echo.py ask connect 203.0.113.3 9000

An ordinary server and its client. And where neither can listen, both connect:

    python echo.py answer punch 203.0.113.1:40000 0.0.0.0:40000
    python echo.py ask punch 203.0.113.2:40000 0.0.0.0:40000
"""

import sys

import anyio
from anyio.abc import ByteStream

import simopen


async def answer(stream: ByteStream) -> None:
    """Send back whatever comes, until the other side has finished."""
    async with stream:
        async for data in stream:
            await stream.send(data)


async def ask(stream: ByteStream) -> None:
    """Say something and print the echo."""
    async with stream:
        await stream.send(b"is anybody there?")
        print("echo:", (await stream.receive()).decode())


async def main(*arguments: str) -> None:
    """Get a stream one way or the other, and talk over it."""
    role, how, *ends = arguments
    talk = answer if role == "answer" else ask
    if how == "listen":
        listener = await anyio.create_tcp_listener(local_port=int(ends[0]))
        await listener.serve(talk)
    elif how == "connect":
        await talk(await anyio.connect_tcp(ends[0], int(ends[1])))
    else:
        await talk(await simopen.connect_peer(ends[0], local=ends[1], timeout=10))


try:
    anyio.run(main, *sys.argv[1:])
except OSError as error:
    sys.exit(f"no connection: {error}")
except simopen.PeerConnectError as error:
    sys.exit(str(error))

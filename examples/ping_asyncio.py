"""How long it takes to the peer and back, with asyncio's reader and writer.

The same on both hosts, with the same invite in a file, which
(umask 077; simopen invite > tea.invite) makes:

    python ping_asyncio.py tcp://coord.example:7337 tea.invite

One of the two may as well be ping_trio.py: what they say to each other is the same.

    10.1.0.2:38429 <-> 203.0.113.2:35093, IPv4, 162.7 ms, of 2 pairs, 2 SYNs, 0 refusals, encrypted
    40.4 ms
    40.3 ms
    40.5 ms
"""

import asyncio
import sys
import time
from pathlib import Path

import simopen
import simopen.asyncio

TIMES = 3
PAUSE = 0.5  # seconds between two pings
SILENCE = 10  # seconds without an answer: a host that is switched off says no goodbye


async def ping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> float:
    """Ask, answer what the other has asked, and wait for its answer; return the seconds."""
    began = time.perf_counter()
    async with asyncio.timeout(SILENCE):
        writer.write(b"ping\n")
        await writer.drain()  # waits while the peer takes nothing
        await reader.readuntil(b"\n")
        writer.write(b"pong\n")
        await writer.drain()
        await reader.readuntil(b"\n")
    return time.perf_counter() - began


async def main(url: str, invite: str) -> None:
    """Connect and ping."""
    reader, writer = await simopen.asyncio.open_peer(rendezvous=url, secret=invite, timeout=60)
    try:
        print(writer.get_extra_info("report"))
        for _ in range(TIMES):
            print(f"{1000 * await ping(reader, writer):.1f} ms", flush=True)
            await asyncio.sleep(PAUSE)
    finally:
        writer.close()
        await writer.wait_closed()


if len(sys.argv) != 3:
    sys.exit(__doc__)
try:
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_text()))
except (simopen.SimopenError, FileNotFoundError) as error:
    sys.exit(str(error))
except (EOFError, ConnectionError, TimeoutError) as error:
    sys.exit(f"the connection broke: {error!r}")

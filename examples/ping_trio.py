"""How long it takes to the peer and back, on trio.

The same on both hosts, with the same invite in a file, which
(umask 077; simopen invite > tea.invite) makes:

    python ping_trio.py tcp://coord.example:7337 tea.invite

One of the two may as well be ping_asyncio.py: what they say to each other is the same.

    10.1.0.2:38429 <-> 203.0.113.2:35093, IPv4, 162.7 ms, of 2 pairs, 2 SYNs, 0 refusals, encrypted
    40.4 ms
    40.3 ms
    40.5 ms

simopen needs no anyio.run: it finds trio running, and anyio's helpers do as well.
"""

import sys
import time
from pathlib import Path

import anyio
import trio
from anyio.streams.buffered import BufferedByteStream

import simopen

TIMES = 3
PAUSE = 0.5  # seconds between two pings
SILENCE = 10  # seconds without an answer: a host that is switched off says no goodbye
LINE = 64  # bytes of a line at most


async def ping(lines: BufferedByteStream) -> float:
    """Ask, answer what the other has asked, and wait for its answer; return the seconds."""
    began = time.perf_counter()
    with trio.fail_after(SILENCE):
        await lines.send(b"ping\n")
        await lines.receive_until(b"\n", LINE)
        await lines.send(b"pong\n")
        await lines.receive_until(b"\n", LINE)
    return time.perf_counter() - began


async def main(url: str, invite: str) -> None:
    """Connect and ping."""
    async with await simopen.connect_peer(rendezvous=url, secret=invite, timeout=60) as stream:
        print(stream.report)
        lines = BufferedByteStream(stream)
        for _ in range(TIMES):
            print(f"{1000 * await ping(lines):.1f} ms", flush=True)
            await trio.sleep(PAUSE)


if len(sys.argv) != 3:
    sys.exit(__doc__)
try:
    trio.run(main, sys.argv[1], Path(sys.argv[2]).read_text())
except (simopen.SimopenError, FileNotFoundError) as error:
    sys.exit(str(error))
except (anyio.BrokenResourceError, anyio.IncompleteRead, trio.TooSlowError) as error:
    sys.exit(f"the connection broke: {error!r}")

"""A chat between two terminals, on two hosts of which neither listens.

The same on both, with the same invite in a file, which
(umask 077; simopen invite > tea.invite) makes:

    python chat.py tcp://coord.example:7337 tea.invite

What you type goes to the other at Enter; what the other types has a mark before it:

    (waiting for the other)
    (10.1.0.2:38429 <-> 203.0.113.2:35093, IPv4, 62.7 ms, of 2 pairs, 2 SYNs, 0 refusals, encrypted)
    is the kettle on?
    < it is
    (the other has left)

Ctrl-D leaves: what is on its way to you still arrives.
"""

import contextlib
import os
import sys
from pathlib import Path

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

import simopen

LONGEST = 65_536  # bytes of a line: a peer that never ends one must not fill the memory


async def say(stream: simopen.PeerStream) -> None:
    """Send what is typed, and half-close at its end."""
    with contextlib.suppress(anyio.BrokenResourceError):  # show() tells of it
        while True:
            # Not in a thread: one that waits for a key could not be cancelled.
            await anyio.wait_readable(sys.stdin)
            if not (typed := os.read(sys.stdin.fileno(), LONGEST)):
                break
            await stream.send(typed)
        await stream.send_eof()


async def show(stream: simopen.PeerStream) -> str:
    """Print what the peer types; return why it has ended."""
    # A receive brings as many bytes as there are, and not a line: that is for us to find.
    lines = BufferedByteReceiveStream(stream)
    try:
        while True:
            print("<", printable(await lines.receive_until(b"\n", LONGEST)), flush=True)
    except anyio.IncompleteRead:
        return "the other has left"
    except anyio.DelimiterNotFound:
        return "the other sends something else than a chat"
    except anyio.BrokenResourceError:
        return "the connection broke"


def printable(line: bytes) -> str:
    """Text without what would steer the terminal, which is ours and not the peer's."""
    return "".join(c if c.isprintable() else "\ufffd" for c in line.decode(errors="replace"))


async def main(url: str, invite: str) -> None:
    """Meet the peer, and talk until one of the two leaves."""
    print("(waiting for the other)", flush=True)
    async with await simopen.connect_peer(rendezvous=url, secret=invite) as stream:
        print(f"({stream.report})", flush=True)
        async with anyio.create_task_group() as group:
            group.start_soon(say, stream)
            why = await show(stream)
            group.cancel_scope.cancel()
    print(f"({why})")


if len(sys.argv) != 3:
    sys.exit(__doc__)
try:
    anyio.run(main, sys.argv[1], Path(sys.argv[2]).read_text())
except (simopen.SimopenError, OSError) as error:
    sys.exit(str(error))
except KeyboardInterrupt:
    sys.exit(130)

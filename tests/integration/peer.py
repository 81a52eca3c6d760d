"""One side of a meeting, as a program: connects, exchanges bytes, closes, and again.

Writes one JSON line for each connection: seconds it took, attempts, refusals.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import anyio

import simopen

LOOPS: dict[str, dict[str, Any]] = {
    "asyncio": {"backend": "asyncio"},
    "uvloop": {"backend": "asyncio", "backend_options": {"use_uvloop": True}},
    "trio": {"backend": "trio"},
}


async def run(args: argparse.Namespace) -> None:
    """Meet ``args.count`` times."""
    if args.at:
        await anyio.sleep(args.at - time.monotonic())
    for number in range(args.count):
        began = time.monotonic()
        async with await simopen.connect_peer(
            args.remote, local=args.local, timeout=args.timeout
        ) as stream:
            line = {
                "began": began,
                "connected": time.monotonic(),
                "elapsed": stream.report.elapsed,
                "attempts": stream.report.attempts,
                "refusals": stream.report.refusals,
                "refreshes": stream.report.refreshes,
            }
            await stream.send(f"{number:08}".encode())
            got = b""
            while len(got) < 8:
                got += await stream.receive()
            if int(got) != number:
                sys.exit(f"meeting {number} got the bytes of meeting {int(got)}")
            if args.close == "last":
                try:
                    await stream.receive()
                    sys.exit("bytes after the last")
                except anyio.EndOfStream:
                    pass
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("remote")
    parser.add_argument("local")
    parser.add_argument("--loop", choices=LOOPS, default="asyncio")
    parser.add_argument("--at", type=float, default=0.0, help="time.monotonic() to begin at")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--close", choices=["first", "last"], default="first")
    parser.add_argument("--timeout", type=float, default=20.0)
    args = parser.parse_args()
    anyio.run(run, args, **LOOPS[args.loop])


if __name__ == "__main__":
    main()

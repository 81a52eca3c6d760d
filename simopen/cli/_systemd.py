"""What systemd is told, where it has started us: ready, alive, stopping (sd_notify(3)).

Theory of operation. A service of ``Type=notify`` has a datagram socket in ``NOTIFY_SOCKET`` and,
with ``WatchdogSec=``, a time in ``WATCHDOG_USEC`` within which it has to say that it is alive. The
one who says so is a task of the event loop, so a loop that hangs is restarted by systemd. Started
by anybody else there is neither, and nothing is said.
"""

from __future__ import annotations

import contextlib
import os
import socket

import anyio

READY = b"READY=1"
ALIVE = b"WATCHDOG=1"
STOPPING = b"STOPPING=1"

BEATS = 3  # in the time that the watchdog allows


def notify(state: bytes) -> None:
    """Tell systemd, if it wants to know; where it cannot be told, it draws its own conclusions."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    name = f"\0{path[1:]}" if path.startswith("@") else path
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto(state, name)


async def keep_alive() -> None:
    """Say that the loop turns, for ever, where there is a watchdog."""
    allowed = os.environ.get("WATCHDOG_USEC", "")
    if not allowed.isdecimal():
        return
    while True:
        notify(ALIVE)
        await anyio.sleep(int(allowed) / 1e6 / BEATS)

"""What systemd is told, where it has started us: ready, alive, stopping (sd_notify(3)).

Theory of operation. A service of ``Type=notify`` has a datagram socket in ``NOTIFY_SOCKET`` and,
with ``WatchdogSec=``, a time in ``WATCHDOG_USEC`` within which it has to say that it is alive. The
one who says so is a task of the event loop, so a loop that hangs is restarted by systemd. Started
by anybody else there is neither, and nothing is said.

The socket is opened once: where there is no descriptor left, a coordinator that only cannot accept
would else be taken for one that hangs.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Self

import anyio

READY = b"READY=1"
ALIVE = b"WATCHDOG=1"
STOPPING = b"STOPPING=1"

BEATS = 3  # in the time that the watchdog allows


class Manager:
    """Who has started us; a context manager, whose socket is open within.

    Where it cannot be told, it draws its own conclusions.
    """

    def __init__(self) -> None:
        path = os.environ.get("NOTIFY_SOCKET", "")
        self._name = f"\0{path[1:]}" if path.startswith("@") else path
        self._sock: socket.socket | None = None

    def __enter__(self) -> Self:
        """Open the socket, if there is anybody to tell."""
        if self._name:
            with contextlib.suppress(OSError):
                self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._sock.setblocking(False)
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        if self._sock is not None:
            self._sock.close()

    def notify(self, state: bytes) -> None:
        """Tell it, if it wants to know."""
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.sendto(state, self._name)

    async def keep_alive(self) -> None:
        """Say that the loop turns, for ever, where there is a watchdog."""
        allowed = os.environ.get("WATCHDOG_USEC", "")
        if not allowed.isdecimal() or not int(allowed):
            return
        while True:
            self.notify(ALIVE)
            await anyio.sleep(int(allowed) / 1e6 / BEATS)

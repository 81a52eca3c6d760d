"""Which local ports the kernel gives to a socket that nobody has bound: Linux's two settings.

A best effort for people: where the files are missing (other systems, a locked-down container)
nothing is known, and the words that are made of it say less.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

_SETTINGS = Path("/proc/sys/net/ipv4")  # they count for IPv6 as well


class LocalPorts(NamedTuple):
    """The ports of this network namespace.

    Attributes:
        first: The lowest that is given (``net.ipv4.ip_local_port_range``).
        last: The highest.
        reserved: Ranges in it that are left out, first and last of each
            (``net.ipv4.ip_local_reserved_ports``).
    """

    first: int
    last: int
    reserved: tuple[tuple[int, int], ...] = ()

    def gives(self, port: int) -> bool:
        """Whether a socket that is not bound can be given this port."""
        if any(first <= port <= last for first, last in self.reserved):
            return False
        return self.first <= port <= self.last


def read_local_ports() -> LocalPorts | None:
    """The settings now; None where the system does not tell."""
    try:
        first, last = map(int, (_SETTINGS / "ip_local_port_range").read_text().split())
        reserved = (_SETTINGS / "ip_local_reserved_ports").read_text().strip()
    except (OSError, ValueError):
        return None
    return LocalPorts(first, last, tuple(map(_range, reserved.split(",") if reserved else ())))


def _range(text: str) -> tuple[int, int]:
    """``8080`` and ``9148-9150`` as the kernel writes them."""
    first, _, last = text.partition("-")
    return int(first), int(last or first)

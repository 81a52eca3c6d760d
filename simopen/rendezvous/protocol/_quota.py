"""How many there are of each address."""

from __future__ import annotations

from ipaddress import IPv6Address

_SUBNET = 8  # bytes: the /64 of an IPv6 address


def counted_address(host: str) -> str:
    """What is one address to the limits: an IPv4 address, or an IPv6 /64, one customer's.

    Args:
        host: A numeric address as a kernel writes it; a zone is no part of it.
    """
    if ":" not in host:
        return host
    return IPv6Address(host.partition("%")[0]).packed[:_SUBNET].hex()


class Quota:
    """So many at once for each address; one that has none takes no room.

    Attributes:
        total: Of all addresses.
    """

    __slots__ = ("_counts", "_limit", "total")

    def __init__(self, limit: int) -> None:
        """Begin with none.

        Args:
            limit: For each address.
        """
        self.total: int = 0
        self._limit = limit
        self._counts: dict[str, int] = {}

    def is_full(self, address: str) -> bool:
        """Whether there is no room for one more."""
        return self._counts.get(address, 0) >= self._limit

    def take(self, address: str) -> None:
        """Count one more."""
        self._counts[address] = self._counts.get(address, 0) + 1
        self.total += 1

    def release(self, address: str) -> None:
        """Count one less."""
        self._counts[address] -= 1
        if not self._counts[address]:
            del self._counts[address]
        self.total -= 1

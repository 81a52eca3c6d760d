"""How many ICMP errors one address is sent: a bucket of tokens, as in Linux.

An address that was not heard of may have `ICMP_BURST` errors at once. From then on each costs a
token, and one token comes back each interval.

Invariant: at most `MAX_ADDRESSES` are remembered; the one heard of longest ago is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict

ICMP_BURST = 6
"""Errors at once (Linux's XRLIM_BURST_FACTOR; measured too)."""

MAX_ADDRESSES = 1024
"""Towards so many at a time the pace of errors is kept."""


class IcmpLimit:
    """The limit of one gateway.

    Args:
        interval: Seconds from one error to the next; None: there is no limit.
    """

    def __init__(self, interval: float | None) -> None:
        self._interval = interval
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()  # tokens, and when

    def __len__(self) -> int:
        return len(self._buckets)

    def allows(self, address: bytes, now: float) -> bool:
        """Whether an address may be sent one more error at `now`, in seconds; if so, it counts."""
        if self._interval is None:
            return True
        tokens, at = self._buckets.pop(address, (float(ICMP_BURST), now))
        tokens = min(ICMP_BURST, tokens + (now - at) / self._interval)
        allowed = tokens >= 1
        self._buckets[address] = (tokens - allowed, now)
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        return allowed

"""Who may connect: so many at once, so many a second, for each address. Pure.

Theory of operation. An address is an IPv4 address or an IPv6 /64, which is what one customer has.
Open connections are counted for as long as they are open; the rate of new ones is remembered for
the addresses heard of last, at most ``limits.addresses`` of them. So a flood from many addresses
makes the table forget rates, not grow, and no count is ever forgotten.

Invariant: every :meth:`Admission.admit` that returns True is followed by one
:meth:`Admission.release`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from .protocol import Allowance, CoordinatorLimits, Limit, Quota, counted_address


class Admission:
    """Counts the connections of each address.

    Args:
        limits: The coordinator's.
        on_hit: Told of every limit that is hit here.
    """

    def __init__(self, limits: CoordinatorLimits, on_hit: Callable[[Limit], None]) -> None:
        self._limits = limits
        self._on_hit = on_hit
        self._open = Quota(limits.connections_per_address)
        self._rates: OrderedDict[str, Allowance] = OrderedDict()

    def admit(self, host: str, now: float) -> bool:
        """Count a new connection from a numeric address, or refuse it.

        Args:
            host: The client's address.
            now: Seconds on the caller's monotonic clock.
        """
        address = counted_address(host)
        if self._open.is_full(address):
            self._on_hit(Limit.CONNECTIONS_PER_ADDRESS)
            return False
        if not self._rate(address, now).take(now):
            self._on_hit(Limit.CONNECTION_RATE)
            return False
        self._open.take(address)
        return True

    def release(self, host: str) -> None:
        """Forget a connection that was admitted."""
        self._open.release(counted_address(host))

    def _rate(self, address: str, now: float) -> Allowance:
        if (rate := self._rates.get(address)) is not None:
            self._rates.move_to_end(address)
            return rate
        limits = self._limits
        rate = Allowance(rate=limits.connection_rate, burst=limits.connection_burst, now=now)
        self._rates[address] = rate
        if len(self._rates) > limits.addresses:
            self._rates.popitem(last=False)
            self._on_hit(Limit.ADDRESSES)
        return rate

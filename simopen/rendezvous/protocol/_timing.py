"""When two members fire, and deadlines that come in the order they were set."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

from ._limits import LONGEST_DELAY

if TYPE_CHECKING:
    from collections.abc import Hashable

K = TypeVar("K", bound="Hashable")


def firing_delay(own: float | None, peer: float | None) -> float:
    """Seconds that one member waits with its first SYN, so that both fire at the same moment.

    Both introductions leave at once and each arrives after half its member's round trip; the
    nearer member waits for the rest of the farther one's half.

    Args:
        own: Seconds; the member's round trip to the coordinator, None where it is not known.
        peer: Seconds; the other's.
    """
    if own is None or peer is None:
        return 0.0
    return clamped_delay((max(own, peer) - own) / 2)


def clamped_delay(delay: float) -> float:
    """A delay within what a coordinator may ask for."""
    return min(max(delay, 0.0), LONGEST_DELAY)


class Timeouts(Generic[K]):
    """Deadlines that all lie equally far ahead when they are set.

    So they fall due in the order they were set, and the next one is the first: no heap, and no
    more entries than keys. The caller's clock must be monotonic.
    """

    def __init__(self, duration: float) -> None:
        """Make one without deadlines.

        Args:
            duration: Seconds from setting to falling due.
        """
        self._duration = duration
        self._due: OrderedDict[K, float] = OrderedDict()  # a dict finds its first slowly

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, key: K) -> bool:
        return key in self._due

    def set(self, key: K, now: float) -> None:
        """Set a key's deadline, anew where it has one."""
        self._due.pop(key, None)
        self._due[key] = now + self._duration

    def discard(self, key: K) -> None:
        """Forget a key's deadline, if it has one."""
        self._due.pop(key, None)

    def next_deadline(self) -> float:
        """When the first falls due; ``math.inf`` for never."""
        return next(iter(self._due.values()), math.inf)

    def pop_due(self, now: float) -> list[K]:
        """Take out the keys whose deadlines have come."""
        due = []
        for key, when in self._due.items():
            if when > now:
                break
            due.append(key)
        for key in due:
            del self._due[key]
        return due

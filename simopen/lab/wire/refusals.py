"""What answers a SYN that nothing inside has asked for.

`refuse` gives the answer that is due at once. Where the answer has to wait (RFC 5382 §4.3, REQ-4),
it is kept until `pop_due`, unless its flow is given a session meanwhile (`cancel`), which is what a
SYN that goes the other way does. Every flow waits for one answer only, the one to its first SYN;
all wait equally long, so the first is due first.

Invariant: at most `MAX_PENDING` wait. SYNs beyond those get no answer.
"""

from __future__ import annotations

from typing import NamedTuple

from simopen.lab.nat import UNSOLICITED_SYN_PATIENCE_S, Unsolicited
from simopen.lab.wire import answers
from simopen.lab.wire.headers import Packet
from simopen.lab.wire.limit import IcmpLimit

MAX_PENDING = 1024
"""How many SYNs may wait for their answer."""

_ROUNDING_S = 1e-6  # how much too early a clock of nanoseconds, told in seconds, may come back


class _Pending(NamedTuple):
    due: float
    answer: bytes


class Refusals:
    """The refusals of one gateway.

    Args:
        manner: How it refuses.
        own: Its own address, by IP version.
        limit: How many ICMP errors an address is sent at once.
    """

    def __init__(
        self, manner: Unsolicited, own: dict[int, bytes], limit: IcmpLimit | None = None
    ) -> None:
        self._manner = manner
        self._limit = IcmpLimit(None) if limit is None else limit
        self._own = own
        self._pending: dict[bytes, _Pending] = {}  # by the SYN's key, in order of time

    def __len__(self) -> int:
        return len(self._pending)

    def refuse(self, syn: Packet, now: float) -> bytes | None:
        """Return the answer to a SYN from outside, where there is one already."""
        if self._manner is Unsolicited.RST:
            return answers.reset(syn)
        if self._manner is Unsolicited.SILENCE:
            return None
        error = answers.port_unreachable(syn, self._own[syn.version])
        if self._manner is Unsolicited.ICMP:
            return error if self._limit.allows(syn.flow.source[:-2], now) else None
        if len(self._pending) < MAX_PENDING:
            due = now + UNSOLICITED_SYN_PATIENCE_S
            self._pending.setdefault(syn.flow.key, _Pending(due, error))
        return None

    def cancel(self, key: bytes) -> None:
        """Owe no answer to a flow from outside any more."""
        self._pending.pop(key, None)

    def next_deadline(self) -> float | None:
        """Return when the next answer is due, in seconds; None when none waits."""
        return next((pending.due for pending in self._pending.values()), None)

    def pop_due(self, now: float) -> list[bytes]:
        """Take out the answers that are due at `now`."""
        due = []
        while (deadline := self.next_deadline()) is not None and deadline <= now + _ROUNDING_S:
            key = next(iter(self._pending))
            due.append(self._pending.pop(key).answer)
        return due

"""When Linux sends a SYN again, and when it gives up. Arithmetic, nothing else.

Theory of operation. The retransmission timer starts at one second (RFC 6298 §2.1). The first
``tcp_syn_linear_timeouts`` times that it runs out it is not doubled, from then on it is, up to
``tcp_rto_max_ms``. It gives up where it runs out after ``tcp_syn_retries`` plus
``tcp_syn_linear_timeouts`` retransmissions, or later than ``tcp_syn_retries`` doublings from one
second on would have taken, whichever comes first (``tcp_retransmit_timer``, ``tcp_write_timeout``
in net/ipv4/tcp_timer.c).

The kernel's timers run out up to an eighth late, never early: what is here is the earliest.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

INITIAL_RTO = 1.0  # seconds; TCP_TIMEOUT_INIT
LONGEST_RTO = 120.0  # seconds; tcp_rto_max_ms, where the kernel has no such setting


@dataclass(frozen=True, slots=True)
class SynSchedule:
    """What one ``connect()`` does while nobody answers.

    Attributes:
        retransmissions: When the SYN leaves again, in seconds from the first.
        gives_up: Seconds from the first SYN to ``ETIMEDOUT``.
    """

    retransmissions: tuple[float, ...]
    gives_up: float

    def lost(self, took: float) -> int:
        """How many SYNs, or their answers, were lost in a ``connect()`` that took so long.

        Args:
            took: Seconds to the connection or refusal, less than :attr:`gives_up`. Right where the
                round trip is shorter than one second.
        """
        return bisect_right(self.retransmissions, took)


def syn_schedule(
    retries: int, linear_timeouts: int, *, longest_rto: float = LONGEST_RTO
) -> SynSchedule:
    """The schedule by the kernel's settings.

    Args:
        retries: ``tcp_syn_retries``.
        linear_timeouts: ``tcp_syn_linear_timeouts``; 0 for a kernel without it (before 6.5).
        longest_rto: Seconds; ``tcp_rto_max_ms`` of a kernel that has it.
    """
    times: list[float] = []
    rto, now = INITIAL_RTO, INITIAL_RTO
    while len(times) < retries + linear_timeouts and now < _limit(retries, longest_rto):
        times.append(now)
        if len(times) > linear_timeouts:
            rto = min(2 * rto, longest_rto)
        now += rto
    return SynSchedule(tuple(times), now)


def _limit(retries: int, longest_rto: float) -> float:
    """Seconds that so many doublings take, the last wait included (``tcp_model_timeout``)."""
    doublings = min(retries, int(math.log2(longest_rto / INITIAL_RTO)))
    doubled: float = (2.0 ** (doublings + 1) - 1) * INITIAL_RTO
    return doubled + (retries - doublings) * longest_rto

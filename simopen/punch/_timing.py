"""How long to leave a SYN alone, and how much to jitter a refire. Arithmetic, nothing else."""

from __future__ import annotations

from ._options import PunchOptions


def refresh_wait(
    options: PunchOptions, *, unanswered: int, round_trip: float | None, chance: float
) -> float:
    """Seconds until an unanswered SYN should be replaced by a fresh one.

    Args:
        options: The engine's numbers.
        unanswered: How many SYNs before it, in a row, nobody has answered.
        round_trip: Seconds, if a refusal has shown one.
        chance: Uniform in [0, 1).
    """
    if round_trip is None:
        base = options.refresh_first
    else:
        base = max(options.refresh_known, options.refresh_round_trips * round_trip)
    # The exponent is bounded so that a punch of many hours does not overflow.
    grown = base * options.refresh_growth ** min(unanswered, 100)
    wait = min(grown, max(options.refresh_longest, base))
    return wait * (1 + options.refresh_spread * (2 * chance - 1))


def refire_wait(options: PunchOptions, *, round_trip: float, chance: float) -> float:
    """Seconds to wait after a refusal before the next SYN; mostly none.

    Args:
        options: The engine's numbers.
        round_trip: Seconds from the refused SYN to its refusal.
        chance: Uniform in [0, 1).
    """
    if chance >= options.jitter_share or round_trip < options.jitter_shortest:
        return 0.0
    bound = min(
        max(options.jitter_round_trips * round_trip, options.jitter_shortest),
        options.jitter_longest,
    )
    return chance / options.jitter_share * bound

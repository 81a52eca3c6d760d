"""How long to leave a SYN alone, and how much to jitter a refire. Arithmetic, nothing else."""

from __future__ import annotations

from ._options import PunchOptions


def refresh_wait(
    options: PunchOptions, *, refreshes: int, round_trip: float | None, chance: float
) -> float:
    """Seconds until an unanswered SYN should be replaced by a fresh one.

    Args:
        options: The engine's numbers.
        refreshes: How many SYNs in a row have gone unanswered so far.
        round_trip: Seconds, if a refusal has shown one.
        chance: Uniform in [0, 1).
    """
    if round_trip is None:
        # The exponent is bounded so that a punch of many hours does not overflow.
        grown = options.refresh_first * options.refresh_growth ** min(refreshes, 100)
        wait = max(min(grown, options.refresh_longest), options.refresh_first)
    else:
        wait = max(options.refresh_first, options.refresh_round_trips * round_trip)
    return wait * (1 + options.refresh_spread * (2 * chance - 1))


def refire_wait(options: PunchOptions, *, refusals: int, round_trip: float, chance: float) -> float:
    """Seconds to wait after a refusal before the next SYN; mostly none.

    Args:
        options: The engine's numbers.
        refusals: How many there have been, this one included.
        round_trip: Seconds from the refused SYN to its refusal.
        chance: Uniform in [0, 1).
    """
    since_steady = refusals - options.steady_refusals
    if since_steady <= 0 or since_steady % 2 == 0 or round_trip < options.jitter_shortest:
        return 0.0
    bound = min(
        max(options.jitter_round_trips * round_trip, options.jitter_shortest),
        options.jitter_longest,
    )
    return chance * bound

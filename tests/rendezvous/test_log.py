"""How often the same thing is complained of."""

from __future__ import annotations

from simopen.rendezvous._log import Throttle


def test_once_in_a_while() -> None:
    """The first time and then once an interval, for each thing apart."""
    throttle = Throttle(60)
    said = [
        (key, now) for now in (0, 1, 59, 60, 119, 120) for key in "ab" if throttle.allows(key, now)
    ]
    assert said == [(key, now) for now in (0, 60, 120) for key in "ab"]

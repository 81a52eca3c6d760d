"""How many SYNs may leave, and when."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.virtual import overdraft
from simopen.punch import PunchOptions, SynBudget

DEFAULTS = PunchOptions()
SLACK = 1e-6  # SYNs; what floating-point time costs

options_of_any_kind = st.builds(
    PunchOptions,
    free_period=st.floats(0, 1),
    syn_rate=st.floats(1, 2000),
    beat=st.floats(0.01, 2),
    burst_size=st.integers(1, 30),
    burst_time=st.just(0.0) | st.floats(0, 2),
)
PACED = PunchOptions(free_period=0)
BEAT = 5 * PACED.beat  # a moment at which there is one
BETWEEN = 5.5 * PACED.beat  # a moment at which there is none
waits = st.just(0.0) | st.floats(0, 0.01) | st.floats(0, 2)
chances = st.floats(min_value=0, max_value=1, exclude_max=True)


def fire_until_held(budget: SynBudget, now: float) -> int:
    """Spend at one moment until the budget says wait."""
    spent = 0
    while budget.earliest(now, 0.0) <= now:
        budget.spend(now)
        spent += 1
    return spent


def departures(budget: SynBudget, until: float, refused_after: float = 1e-5) -> list[float]:
    """When SYNs leave where refusals take microseconds, from zero on."""
    chances_of_rest = random.Random(1)
    now, left = 0.0, []
    while now < until:
        budget.spend(now)
        left.append(now)
        now = budget.earliest(now + refused_after, chances_of_rest.random())
    return left


@settings(deadline=None, max_examples=300)
@given(
    options=options_of_any_kind,
    steps=st.lists(st.tuples(waits, chances, waits), min_size=1, max_size=120),
)
def test_no_window_holds_more_than_rate_and_burst(
    options: PunchOptions, steps: list[tuple[float, float, float]]
) -> None:
    """However refusals come: no window of t seconds has more than t * rate + two bursts."""
    budget, now, left = SynBudget(options), 0.0, []
    for refused_after, chance, late_by in steps:
        now = budget.earliest(now + refused_after, chance) + late_by
        budget.spend(now)
        left.append(now)
    assert overdraft(left, options) <= SLACK


@settings(deadline=None, max_examples=20)
@given(chance=chances, refused_after=st.floats(1e-6, 1e-3))
def test_instant_refusals_do_not_exceed_the_rate(chance: float, refused_after: float) -> None:
    """Where refusals take microseconds, seconds hold no more than the rate allows."""
    budget, now, left = SynBudget(DEFAULTS), 0.0, []
    while now < DEFAULTS.free_period + 1:
        budget.spend(now)
        left.append(now)
        now = budget.earliest(now + refused_after, chance)
    paced = [at for at in left if at >= DEFAULTS.free_period]
    assert overdraft(left, DEFAULTS) <= SLACK
    assert 100 <= len(paced) <= DEFAULTS.syn_rate + 2 * DEFAULTS.burst_size


@settings(deadline=None, max_examples=50)
@given(
    moments=st.lists(st.floats(0, DEFAULTS.free_period, exclude_max=True), max_size=500),
    chance=chances,
)
def test_free_period_is_free(moments: list[float], chance: float) -> None:
    """Within the free period nothing is held back, however much has left."""
    budget = SynBudget(DEFAULTS)
    for now in [0.0, *sorted(moments)]:
        assert budget.earliest(now, chance) == now
        budget.spend(now)


def test_free_period_costs_nothing_later() -> None:
    """What left within the free period is not paid for after it."""
    budget = SynBudget(DEFAULTS)
    for _ in range(1000):
        budget.spend(7.01)
    assert budget.earliest(7.6, 0.9) == 7.6


def test_free_period_begins_with_the_first_syn() -> None:
    """Not the budget's making but the first SYN begins the free period."""
    budget = SynBudget(DEFAULTS)
    assert budget.earliest(1000.0, 0.9) == 1000.0
    budget.spend(1000.0)
    for now in (1000.0, 1000.2, 1000.499):
        budget.spend(now)
        assert budget.earliest(now, 0.9) == now


def test_between_beats_singles_keep_their_distance() -> None:
    """One SYN may leave; the next waits its distance and, by chance, up to half of it more."""
    budget = SynBudget(PACED)
    assert fire_until_held(budget, BETWEEN) == 1
    distance = 1 / (PACED.syn_rate - PACED.burst_size / PACED.beat)
    assert budget.earliest(BETWEEN, 0.0) == pytest.approx(BETWEEN + distance)
    assert budget.earliest(BETWEEN, 0.99) == pytest.approx(BETWEEN + 1.495 * distance)
    assert budget.earliest(BETWEEN + distance, 0.99) == BETWEEN + distance


def test_a_beat_lasts_by_number() -> None:
    """At a beat a burst may leave back to back, and no more of it until the next."""
    budget = SynBudget(replace(PACED, burst_time=1))
    budget.spend(BEAT - 0.0001)  # a single, so that none is due
    assert fire_until_held(budget, BEAT) == PACED.burst_size
    assert budget.earliest(BEAT + 0.001, 0.0) > BEAT + 0.001


def test_a_beat_lasts_by_time() -> None:
    """After the burst time a beat is over, however little has left."""
    budget = SynBudget(PACED)
    budget.spend(BEAT - 0.0001)
    budget.spend(BEAT)
    assert budget.earliest(BEAT + 0.0009, 0.0) == BEAT + 0.0009
    assert budget.earliest(BEAT + 0.0011, 0.0) > BEAT + 0.0011


@pytest.mark.parametrize(("late", "caught"), [(0.0049, True), (0.0051, False)])
def test_who_wakes_late_has_missed_the_beat(late: float, caught: bool) -> None:  # noqa: FBT001 - a case
    """A few milliseconds late is in time for the beat, later is not."""
    budget = SynBudget(PACED)
    budget.spend(BEAT - 0.0001)
    assert (budget.earliest(BEAT + late, 0.0) == BEAT + late) is caught


@given(wall_offset=st.floats(-1e9, 2e9))
@settings(deadline=None, max_examples=50)
def test_two_hosts_share_the_beat(wall_offset: float) -> None:
    """Whatever their clocks show, both burst at the same moments, or just in time for them."""
    left = departures(SynBudget(PACED, wall_offset=wall_offset), 1.0)
    bursts = [at for at, after in itertools.pairwise(left) if after - at < 1e-4]
    assert bursts
    for at in bursts:
        beat = wall_offset % PACED.beat + at
        assert abs(beat - round(beat / PACED.beat) * PACED.beat) < 0.007


def test_a_slow_rate_has_no_beats() -> None:
    """Where a quarter of the rate is less than one SYN a beat, all are singles."""
    left = departures(SynBudget(replace(PACED, syn_rate=5)), 10.0)
    assert min(after - at for at, after in itertools.pairwise(left)) >= 0.2 - SLACK


@pytest.mark.parametrize("lanes", [2, 4, 16])
def test_lanes_share_the_rate(lanes: int) -> None:
    """All lanes together send no more than one lane alone would."""
    budgets = [SynBudget(PACED, lanes=lanes, leads=number == 0) for number in range(lanes)]
    each = [departures(budget, 3.0) for budget in budgets]
    left = sorted(at for one in each for at in one)
    burst = max(PACED.burst_size, lanes)  # every lane begins with a SYN
    assert overdraft(left, replace(PACED, burst_size=burst)) <= SLACK
    assert len(left) >= PACED.syn_rate


def test_slow_refusals_are_not_held_back() -> None:
    """A path that refuses no faster than the rate never waits."""
    budget = SynBudget(DEFAULTS)
    for number in range(1000):
        now = number * 0.02
        assert budget.earliest(now, 0.9) == now
        budget.spend(now)


def test_asking_changes_nothing() -> None:
    """Any number of questions leaves the answers the same."""
    budget = SynBudget(PunchOptions(free_period=0))
    fire_until_held(budget, 0.0)
    answers = {budget.earliest(0.001, 0.5) for _ in range(10)}
    assert answers == {budget.earliest(0.001, 0.5)}


@settings(deadline=None, max_examples=100)
@given(most=st.integers(1, 400), refused_after=st.floats(1e-6, 0.1), chance=chances)
def test_no_more_than_all_it_may_send(most: int, refused_after: float, chance: float) -> None:
    """However fast refusals come, a limited lane stops; half of its SYNs at most leave freely."""
    budget, now, left = SynBudget(DEFAULTS, most=most), 0.0, []
    while now < math.inf:
        budget.spend(now)
        left.append(now)
        assert len(left) <= most
        now = budget.earliest(now + refused_after, chance)
    assert len(left) == most
    paced = left[max(1, most // 2) :]
    assert overdraft(paced, replace(DEFAULTS, free_period=0)) <= SLACK


def test_a_syn_that_did_not_leave_is_not_counted() -> None:
    """A refunded SYN may be sent again, also the last one."""
    budget = SynBudget(DEFAULTS, most=2)
    for _ in range(5):
        budget.spend(0.0)
        budget.refund()
    budget.spend(0.0)
    assert budget.earliest(0.0, 0.0) < math.inf
    budget.spend(1.0)
    assert budget.earliest(9.0, 0.0) == math.inf
    budget.refund()
    assert budget.earliest(9.0, 0.0) == 9.0

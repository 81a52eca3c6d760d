"""How many SYNs may leave, and when."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simopen.punch import PunchOptions, SynBudget
from tests.punch.virtual import overdraft

DEFAULTS = PunchOptions()
SLACK = 1e-6  # SYNs; what floating-point time costs

options_of_any_kind = st.builds(
    PunchOptions,
    free_period=st.floats(0, 1),
    syn_rate=st.floats(1, 2000),
    burst_size=st.integers(1, 30),
    burst_time=st.just(0.0) | st.floats(0, 2),
)
waits = st.just(0.0) | st.floats(0, 0.01) | st.floats(0, 2)
chances = st.floats(min_value=0, max_value=1, exclude_max=True)


def fire_until_held(budget: SynBudget, now: float) -> int:
    """Spend at one moment until the budget says wait."""
    spent = 0
    while budget.earliest(now, 0.0) <= now:
        budget.spend(now)
        spent += 1
    return spent


@settings(deadline=None, max_examples=300)
@given(
    options=options_of_any_kind,
    steps=st.lists(st.tuples(waits, chances, waits), min_size=1, max_size=120),
)
def test_no_window_holds_more_than_rate_and_burst(
    options: PunchOptions, steps: list[tuple[float, float, float]]
) -> None:
    """However refusals come: no window of t seconds holds more than t * rate + burst SYNs."""
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
    assert 100 <= len(paced) <= DEFAULTS.syn_rate + DEFAULTS.burst_size


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
        budget.spend(7.0)
    end = 7.0 + DEFAULTS.free_period
    assert fire_until_held(budget, end) == DEFAULTS.burst_size


def test_free_period_begins_with_the_first_syn() -> None:
    """Not the budget's making but the first SYN begins the free period."""
    budget = SynBudget(DEFAULTS)
    assert budget.earliest(1000.0, 0.9) == 1000.0
    budget.spend(1000.0)
    for now in (1000.0, 1000.2, 1000.499):
        budget.spend(now)
        assert budget.earliest(now, 0.9) == now


def test_nothing_free_without_a_free_period() -> None:
    """A free period of zero paces from the first SYN on."""
    assert fire_until_held(SynBudget(PunchOptions(free_period=0)), 0.0) == DEFAULTS.burst_size


def test_burst_ends_by_number() -> None:
    """After a full burst the next SYN waits until the whole burst is paid for."""
    budget = SynBudget(PunchOptions(free_period=0, syn_rate=100, burst_size=4, burst_time=1))
    assert fire_until_held(budget, 10.0) == 4
    assert budget.earliest(10.0, 0.0) == pytest.approx(10.04)


def test_burst_ends_by_time() -> None:
    """After the burst time the next SYN waits for what has been spent, however little."""
    budget = SynBudget(PunchOptions(free_period=0, syn_rate=100, burst_size=4, burst_time=0.001))
    budget.spend(10.0)
    budget.spend(10.0005)
    assert budget.earliest(10.0009, 0.0) == 10.0009
    assert budget.earliest(10.001, 0.0) == pytest.approx(10.02)


@given(chance=chances)
@settings(deadline=None, max_examples=30)
def test_rest_ends_at_a_random_moment(chance: float) -> None:
    """Chance lengthens a rest by up to half of itself, so that two sides do not rest in step."""
    budget = SynBudget(PunchOptions(free_period=0, syn_rate=100, burst_size=4))
    fire_until_held(budget, 10.0)
    assert budget.earliest(10.0001, chance) == pytest.approx(10.04 + chance * 0.02)


def test_paid_up_budget_allows_a_new_full_burst() -> None:
    """Once a burst is paid for the next one is as large; unspent time is not saved up."""
    budget = SynBudget(PunchOptions(free_period=0, syn_rate=100, burst_size=4))
    assert fire_until_held(budget, 10.0) == 4
    assert fire_until_held(budget, 10.04) == 4
    assert fire_until_held(budget, 1000.0) == 4


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

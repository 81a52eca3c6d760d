"""The state machine of one port pair: every pair of state and event, and what holds throughout."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from benchmarks.virtual import overdraft
from simopen.punch import TRANSITIONS, Action, Event, Lane, PunchOptions, Seen, State

DEFAULTS = PunchOptions()
MIDDLE = 0.5  # the chance at which a wait is not spread
END = 100.0  # when the time allowed ends in these tests
OVER = (State.ESTABLISHED, State.FAILED)  # nothing more happens by itself

EVENTS_NOT_IN_TABLE = [pair for pair in itertools.product(State, Event) if pair not in TRANSITIONS]


def lane_in(state: State, options: PunchOptions = DEFAULTS) -> Lane:
    """Bring a lane into a state by what it is told, at time zero."""
    lane = Lane(options, give_up_at=END)
    news: dict[State, list[Seen]] = {
        State.IDLE: [],
        State.SYN_SENT: [],
        State.RESTING: [Seen.REFUSED, Seen.QUIET, Seen.REFUSED, Seen.QUIET, Seen.REFUSED],
        State.SYN_RECEIVED: [Seen.HALF_OPEN],
        State.HELD: [Seen.OUTRANKED],
        State.ESTABLISHED: [Seen.OPEN],
        State.FAILED: [],
    }
    if state is not State.IDLE:
        lane.start(0.0, MIDDLE)
    for seen in news[state]:
        lane.observe(seen, 0.04 if seen is Seen.REFUSED else 0.0401, MIDDLE)
    if state is State.FAILED:
        lane.observe(Seen.QUIET, END, MIDDLE)
    assert lane.state is state
    return lane


def own_deadline(lane: Lane) -> float:
    """When quiet becomes overdue; a moment long after everything for a lane without deadline."""
    return lane.next_deadline() if lane.next_deadline() < END else END - 1


PROVOKE: dict[Event, Callable[[Lane], Action]] = {
    Event.START: lambda lane: lane.start(0.05, MIDDLE),
    Event.QUIET: lambda lane: lane.observe(Seen.QUIET, 0.0, MIDDLE),
    Event.OVERDUE: lambda lane: lane.observe(Seen.QUIET, own_deadline(lane), MIDDLE),
    Event.HALF_OPEN: lambda lane: lane.observe(Seen.HALF_OPEN, 0.05, MIDDLE),
    Event.OPEN: lambda lane: lane.observe(Seen.OPEN, 0.05, MIDDLE),
    Event.OUTRANKED: lambda lane: lane.observe(Seen.OUTRANKED, 0.05, MIDDLE),
    Event.REFUSED: lambda lane: lane.observe(Seen.REFUSED, 0.05, MIDDLE),
    Event.UNSENT: lambda lane: lane.observe(Seen.UNSENT, 0.05, MIDDLE),
    Event.HOPELESS: lambda lane: lane.observe(Seen.UNSENT, 0.05, MIDDLE),
    Event.EXPIRED: lambda lane: lane.observe(
        Seen.REFUSED if lane.state in (State.HELD, State.ESTABLISHED) else Seen.QUIET, END, MIDDLE
    ),
}


def provoke(state: State, event: Event) -> tuple[Lane, Callable[[], Action]]:
    """Return a lane in a state, and what makes the event happen to it."""
    options = PunchOptions(patience_unsent=0) if event is Event.HOPELESS else DEFAULTS
    lane = lane_in(state, options)
    return lane, lambda: PROVOKE[event](lane)


# -- the table ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "event"), TRANSITIONS)
def test_table_is_what_happens(state: State, event: Event) -> None:
    """Every pair in the table leads to the state and the action that the table names."""
    lane, happen = provoke(state, event)
    next_state, action = TRANSITIONS[state, event]
    assert happen() is action
    assert lane.state is next_state


@pytest.mark.parametrize(("state", "event"), EVENTS_NOT_IN_TABLE)
def test_other_pairs_are_the_callers_mistake(state: State, event: Event) -> None:
    """Every pair that is not in the table raises LookupError and leaves the state alone."""
    lane, happen = provoke(state, event)
    with pytest.raises(LookupError):
        happen()
    assert lane.state is state


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        (state, seen)
        for state in OVER
        for seen in Seen
        if (state, seen) != (State.ESTABLISHED, Seen.REFUSED)
    ],
)
@pytest.mark.parametrize("now", [0.0, 0.05, END - 1])
def test_a_lane_that_is_over_accepts_nothing(state: State, seen: Seen, now: float) -> None:
    """Nothing can be told to a lane that has ended, but that its connection was lost unproven."""
    lane = lane_in(state)
    with pytest.raises(LookupError):
        lane.observe(seen, now, MIDDLE)
    with pytest.raises(LookupError):
        lane.start(now, MIDDLE)
    assert lane.state is state


def test_table_cannot_be_changed() -> None:
    """The table is read-only."""
    assert not hasattr(TRANSITIONS, "__setitem__")


def test_table_refreshes_only_from_a_silent_syn() -> None:
    """REFRESH is the answer to nothing but a silence too long in SYN_SENT."""
    refreshing = [pair for pair, (_, action) in TRANSITIONS.items() if action is Action.REFRESH]
    assert refreshing == [(State.SYN_SENT, Event.OVERDUE)]


def test_table_leaves_half_open_only_for_a_reason() -> None:
    """SYN_RECEIVED is left for a connection, an error or the end of the time, nothing else."""
    leaving = {
        event
        for (state, event), (next_state, _) in TRANSITIONS.items()
        if state is State.SYN_RECEIVED and next_state is not State.SYN_RECEIVED
    }
    assert leaving == {Event.OPEN, Event.OUTRANKED, Event.REFUSED, Event.EXPIRED}


def test_table_sends_whenever_it_says_so() -> None:
    """FIRE and REFRESH lead to SYN_SENT, HAND_OVER to ESTABLISHED, ABANDON to FAILED."""
    leads_to = {
        Action.FIRE: State.SYN_SENT,
        Action.REFRESH: State.SYN_SENT,
        Action.HAND_OVER: State.ESTABLISHED,
        Action.ABANDON: State.FAILED,
    }
    for next_state, action in TRANSITIONS.values():
        assert leads_to.get(action, next_state) is next_state


# -- deadlines ------------------------------------------------------------------------------------


def test_idle_lane_waits_for_nothing_but_the_end() -> None:
    """Before the start there is no deadline but the end of the time allowed."""
    assert Lane(DEFAULTS).next_deadline() == math.inf
    assert Lane(DEFAULTS, give_up_at=3.0).next_deadline() == 3.0


@pytest.mark.parametrize(("handshake", "held"), [(0.001, 0.5), (0.2, 0.5), (0.4, 0.8)])
def test_outranked_lane_is_held_for_half_a_second_or_two_handshakes(
    handshake: float, held: float
) -> None:
    """Open behind a better lane it is looked at every few milliseconds, then handed over."""
    lane = Lane(DEFAULTS)
    lane.start(0.0, MIDDLE)
    now = handshake
    while lane.observe(Seen.OUTRANKED, now, MIDDLE) is Action.WAIT:
        assert lane.state is State.HELD
        assert not lane.awaits_news
        assert now < lane.next_deadline() <= now + 0.005
        now = lane.next_deadline()
    assert lane.state is State.ESTABLISHED
    assert now == pytest.approx(handshake + held)


def test_outranked_lane_is_handed_over_when_no_longer_outranked() -> None:
    """Once the better lane has failed nothing is waited for."""
    lane = lane_in(State.HELD)
    assert lane.observe(Seen.OPEN, 0.05, MIDDLE) is Action.HAND_OVER


def test_outranked_lane_is_handed_over_at_the_end_of_the_time() -> None:
    """An open connection is never thrown away for the sake of a better one."""
    lane = Lane(DEFAULTS, give_up_at=0.05)
    lane.start(0.0, MIDDLE)
    assert lane.observe(Seen.OUTRANKED, 0.04, MIDDLE) is Action.WAIT
    assert lane.observe(Seen.OUTRANKED, 0.05, MIDDLE) is Action.HAND_OVER


def test_held_lane_that_the_peer_resets_goes_on() -> None:
    """The peer's choice of another lane shows as a reset; it tells nothing of the round trip."""
    lane = lane_in(State.HELD)
    assert lane.observe(Seen.REFUSED, 0.05, MIDDLE) is Action.WAIT
    assert lane.state is State.RESTING
    assert lane.round_trip is None
    assert lane.observe(Seen.QUIET, 0.05, MIDDLE) is Action.FIRE
    lane.observe(Seen.OUTRANKED, 0.06, MIDDLE)
    assert lane.observe(Seen.OUTRANKED, 0.555, MIDDLE) is Action.WAIT, "held anew"


def test_half_open_has_no_deadline_of_its_own() -> None:
    """A half-open lane is left alone until the end of the time allowed."""
    assert lane_in(State.SYN_RECEIVED).next_deadline() == END
    lane = Lane(DEFAULTS)
    lane.start(0.0, MIDDLE)
    lane.observe(Seen.HALF_OPEN, 0.02, MIDDLE)
    assert lane.next_deadline() == math.inf
    assert lane.observe(Seen.HALF_OPEN, 1e9, MIDDLE) is Action.WAIT


@pytest.mark.parametrize("state", OVER)
def test_final_states_have_no_deadline(state: State) -> None:
    """After the end there is nothing to look for."""
    assert lane_in(state).next_deadline() == math.inf


def test_end_of_the_time_comes_before_a_later_deadline() -> None:
    """The next look is never planned for after the end of the time allowed."""
    lane = Lane(DEFAULTS, give_up_at=0.1)
    lane.start(0.0, MIDDLE)
    assert lane.next_deadline() == 0.1


@pytest.mark.parametrize("state", [State.RESTING, State.SYN_SENT, State.SYN_RECEIVED])
def test_time_ends_at_its_moment_and_not_before(state: State) -> None:
    """A lane fails at the end of the time allowed, to the moment."""
    seen = Seen.HALF_OPEN if state is State.SYN_RECEIVED else Seen.QUIET
    assert lane_in(state).observe(seen, math.nextafter(END, 0), MIDDLE) is not Action.ABANDON
    assert lane_in(state).observe(seen, END, MIDDLE) is Action.ABANDON


@pytest.mark.parametrize("seen", [Seen.QUIET, Seen.HALF_OPEN, Seen.REFUSED, Seen.UNSENT])
def test_anything_short_of_a_connection_ends_with_the_time(seen: Seen) -> None:
    """Whatever a look after the end shows, unless it is a connection, is the end."""
    lane = lane_in(State.SYN_SENT)
    assert lane.observe(seen, END + 1, MIDDLE) is Action.ABANDON
    assert lane.state is State.FAILED


@pytest.mark.parametrize("state", [State.SYN_SENT, State.SYN_RECEIVED])
@pytest.mark.parametrize("now", [END, END + 1, 1e9])
def test_connection_is_handed_over_even_after_the_end(state: State, now: float) -> None:
    """An open connection seen at or after the end of the time is still handed over."""
    lane = lane_in(state)
    assert lane.observe(Seen.OPEN, now, MIDDLE) is Action.HAND_OVER
    assert lane.state is State.ESTABLISHED


def test_without_an_end_a_lane_goes_on() -> None:
    """No time allowed means no end, years later."""
    lane = Lane(DEFAULTS)
    lane.start(0.0, MIDDLE)
    assert lane.observe(Seen.QUIET, 1e9, MIDDLE) is Action.REFRESH


@pytest.mark.parametrize("state", State)
def test_only_a_resting_lane_has_no_syn_out(state: State) -> None:
    """Resting says that the socket has no news to give."""
    assert lane_in(state).resting is (state is State.RESTING)


# -- silence --------------------------------------------------------------------------------------


def test_silent_syns_are_replaced_after_growing_waits() -> None:
    """Each silent SYN is given half as much time again, up to a second."""
    lane = Lane(DEFAULTS)
    now, waits = 0.0, []
    lane.start(now, MIDDLE)
    for _ in range(8):
        due = lane.next_deadline()
        assert lane.observe(Seen.QUIET, math.nextafter(due, 0), MIDDLE) is Action.WAIT
        assert lane.observe(Seen.QUIET, due, MIDDLE) is Action.REFRESH
        assert lane.observe(Seen.QUIET, due, MIDDLE) is Action.WAIT
        waits.append(due - now)
        now = due
    expected = [0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert waits == pytest.approx(expected)
    assert (lane.attempts, lane.refreshes, lane.refusals) == (9, 8, 0)


def test_refusal_gives_silence_its_round_trip() -> None:
    """After a refusal a silent SYN is replaced after one and a half round trips, then later."""
    lane = Lane(DEFAULTS)
    lane.start(0.0, MIDDLE)
    lane.observe(Seen.REFUSED, 0.3, MIDDLE)
    lane.observe(Seen.QUIET, 0.3, MIDDLE)
    assert lane.next_deadline() == pytest.approx(0.3 + 0.45)
    lane.observe(Seen.QUIET, 0.75, MIDDLE)
    assert lane.next_deadline() == pytest.approx(0.75 + 0.45 * 1.5)


def test_round_trip_is_the_shortest_seen() -> None:
    """A later refusal can shorten the round trip, never lengthen it."""
    lane = Lane(DEFAULTS)
    lane.start(0.0, MIDDLE)
    assert lane.round_trip is None
    now = 0.0
    for after, shortest in ((0.05, 0.05), (0.03, 0.03), (0.2, 0.03)):
        now += after
        lane.observe(Seen.REFUSED, now, 0.0)
        assert lane.round_trip == pytest.approx(shortest)
        assert lane.observe(Seen.QUIET, now, 0.0) is Action.FIRE


def test_reset_of_a_half_open_says_nothing_about_the_path() -> None:
    """A half-open that ends counts as refusal, but its age is no round trip."""
    lane = lane_in(State.SYN_RECEIVED)
    assert lane.observe(Seen.REFUSED, 5.0, MIDDLE) is Action.WAIT
    assert lane.state is State.RESTING
    assert (lane.refusals, lane.round_trip) == (1, None)


def test_reset_of_a_half_open_keeps_the_growth() -> None:
    """It can mean that we refresh too soon for the path, so the next wait is not the first one."""
    lane = Lane(DEFAULTS)
    lane.start(0.0, MIDDLE)
    assert lane.observe(Seen.QUIET, 0.5, MIDDLE) is Action.REFRESH
    lane.observe(Seen.HALF_OPEN, 0.6, MIDDLE)
    lane.observe(Seen.REFUSED, 0.7, MIDDLE)
    assert lane.observe(Seen.QUIET, 0.7, MIDDLE) is Action.FIRE
    assert lane.next_deadline() == pytest.approx(0.7 + 0.75)


def test_look_that_shows_nothing_moves_no_deadline() -> None:
    """Looking early, and often, changes neither deadline nor counters."""
    lane = lane_in(State.SYN_SENT)
    due = lane.next_deadline()
    for number in range(10):
        assert lane.observe(Seen.QUIET, number / 100, number / 10) is Action.WAIT
    assert lane.next_deadline() == due
    assert (lane.attempts, lane.refreshes) == (1, 0)


# -- refusals -------------------------------------------------------------------------------------


def refire_waits(round_trip: float, chance: float, count: int) -> list[float]:
    """How long each refire is held back where every SYN is refused after a round trip."""
    lane = Lane(DEFAULTS)
    now, waits = 0.0, []
    lane.start(now, MIDDLE)
    for _ in range(count):
        now += round_trip
        assert lane.observe(Seen.REFUSED, now, chance) is Action.WAIT
        due = max(now, lane.next_deadline())
        assert lane.observe(Seen.QUIET, due, chance) is Action.FIRE
        waits.append(due - now)
        now = due
    assert (lane.attempts, lane.refusals, lane.refreshes) == (count + 1, count, 0)
    return waits


def test_most_refires_leave_at_once() -> None:
    """By chance a refire is held back a little, or not at all."""
    assert refire_waits(0.04, 0.5, 8) == [0] * 8
    assert refire_waits(0.04, 0.25, 3) == pytest.approx([0.0015] * 3)


def test_jitter_is_a_third_of_the_round_trip() -> None:
    """Between its bounds the jitter follows the round trip."""
    assert refire_waits(0.0045, 0.25, 4) == pytest.approx([0.75 * 0.0015] * 4)


def test_fast_refusals_are_paced_after_the_free_period() -> None:
    """Refusals within microseconds do not make a flood."""
    lane = Lane(DEFAULTS)
    now, syns = 0.0, [0.0]
    lane.start(now, MIDDLE)
    while now < 2.0:
        now += 20e-6
        lane.observe(Seen.REFUSED, now, MIDDLE)
        now = max(now, lane.next_deadline())
        assert lane.observe(Seen.QUIET, now, MIDDLE) is Action.FIRE
        syns.append(now)
    assert overdraft(syns, DEFAULTS) <= 1e-6
    assert sum(at < DEFAULTS.free_period for at in syns) > 10_000
    assert sum(at >= 1.0 for at in syns) <= DEFAULTS.syn_rate + DEFAULTS.burst_size


def test_refreshes_are_paced_too() -> None:
    """A refresh that would be due earlier than the budget allows waits for the budget."""
    options = PunchOptions(refresh_first=0.001, free_period=0, syn_rate=1, burst_size=1)
    lane = Lane(options)
    lane.start(0.0, 0.0)
    lane.observe(Seen.QUIET, 0.0, 0.0)
    assert lane.next_deadline() == 1.0
    assert lane.observe(Seen.QUIET, 0.999, 0.0) is Action.WAIT
    assert lane.observe(Seen.QUIET, 1.0, 0.0) is Action.REFRESH


# -- connect() that sends nothing -----------------------------------------------------------------


def fail_to_send(lane: Lane, now: float, until: float) -> tuple[Action, float, list[float]]:
    """Let every connect() fail until a moment; return the last answer, its time and the waits."""
    waits = []
    while (action := lane.observe(Seen.UNSENT, now, MIDDLE)) is Action.WAIT:
        due = lane.next_deadline()
        waits.append(due - now)
        now = due
        assert lane.observe(Seen.QUIET, now, MIDDLE) is Action.FIRE
        if now >= until:
            break
    return action, now, waits


def test_unsent_is_tried_again_with_growing_waits() -> None:
    """A connect() that sent nothing is repeated after 10 ms, doubling up to 250 ms."""
    lane = Lane(DEFAULTS)
    lane.start(0.0, MIDDLE)
    _, _, waits = fail_to_send(lane, 0.0, 1.0)
    assert waits[:7] == pytest.approx([0.01, 0.02, 0.04, 0.08, 0.16, 0.25, 0.25])


def test_unsent_counts_no_attempt() -> None:
    """Only SYNs that left are attempts; what did not leave is counted apart."""
    lane = Lane(DEFAULTS)
    lane.start(0.0, MIDDLE)
    lane.observe(Seen.UNSENT, 0.0, MIDDLE)
    assert (lane.attempts, lane.unsent) == (0, 1)
    lane.observe(Seen.QUIET, 0.01, MIDDLE)
    lane.observe(Seen.QUIET, 0.01, MIDDLE)
    assert (lane.attempts, lane.unsent, lane.refusals) == (1, 1, 0)


def test_nothing_but_unsent_becomes_hopeless() -> None:
    """When nothing could be sent for longer than patience allows the lane gives up, time or no."""
    lane = Lane(DEFAULTS)
    lane.start(0.0, MIDDLE)
    action, now, waits = fail_to_send(lane, 0.0, math.inf)
    assert action is Action.ABANDON
    assert lane.state is State.FAILED
    assert DEFAULTS.patience_unsent <= now < DEFAULTS.patience_unsent + 0.25
    assert (lane.attempts, lane.unsent) == (0, len(waits) + 1)


@pytest.mark.parametrize("seen", [Seen.QUIET, Seen.REFUSED, Seen.HALF_OPEN])
def test_syn_that_left_renews_patience(seen: Seen) -> None:
    """Any SYN that went out in between starts patience and waits anew."""
    lane = Lane(DEFAULTS)
    lane.start(0.0, MIDDLE)
    _, now, _ = fail_to_send(lane, 0.0, 2.9)
    lane.observe(seen, now, MIDDLE)
    if seen is not Seen.REFUSED:
        now += 5.0
        lane.observe(Seen.REFUSED, now, MIDDLE)
    now = max(now, lane.next_deadline())
    assert lane.observe(Seen.QUIET, now, MIDDLE) is Action.FIRE
    action, ended, waits = fail_to_send(lane, now, math.inf)
    assert waits[0] == pytest.approx(0.01)
    assert action is Action.ABANDON
    assert ended - now >= DEFAULTS.patience_unsent


def test_no_patience_gives_up_at_once() -> None:
    """With a patience of zero the first connect() that sends nothing is the end."""
    lane = Lane(PunchOptions(patience_unsent=0))
    lane.start(0.0, MIDDLE)
    assert lane.observe(Seen.UNSENT, 0.0, MIDDLE) is Action.ABANDON


def test_free_period_begins_with_the_first_syn_that_left() -> None:
    """An interface that comes up late costs no free period: it begins with the first SYN."""
    lane = Lane(DEFAULTS)
    lane.start(0.0, MIDDLE)
    _, now, _ = fail_to_send(lane, 0.0, 1.0)
    fires = 0
    first_left = now
    while now < first_left + DEFAULTS.free_period / 2:
        fires += 1
        now += 1e-3
        lane.observe(Seen.REFUSED, now, 0.0)
        assert lane.next_deadline() <= now, f"refire {fires} was paced"
        assert lane.observe(Seen.QUIET, now, 0.0) is Action.FIRE


# -- whatever happens -----------------------------------------------------------------------------


class AnyLane(RuleBasedStateMachine):
    """A lane that is told whatever an executor could see, in any order and at any time."""

    chances = st.floats(min_value=0, max_value=1, exclude_max=True)
    soon = st.just(0.0) | st.floats(0, 0.003) | st.floats(0, 1)

    def __init__(self) -> None:
        super().__init__()
        self.lane = Lane(DEFAULTS)
        self.now = 0.0
        self.end = math.inf
        self.left: list[float] = []  # SYNs
        self.refused = self.replaced = self.failed = 0
        self.just_fired = False

    @initialize(
        options=st.builds(
            PunchOptions,
            refresh_first=st.floats(1e-4, 0.2),
            free_period=st.floats(0, 0.5),
            syn_rate=st.floats(1, 1000),
            burst_size=st.integers(1, 10),
            burst_time=st.floats(0, 0.1),
            patience_unsent=st.floats(0, 3),
            jitter_share=st.floats(0, 1),
        ),
        seconds=st.just(math.inf) | st.floats(0, 20),
        chance=chances,
    )
    def begin(self, options: PunchOptions, seconds: float, chance: float) -> None:
        """Start."""
        self.options = options
        self.now = 1000.0
        self.end = self.now + seconds
        self.lane = Lane(options, give_up_at=None if seconds == math.inf else self.end)
        self.obey(State.IDLE, None, self.lane.start(self.now, chance))

    def tell(self, seen: Seen, chance: float) -> None:
        """Tell the lane, and do what it says."""
        before, self.just_fired = self.lane.state, False
        if seen is Seen.UNSENT:
            self.failed += 1
            self.left.pop()
        action = self.lane.observe(seen, self.now, chance)
        ended = self.now >= self.end and seen not in {Seen.OPEN, Seen.OUTRANKED}
        if seen is Seen.REFUSED:
            self.refused += 1
        if ended:
            assert action is Action.ABANDON
        if seen is Seen.OPEN or (seen is Seen.OUTRANKED and self.now >= self.end):
            assert action is Action.HAND_OVER
        self.obey(before, seen, action)

    def obey(self, before: State, seen: Seen | None, action: Action) -> None:
        """Do what the lane says, and hold it to its rules."""
        if action is Action.REFRESH:
            assert (before, seen) == (State.SYN_SENT, Seen.QUIET)
            self.replaced += 1
        if action is Action.ABANDON and self.now < self.end:
            assert seen is Seen.UNSENT
        if before is State.SYN_RECEIVED and self.lane.state is not before:
            assert seen in {Seen.OPEN, Seen.OUTRANKED, Seen.REFUSED} or self.now >= self.end
        if action in {Action.FIRE, Action.REFRESH}:
            self.left.append(self.now)
            self.just_fired = True

    def is_in(self, *states: State) -> bool:
        """Whether the lane is in one of these states."""
        return self.lane.state in states

    @precondition(lambda self: not self.just_fired)
    @rule(seconds=soon)
    def wait(self, seconds: float) -> None:
        """Let time pass; after a SYN the executor looks first."""
        self.now += seconds

    @precondition(lambda self: not self.just_fired and not self.is_in(*OVER))
    @rule(late_by=soon)
    def wait_until_due(self, late_by: float) -> None:
        """Sleep to the deadline, and perhaps longer."""
        if (due := self.lane.next_deadline()) < math.inf:
            self.now = max(self.now, due) + late_by

    @precondition(lambda self: self.is_in(State.RESTING, State.SYN_SENT))
    @rule(chance=chances)
    def see_nothing(self, chance: float) -> None:
        """Look, and see nothing."""
        self.tell(Seen.QUIET, chance)

    @precondition(lambda self: self.is_in(State.SYN_SENT, State.SYN_RECEIVED))
    @rule(chance=chances)
    def see_half_open(self, chance: float) -> None:
        """Look, and see a crossing."""
        self.tell(Seen.HALF_OPEN, chance)

    @precondition(lambda self: not self.is_in(State.IDLE, State.RESTING, State.FAILED))
    @rule(chance=chances)
    def see_refusal(self, chance: float) -> None:
        """Look, and see a refusal, or lose an unproven connection."""
        self.tell(Seen.REFUSED, chance)

    @precondition(lambda self: self.is_in(State.SYN_SENT, State.SYN_RECEIVED) and self.left[9:])
    @rule(chance=chances)
    def see_connection(self, chance: float) -> None:
        """Look, and see a connection; not early, so that runs are long enough to tell."""
        self.tell(Seen.OPEN, chance)

    @precondition(lambda self: self.is_in(State.SYN_SENT, State.SYN_RECEIVED, State.HELD))
    @rule(chance=chances)
    def see_connection_behind_a_better_one(self, chance: float) -> None:
        """Look, and see a connection while a better lane is about to open."""
        self.tell(Seen.OUTRANKED, chance)

    @precondition(lambda self: self.just_fired)
    @rule(chance=chances)
    def see_failure_to_send(self, chance: float) -> None:
        """Have connect() fail."""
        self.tell(Seen.UNSENT, chance)

    @precondition(lambda self: self.is_in(State.FAILED))
    @rule(seen=st.sampled_from([seen for seen in Seen if seen is not Seen.UNSENT]), chance=chances)
    def end_is_the_end(self, seen: Seen, chance: float) -> None:
        """A final state accepts nothing."""
        before = self.lane.state
        with pytest.raises(LookupError):
            self.lane.observe(seen, self.now, chance)
        assert self.lane.state is before

    @invariant()
    def counts_are_right(self) -> None:
        """Every counter says what happened."""
        assert self.lane.attempts == len(self.left)
        assert self.lane.refreshes == self.replaced
        assert self.lane.refusals == self.refused
        assert self.lane.unsent == self.failed

    @invariant()
    def nothing_leaves_against_the_budget(self) -> None:
        """SYNs that left never exceed what pacing allows."""
        if self.left:
            assert overdraft(self.left, self.options) <= 1e-6

    @invariant()
    def half_open_waits_for_the_end_alone(self) -> None:
        """Half-open has no deadline of its own."""
        if self.is_in(State.SYN_RECEIVED):
            assert self.lane.next_deadline() == self.end

    @invariant()
    def round_trip_is_known_after_a_refusal_only(self) -> None:
        """No refusal, no round trip."""
        if self.lane.round_trip is not None:
            assert self.refused
            assert self.lane.round_trip >= 0


TestAnyLane = AnyLane.TestCase
TestAnyLane.settings = settings(
    deadline=None,
    max_examples=100,
    stateful_step_count=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

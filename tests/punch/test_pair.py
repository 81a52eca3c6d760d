"""Two lanes against each other, in virtual time."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.virtual import Host, Pair, Scene, Site, overdraft
from benchmarks.virtual_tcp import Tcp
from simopen.punch import Action, PunchOptions, State

# Up to here no silent SYN is replaced before its crossing can be answered, whatever the skew: the
# earliest refresh comes, where a refusal has shown the round trip, after 0.15 s less a fifth.
SHORT = 0.12  # seconds of round trip
TINY = 1e-9  # seconds; what floating-point time costs
CROSSABLE = [site for site in Site if site is not Site.BLOCKED]
MIXES = [(first, second) for first in CROSSABLE for second in CROSSABLE]

bounded = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
sites = st.tuples(st.sampled_from(CROSSABLE), st.sampled_from(CROSSABLE))
skews = st.tuples(st.just(0.0), st.just(0.0) | st.floats(0, 1)).flatmap(st.permutations).map(tuple)
seeds = st.integers(0, 2**32)
reactions = st.sampled_from([20e-6, 100e-6, 500e-6])


def round_trips(longest: float) -> st.SearchStrategy[float]:
    """Round trips from 2 ms on."""
    return st.floats(0.002, longest)


def scenes(longest_round_trip: float, losses: st.SearchStrategy[float]) -> st.SearchStrategy[Scene]:
    """Any two sites, starts, reactions and seeds."""
    return st.builds(
        Scene,
        sites=sites,
        round_trip=round_trips(longest_round_trip),
        skews=skews,
        loss=losses,
        reaction=reactions,
        seed=seeds,
    )


def play(scene: Scene) -> Pair:
    """Run a scene to its end and hold both sides to what must never happen."""
    pair = Pair(scene, record=True)
    pair.run()
    for host, start in zip(pair.hosts, scene.skews, strict=True):
        if start < math.inf:
            check_conduct(host, start, scene)
    return pair


def check_conduct(host: Host, start: float, scene: Scene) -> None:
    """Hold one side to the rules that no circumstance suspends."""
    lane, give_up_at = host.lane, start + scene.timeout
    assert lane.state in {State.ESTABLISHED, State.FAILED}
    assert host.ended_at is not None
    assert host.ended_at <= give_up_at + scene.reaction + TINY
    assert lane.attempts == len(host.syns)
    assert overdraft(host.syns, scene.options) <= 1e-6
    assert host.looks
    for look in host.looks:
        if look.action is Action.REFRESH:
            assert look.tcp is Tcp.SYN_SENT
        if look.action is Action.ABANDON:
            assert look.at >= give_up_at
        if look.action is Action.HAND_OVER:
            assert look.tcp is Tcp.ESTABLISHED


def assert_connected(pair: Pair) -> None:
    """Both sides have handed over the two ends of one living connection."""
    assert [host.lane.state for host in pair.hosts] == [State.ESTABLISHED] * 2
    assert pair.connected


# -- without loss ---------------------------------------------------------------------------------


@bounded
@given(scenes(SHORT, st.just(0.0)))
def test_without_loss_both_connect_within_a_second(scene: Scene) -> None:
    """Whatever the sites, starts and path up to 120 ms: connected a second after both are there."""
    pair = play(scene)
    assert_connected(pair)
    assert pair.over_limit < 1.0


@pytest.mark.parametrize("round_trip", [0.2, 0.3, 0.4])
@pytest.mark.parametrize("skew", [0.0, 0.005, 0.05, 0.4, 1.0])
def test_without_loss_long_paths_connect(round_trip: float, skew: float) -> None:
    """On a path longer than the first refresh both sides still connect before their time ends."""
    failed = []
    for mix, seed in itertools.product(MIXES, range(3)):
        pair = play(Scene(sites=mix, round_trip=round_trip, skews=(0.0, skew), seed=seed))
        if not pair.connected:
            last = [f"{host.lane.state.name} ({host.lane.attempts})" for host in pair.hosts]
            failed.append(f"{mix[0].name}/{mix[1].name}: {' and '.join(last)}")
    assert not failed


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("round_trip", [0.002, 0.02, 0.1])
def test_equal_starts_meet_at_the_limit(mix: tuple[Site, Site], round_trip: float) -> None:
    """Two sides that start together are connected after one round trip with one SYN each."""
    pair = play(Scene(sites=mix, round_trip=round_trip))
    assert_connected(pair)
    assert pair.over_limit == pytest.approx(0, abs=TINY)
    assert [host.lane.attempts for host in pair.hosts] == [1, 1]


@bounded
@given(round_trip=round_trips(SHORT), share=st.floats(0, 0.99), mix=sites, seed=seeds)
def test_starts_within_one_way_cross_with_one_syn_each(
    round_trip: float, share: float, mix: tuple[Site, Site], seed: int
) -> None:
    """Starts less than the one-way time apart need one SYN each, whatever stands in front."""
    skew = share * round_trip / 2
    pair = play(Scene(sites=mix, round_trip=round_trip, skews=(skew, 0.0), seed=seed))
    assert_connected(pair)
    assert [host.lane.attempts for host in pair.hosts] == [1, 1]
    assert pair.over_limit == pytest.approx(0, abs=TINY)


@pytest.mark.parametrize("skew", [0.05, 0.4, 1.0])
def test_silent_sites_need_no_crossing(skew: float) -> None:
    """Behind silent sites the later SYN passes both: no refusal, at most half a round trip more."""
    pair = play(Scene(sites=(Site.SILENT, Site.SILENT), round_trip=0.04, skews=(0.0, skew)))
    assert_connected(pair)
    assert [host.lane.refusals for host in pair.hosts] == [0, 0]
    assert pair.over_limit <= 0.02 + TINY


@pytest.mark.parametrize("site", [Site.OPEN, Site.RST, Site.ICMP])
@pytest.mark.parametrize("round_trip", [0.002, 0.02])
@pytest.mark.parametrize("skew", [0.05, 0.4])
def test_refusing_sites_do_not_lock_in_phase(site: Site, round_trip: float, skew: float) -> None:
    """Equal periods with a constant reaction never keep missing each other."""
    for seed in range(20):
        pair = play(Scene(sites=(site, site), round_trip=round_trip, skews=(0.0, skew), seed=seed))
        assert_connected(pair)
        assert pair.over_limit < 0.1


@bounded
@given(
    round_trip=round_trips(SHORT), skew=st.floats(0, 1), seed=seeds,
    mix=st.sampled_from([(Site.RST, Site.RST), (Site.ICMP, Site.ICMP), (Site.RST, Site.ICMP)]),
)  # fmt: skip
def test_refusals_that_end_sessions_do_not_keep_them_apart(
    round_trip: float, skew: float, seed: int, mix: tuple[Site, Site]
) -> None:
    """Where a refusal closes what our SYN opened, firing again at once opens it in time."""
    scene = Scene(
        sites=mix, round_trip=round_trip, skews=(0.0, skew), seed=seed, refusal_ends_session=True
    )
    assert_connected(play(scene))


@pytest.mark.parametrize("other", CROSSABLE)
@pytest.mark.parametrize("skews", [(0.0, 0.0), (0.0, 0.4), (0.4, 0.0)])
def test_one_side_that_blocks_crossing_syns_is_no_obstacle(
    other: Site, skews: tuple[float, float]
) -> None:
    """Where one site lets no SYN in, the SYN of its own host crosses at the other side."""
    pair = play(Scene(sites=(Site.BLOCKED, other), skews=skews))
    assert_connected(pair)
    assert pair.over_limit < 1.0


def test_two_sides_that_block_crossing_syns_never_connect() -> None:
    """Where no site lets a SYN in, there is no crossing."""
    pair = play(Scene(sites=(Site.BLOCKED, Site.BLOCKED)))
    assert [host.lane.state for host in pair.hosts] == [State.FAILED] * 2


# -- with loss ------------------------------------------------------------------------------------


def assert_agreement(pair: Pair) -> None:
    """Both connected, or both failed, or one ran out of time in the last step of the handshake.

    In the third case the failed side was half-open when its time ended, in the very connection
    that the other side has handed over: the ACK that would have told it was lost every time.
    """
    failed = [host for host in pair.hosts if host.lane.state is State.FAILED]
    if not failed:
        assert pair.connected
    elif len(failed) == 1:
        half_open, (done,) = failed[0], [host for host in pair.hosts if host not in failed]
        assert half_open.looks
        assert half_open.looks[-1].tcp is Tcp.SYN_RECEIVED
        assert half_open.lane.state is State.FAILED
        ours = (half_open.socket.isn, half_open.socket.peer_isn)
        assert ours == (done.socket.peer_isn, done.socket.isn)
        assert done.established_at is not None


@bounded
@given(scenes(0.4, st.floats(0, 0.3)))
def test_with_loss_the_sides_never_disagree_for_another_reason(scene: Scene) -> None:
    """Up to 30 % loss and 400 ms: no side believes in a connection that the other gave up early."""
    assert_agreement(play(scene))


@pytest.mark.parametrize(("loss", "failed"), [(0.1, 0), (0.3, 3)])
def test_much_loss_costs_few_connections(loss: float, failed: int) -> None:
    """Ten seconds are enough at 10 % loss, and at 30 % for 99 of 100, if somebody then speaks."""
    pairs = [
        play(Scene(sites=mix, skews=(0.0, 0.05), loss=loss, seed=seed, writes_after=0.3))
        for mix, seed in itertools.product(MIXES, range(20))
    ]
    assert len(pairs) >= 300
    assert sum(not pair.connected for pair in pairs) <= failed


@pytest.mark.parametrize("mix", MIXES)
def test_little_loss_costs_no_connection(mix: tuple[Site, Site]) -> None:
    """At 5 % loss every one of these punches connects both sides."""
    for seed in range(20):
        assert_connected(play(Scene(sites=mix, skews=(0.0, 0.05), loss=0.05, seed=seed)))


def test_loss_of_the_last_ack_is_waited_out() -> None:
    """A side that stays half-open waits for the kernel to ask again, and is not given up."""
    pair = Pair(Scene(round_trip=0.04))
    pair.clock.run(0.03)  # both half-open; what the first one is sent from now on is lost
    first, second = pair.hosts
    assert first.socket.state is second.socket.state is Tcp.SYN_RECEIVED
    deliver = second.transmit
    second.transmit = lambda _packet: None
    first.gate.site, first.gate.session = Site.SILENT, False
    pair.clock.run(0.5)
    assert second.lane.state is State.ESTABLISHED
    assert first.lane.state is State.SYN_RECEIVED
    assert first.lane.next_deadline() == 10.0
    first.gate.site, second.transmit = Site.OPEN, deliver
    pair.run()
    assert_connected(pair)
    assert first.lane.attempts == 1


# -- alone ----------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    mix=sites,
    round_trip=round_trips(0.4),
    timeout=st.sampled_from([0.0, 0.1, 1.0, 3.0]),
    loss=st.sampled_from([0.0, 0.3]),
    seed=seeds,
)
def test_side_whose_peer_never_comes_fails_at_its_deadline(
    mix: tuple[Site, Site], round_trip: float, timeout: float, loss: float, seed: int
) -> None:
    """Alone a side fails when its time ends, not before, and not a tick later."""
    scene = Scene(
        sites=mix, round_trip=round_trip, skews=(0.0, math.inf), timeout=timeout, loss=loss,
        seed=seed,
    )  # fmt: skip
    pair = play(scene)
    assert pair.first.lane.state is State.FAILED
    assert pair.first.ended_at is not None
    assert timeout <= pair.first.ended_at <= timeout + scene.reaction + TINY


@pytest.mark.parametrize("site", [Site.OPEN, Site.RST, Site.ICMP])
def test_waiting_alone_on_a_fast_path_is_cheap(site: Site) -> None:
    """A refusal every 20 microseconds makes no more than 200 SYNs a second, after half a second."""
    scene = Scene(
        sites=(Site.OPEN, site), round_trip=20e-6, reaction=20e-6, skews=(0.0, math.inf),
        timeout=3.0,
    )  # fmt: skip
    syns = play(scene).first.syns
    for second in (1, 2):
        within = sum(second <= at < second + 1 for at in syns)
        assert 100 <= within <= 210


def test_waiting_alone_before_a_silent_site_is_cheaper_still() -> None:
    """Silence is answered by about one SYN a second."""
    scene = Scene(sites=(Site.SILENT, Site.SILENT), skews=(0.0, math.inf))
    assert len(play(scene).first.syns) <= 16


def test_newcomer_meets_a_patient_side() -> None:
    """Who waits at the sparing rate is met by who has just come."""
    for seed in range(10):
        scene = Scene(round_trip=0.0002, reaction=20e-6, skews=(0.0, 2.0), seed=seed)
        pair = play(scene)
        assert_connected(pair)
        assert pair.over_limit < 0.2


def test_side_that_can_send_nothing_gives_up_before_its_time() -> None:
    """A host whose connect() always fails gives up after its patience, not after its timeout."""
    pair = Pair(Scene(skews=(0.0, math.inf)))
    pair.first.mute_until = math.inf
    pair.run()
    assert pair.first.lane.state is State.FAILED
    assert pair.first.syns == []
    assert pair.first.ended_at is not None
    patience = PunchOptions().patience_unsent
    assert patience <= pair.first.ended_at <= patience + 0.251


@pytest.mark.parametrize("seconds", [0.005, 0.3, 2.5])
def test_side_that_can_send_late_connects(seconds: float) -> None:
    """A host that can send nothing at first connects once it can."""
    pair = Pair(Scene())
    pair.first.mute_until = seconds
    pair.run()
    assert_connected(pair)
    assert pair.first.lane.unsent > 0
    assert pair.first.lane.attempts == len(pair.first.syns)

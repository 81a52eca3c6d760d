from __future__ import annotations

import pytest
from msgspec.structs import replace

from benchmarks.populations import STRATEGIES, Behaviour, Condition, Strategy, load
from benchmarks.virtual_strategies import Limits, connect

FOUND = load()
CALM, LOSSY, NEAR = FOUND.conditions
LIMITS = Limits(timeout=5.0, dcutr_timeout=3.0, dcutr_attempts=3, dcutr_pause=0.1)
OFTEN = 20


def rate(
    first: Behaviour, second: Behaviour, strategy: Strategy, condition: Condition = CALM
) -> float:
    """The share of trials that connect."""
    tried = [
        connect((first, second), strategy, FOUND, condition, LIMITS, f"{seed}")
        for seed in range(OFTEN)
    ]
    return sum(success is not None for success in tried) / OFTEN


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_silent_sites_always_connect(strategy: Strategy) -> None:
    """Where nobody answers early SYNs the later one passes both, however they are sent."""
    assert rate(Behaviour.SILENT, Behaviour.SILENT, strategy) == 1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nobody_connects_where_the_mapping_varies(strategy: Strategy) -> None:
    """The endpoint that was seen is not the one that is met."""
    assert rate(Behaviour.VARIES, Behaviour.SILENT, strategy) == 0


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_site_may_block_crossing_syns_but_not_both(strategy: Strategy) -> None:
    """The SYN that is let in is answered, and the answer passes; with both blocking none is."""
    assert rate(Behaviour.SILENT_BLOCKS, Behaviour.SILENT, strategy) == 1
    assert rate(Behaviour.SILENT_BLOCKS, Behaviour.SILENT_BLOCKS, strategy) == 0


@pytest.mark.parametrize("refusing", [Behaviour.RST, Behaviour.ICMP, Behaviour.ADMITS])
def test_a_refusal_ends_a_single_connect_only(refusing: Behaviour) -> None:
    """Who starts 0.4 s apart and connects once is refused; who fires again, or in time, is not."""
    assert rate(refusing, refusing, "simopen") == 1
    assert rate(refusing, refusing, "dcutr") == 1
    assert 0 < rate(refusing, refusing, "one-shot") < 0.9


def test_dcutr_needs_one_attempt_in_time() -> None:
    """Where both start together the first attempt is enough; far apart it takes more of them."""
    pair = Behaviour.RST, Behaviour.RST
    success = connect(pair, "dcutr", FOUND, CALM, LIMITS, "a")
    assert success is not None
    assert success.attempt == 1
    assert 0.03 < success.took < 0.13
    slow = replace(FOUND, timings=tuple(replace(each, spread=0.4) for each in FOUND.timings))
    tried = [connect(pair, "dcutr", slow, CALM, LIMITS, f"{seed}") for seed in range(OFTEN)]
    late = [success for success in tried if success and success.attempt > 1]
    assert late
    assert all(success.took > LIMITS.dcutr_pause for success in late)


def test_near_hosts_must_fire_again() -> None:
    """Within 2.5 ms of each other few starts are: three attempts are not enough, a loop is."""
    pair = Behaviour.RST, Behaviour.RST
    assert rate(*pair, "simopen", NEAR) == rate(*pair, "naive", NEAR) == 1
    assert rate(*pair, "one-shot", NEAR) < rate(*pair, "dcutr", NEAR) < 1


def test_loss_falls_on_the_path() -> None:
    """Where all is lost nobody connects; where one in twenty is the kernel makes up for it."""
    dead = replace(LOSSY, loss=1.0)
    assert rate(Behaviour.SILENT, Behaviour.SILENT, "simopen", dead) == 0
    assert rate(Behaviour.SILENT, Behaviour.SILENT, "one-shot", LOSSY) == 1

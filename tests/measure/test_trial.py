from __future__ import annotations

import pytest

import simopen
from simopen import Endpoint, Invite, Rendezvous, UsageError
from simopen.measure._records import MOST_EVENTS
from simopen.measure._trial import Direct, Introduced, attempt, own_secret
from tests.helpers import free_port, no_socket_left, silent_endpoint

pytestmark = pytest.mark.anyio

SECRET = bytes(range(32))
TEXT = "a text that nobody guesses"


def test_direct_trials_take_the_next_ports() -> None:
    """On both sides, and up to the last there is."""
    target = Direct(Endpoint("a", 65000), Endpoint("b", 40000), SECRET)
    arguments = target.arguments("0a", 3)
    assert (arguments["remote"], arguments["local"]) == (("a", 65003), ("b", 40003))
    with pytest.raises(UsageError, match="remote"):
        target.arguments("0a", 536)


def test_introduced_trials_have_rooms_of_their_own() -> None:
    """The opening's is the one that was given."""
    target = Introduced(Rendezvous("tls://c"), "kitchen", SECRET)
    assert target.arguments(None, 0)["room"] == "kitchen"
    rooms = {target.arguments(run, number)["room"] for run in ("0a", "0b") for number in (1, 2)}
    assert len(rooms | {"kitchen"}) == 5
    assert target.scheme == "tls"


def test_a_target_does_not_show_its_secret() -> None:
    """Neither kind."""
    for target in (
        Direct(Endpoint("a", 1), Endpoint("b", 1), SECRET),
        Introduced(Rendezvous("tcp://c"), "kitchen", SECRET),
    ):
        assert repr(SECRET)[2:-1] not in repr(target)
        assert "secret" not in repr(target)


@pytest.mark.parametrize("kind", ["invite", "text", "bytes"])
async def test_trials_have_a_secret_of_their_own(kind: str) -> None:
    """The same from the same, another from another, and never the one that was given."""
    invite = Invite.new("kitchen")
    given: dict[str, list[simopen.SecretLike]] = {
        "invite": [invite, Invite.parse(invite.reveal()), Invite.new("kitchen")],
        "text": [TEXT, TEXT, TEXT + "!"],
        "bytes": [SECRET, SECRET, bytes(32)],
    }
    one, same, other = [await own_secret(secret) for secret in given[kind]]
    assert len(one) == 32
    assert one == same != other
    assert one not in (given[kind][0], TEXT.encode())


async def test_a_call_that_fails_is_an_outcome() -> None:
    """With its figures, its diagnosis, and no more events than a record has."""
    silent = silent_endpoint()
    with no_socket_left(), silent as (host, port):
        target = Direct(Endpoint(host, port), Endpoint("127.0.0.1", free_port()))
        call = await attempt(target, run=None, number=0, timeout=0.3)
    assert call.stream is None
    assert isinstance(call.error, simopen.PeerTimeoutError)
    side = call.side
    assert (side.ok, side.cause, side.error) == (False, "silence", "PeerTimeoutError")
    assert side.attempts >= 1
    assert side.elapsed >= 0.3
    assert side.events[0].name == "punch.started"
    assert not call.absent


async def test_events_have_an_end() -> None:
    """Where a port answers at once, thousands of SYNs leave; the first events are kept."""
    remote, local = (Endpoint("127.0.0.1", free_port()) for _ in range(2))
    call = await attempt(Direct(remote, local), run=None, number=0, timeout=1.0)
    assert len(call.side.events) == MOST_EVENTS
    assert call.side.refusals > 0


async def test_a_port_that_is_taken_is_an_outcome() -> None:
    """Without a report there are no figures, but the error's name."""
    with silent_endpoint() as (host, port):
        target = Direct(Endpoint(host, free_port()), Endpoint(host, port))
        call = await attempt(target, run=None, number=0, timeout=1.0)
    assert isinstance(call.error, simopen.LocalBindError)
    assert (call.side.ok, call.side.error, call.side.cause) == (False, "LocalBindError", None)


async def test_the_way_to_a_coordinator() -> None:
    """Is timed where there is one, and not known where none answers."""
    nobody = Rendezvous(f"tcp://127.0.0.1:{free_port()}")
    assert await Introduced(nobody, "kitchen", SECRET).round_trip() is None
    async with simopen.Coordinator([("127.0.0.1", 0)]) as coordinator:
        port = coordinator.endpoints[0].port
        there = Introduced(Rendezvous(f"tcp://127.0.0.1:{port}"), "kitchen", SECRET)
        took = await there.round_trip()
    assert took is not None
    assert 0 < took < 5.0

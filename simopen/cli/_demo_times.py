"""When two hosts that a coordinator introduced did what, read from the packets alone.

Zero is the moment at which the later of the two asks to be introduced: all before it is waiting,
and the bound on what follows is counted from there. The times are those on the wire at each host.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from simopen.capture.conversation import Conversation
from simopen.capture.ladder import Step, conversations, steps
from simopen.capture.pcapng import Record

NS_PER_S = 1_000_000_000  # a capture counts in nanoseconds


@dataclass(frozen=True, slots=True)
class Times:
    """What happened when, in seconds.

    Attributes:
        asked: When each host asked the coordinator; 0 for the later one.
        introduced: When the introduction had reached each.
        fired: When each sent its first SYN to the other.
        connected: When each had the other's SYN-ACK.
        steps: The packets between the two, on the same clock, without those sent elsewhere.
        elsewhere: SYNs to addresses where the peer is not.
    """

    asked: Mapping[str, float]
    introduced: Mapping[str, float]
    fired: Mapping[str, float]
    connected: Mapping[str, float]
    steps: Sequence[Step]
    elsewhere: int

    @property
    def asked_last(self) -> str:
        """The host that asked later."""
        return max(self.asked, key=self.asked.__getitem__)


def bound(asker: float, other: float, between: float) -> float:
    """Seconds from the later one's asking to both being connected that nothing can undercut.

    The asker hears back after its round trip, the other one after half of both; from then on a
    handshake takes the round trip between the two.

    Args:
        asker: Seconds; round trip from the coordinator to the host that asks.
        other: The other's.
        between: Between the two.
    """
    return max(asker, (asker + other) / 2) + between


def read_times(records: Sequence[Record], hosts: Sequence[str], coordinator: str) -> Times | None:
    """Read a capture.

    Args:
        records: Everything that was captured.
        hosts: Names of the two.
        coordinator: Name of the coordinator's host.

    Returns:
        None where one of the moments is not in it.
    """
    found = conversations(records)
    own = [_between(found, {host, coordinator}) for host in hosts]
    both = _between(found, set(hosts))
    if both is None or None in own:
        return None
    punched = _timed(records, both)
    talks = {host: _timed(records, talk) for host, talk in zip(hosts, own, strict=True) if talk}
    try:
        asked = {host: _asked(host, talk) for host, talk in talks.items()}
        zero = max(asked.values())
        fired = {host: _first(punched, host, "SYN").sent_at for host in hosts}
        introduced = {host: _introduced(host, talk, fired[host]) for host, talk in talks.items()}
        answers = [_first(punched, host, "SYN-ACK") for host in hosts]
    except ValueError:  # min() and max() of nothing
        return None
    connected = {answer.receiver: answer.arrived_at or 0.0 for answer in answers}
    chosen = {answer.sender: answer.path[0].destination for answer in answers}
    kept = [
        _moved(step, zero)
        for step in punched
        if step.from_gateway or step.path[0].destination == chosen[step.sender]
    ]
    return Times(
        asked=_from(zero, asked),
        introduced=_from(zero, introduced),
        fired=_from(zero, fired),
        connected=_from(zero, connected),
        steps=kept,
        elsewhere=len(punched) - len(kept),
    )


def _between(found: Iterable[Conversation], names: set[str]) -> Conversation | None:
    """The first conversation of two hosts: with a coordinator the one before any probe."""
    return next((each for each in found if {each.first.host, each.second.host} == names), None)


def _timed(records: Sequence[Record], conversation: Conversation) -> list[Step]:
    """A conversation's packets with times since the epoch."""
    told = steps(records, conversation)
    start = min(each.path[0].time_ns / NS_PER_S - each.sent_at for each in told)
    return [_moved(each, -start) for each in told]


def _moved(step: Step, zero: float) -> Step:
    arrived_at = None if step.arrived_at is None else step.arrived_at - zero
    return replace(step, sent_at=step.sent_at - zero, arrived_at=arrived_at)


def _asked(host: str, talk: Sequence[Step]) -> float:
    return min(step.sent_at for step in talk if step.sender == host and step.payload_bytes)


def _introduced(host: str, talk: Sequence[Step], fired: float) -> float:
    """When the last word of the coordinator before the first SYN was there."""
    arrivals = (
        step.arrived_at
        for step in talk
        if step.sender != host and step.payload_bytes and step.arrived_at is not None
    )
    return max(each for each in arrivals if each <= fired)


def _first(punched: Sequence[Step], host: str, flags: str) -> Step:
    mine = (
        step
        for step in punched
        if step.sender == host and step.flags == flags and step.arrived_at is not None
    )
    return min(mine, key=lambda step: step.sent_at)


def _from(zero: float, times: Mapping[str, float]) -> dict[str, float]:
    return {host: time - zero for host, time in times.items()}

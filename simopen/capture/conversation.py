"""Who talks to whom: journeys sorted into conversations between two hosts' sockets.

Theory of operation
-------------------
What two hosts call each other differs where addresses are translated, and an external port may
serve different hosts one after the other. So a conversation is told by its two *parties*: the name
of a host and its own endpoint, as the host itself sees it. A packet that went from host to host
names both, and tells whom each of them means by the other's endpoint; so the receivers of packets
that did not arrive are known as well. Where none ever arrived, the endpoint is taken for the host's
that was seen behind it in any other conversation, or else for the one that calls this very party
from that address, if there is one and no second: two hosts that mean each other and mistake the
port. Otherwise it stays an endpoint: a party without a host.

What a gateway answers by itself it says in the name of one party to the other: to the host where
the answer arrives, or else to the sender of what the gateway last saw going the other way.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from simopen.capture.packets import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from simopen.capture.journey import Journey


class Party(NamedTuple):
    """One end of a conversation.

    Attributes:
        host: Name of the host; None where no host is known there.
        endpoint: Its own endpoint as it sees it itself; without host, as the other end sees it.
    """

    host: str | None
    endpoint: Endpoint

    @property
    def name(self) -> str:
        """What to call it."""
        return self.host or str(self.endpoint)


class Conversation(NamedTuple):
    """Two parties, the one that spoke first before the other."""

    first: Party
    second: Party


class Message(NamedTuple):
    """A packet of a conversation.

    Attributes:
        journey: Where it went.
        sender: In whose name it was sent, which a gateway does as well.
        receiver: Whom it was meant for.
    """

    journey: Journey
    sender: Party
    receiver: Party


def group(journeys: Iterable[Journey]) -> dict[Conversation, list[Message]]:
    """Return the conversations in order of first packet, each with its packets in that order.

    Packets that began before the capture are left out.

    Args:
        journeys: As `journey.journeys` returns them.
    """
    begun = [journey for journey in journeys if journey.origin is not None]
    parties = _Parties(begun)
    found: dict[frozenset[Party], tuple[Conversation, list[Message]]] = {}
    for journey in begun:
        sender, receiver = parties.of(journey)
        key = frozenset((sender, receiver))
        _, messages = found.setdefault(key, (Conversation(sender, receiver), []))
        messages.append(Message(journey, sender, receiver))
    return dict(found.values())


class _Parties:
    """Says between which parties packets went.

    Args:
        journeys: All of them; what some show about an endpoint holds for the others.
    """

    def __init__(self, journeys: Sequence[Journey]) -> None:
        self._peers: dict[tuple[Party, Endpoint], Party] = {}
        self._owners: defaultdict[Endpoint, set[Party]] = defaultdict(set)
        self._passed: dict[tuple[str, Endpoint, Endpoint], tuple[Party, Party]] = {}
        self._callers: defaultdict[tuple[Party, str], set[Party]] = defaultdict(set)
        for journey in journeys:
            self._learn(journey)
        for journey in journeys:
            self._learn_caller(journey)

    def of(self, journey: Journey) -> tuple[Party, Party]:
        """Return sender and receiver of a packet, asked for in time order."""
        parties = self._answerer(journey) if journey.from_gateway else self._host(journey)
        for sighting in journey.path:
            self._passed[sighting.interface, sighting.source, sighting.destination] = parties
        return parties

    def _learn(self, journey: Journey) -> None:
        sender, receiver = _sender(journey), _receiver(journey)
        if sender and receiver:
            self._peers[sender, journey.path[0].destination] = receiver
            self._peers[receiver, journey.path[-1].source] = sender
        for sighting in journey.path:
            if sender:
                self._owners[sighting.source].add(sender)
            if receiver:
                self._owners[sighting.destination].add(receiver)

    def _learn_caller(self, journey: Journey) -> None:
        """Note from which address a host calls another one, whether or not it gets through."""
        if sender := _sender(journey):
            receiver = _receiver(journey) or self._known_as(journey.path[0].destination, sender)
            self._callers[receiver, journey.path[-1].source.address].add(sender)

    def _host(self, journey: Journey) -> tuple[Party, Party]:
        first = journey.path[0]
        sender = Party(journey.origin, first.source)
        return sender, _receiver(journey) or self._known_as(first.destination, sender)

    def _answerer(self, journey: Journey) -> tuple[Party, Party]:
        if receiver := _receiver(journey):
            return self._known_as(journey.path[-1].source, receiver), receiver
        first = journey.path[0]
        if answered := self._passed.get((first.interface, first.destination, first.source)):
            return answered[1], answered[0]
        return Party(first.interface, first.source), Party(None, first.destination)

    def _known_as(self, endpoint: Endpoint, party: Party) -> Party:
        """Return whom a party calls by an endpoint."""
        if peer := self._peers.get((party, endpoint)):
            return peer
        for known in (self._owners[endpoint], self._callers[party, endpoint.address]):
            if len(known) == 1:
                return next(iter(known))
        return Party(None, endpoint)


def _sender(journey: Journey) -> Party | None:
    """Return the host's socket that sent a packet, if a host did."""
    return None if journey.from_gateway else Party(journey.origin, journey.path[0].source)


def _receiver(journey: Journey) -> Party | None:
    """Return the host's socket that a packet arrived at, if it did."""
    return Party(journey.destination, journey.path[-1].destination) if journey.arrived else None

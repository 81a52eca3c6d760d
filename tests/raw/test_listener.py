"""The listener over a wire that is none: what it answers, and what it asks to hear."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import cast

import pytest

from simopen import Endpoint
from simopen.raw import RawListener
from simopen.raw._half_open import HalfOpenTable
from simopen.raw._segments import ACK, SYN, Address, Flow, Segment, build
from simopen.raw._wire import Incoming, Wire

pytestmark = pytest.mark.anyio

LOCAL = Address(bytes((127, 0, 0, 1)), 1)  # nobody has a connection there


class Nothing(Exception):  # noqa: N818 - no error
    """The wire has no more."""


class FakeWire:
    """Plays packets, and takes note of what is sent and passed on."""

    def __init__(self, packets: Collection[Incoming]) -> None:
        self.packets = deque(packets)
        self.heard: Collection[int] | None = ()
        self.sent: list[tuple[int, int]] = []  # port, flags

    def receive(self) -> Incoming | None:
        """The next packet."""
        return self.packets.popleft() if self.packets else None

    async def wait(self) -> None:
        """End the test."""
        raise Nothing

    def expect(self, peers: Collection[int] | None) -> None:
        """What the filter would be."""
        self.heard = peers

    def send(self, flow: Flow, segment: Segment) -> None:
        """Whoever is answered is heard."""
        self.sent.append((flow.remote.port, segment.flags))
        assert self.heard is None or flow.remote.port in self.heard

    def close(self) -> None:
        """Nothing to close."""


def packet(port: int, flags: int, ack: int = 0) -> Incoming:
    """A packet of a peer."""
    remote = Address(bytes((127, 0, 0, 9)), port)
    segment = Segment(source=port, destination=LOCAL.port, seq=1, ack=ack, flags=flags)
    return Incoming(Flow(LOCAL, remote), build(segment, remote.packed, LOCAL.packed))


async def play(packets: Collection[Incoming], most: int = 8) -> FakeWire:
    """Have a listener take packets."""
    wire = FakeWire(packets)
    listener = RawListener(
        Endpoint("127.0.0.1", LOCAL.port), cast("Wire", wire), HalfOpenTable(bytes(16), most=most)
    )
    async with listener:
        with pytest.raises(Nothing):
            await listener.accept()
        assert listener.half_open <= most
    return wire


@pytest.mark.parametrize("most", [1, 3, 200])
async def test_each_answered_peer_is_heard(most: int) -> None:
    """Also one who takes another's place, and where there are more than the filter tells apart."""
    wire = await play([packet(port, SYN) for port in range(1000, 1100)], most=most)
    assert wire.sent == [(port, SYN | ACK) for port in range(1000, 1100)]


async def test_who_is_over_is_heard_no_more() -> None:
    """After a peer's reset the filter is as before."""
    reset = packet(1000, 0x04)
    reset = reset._replace(data=build(
        Segment(source=1000, destination=LOCAL.port, seq=2, flags=0x04), bytes((127, 0, 0, 9)),
        LOCAL.packed,
    ))  # fmt: skip
    wire = await play([packet(1000, SYN), reset])
    assert wire.heard == set()


@pytest.mark.parametrize(
    "make",
    [
        lambda: packet(1000, ACK, ack=5),
        lambda: packet(1000, SYN)._replace(data=b"not a segment"),
    ],
    ids=["a stray", "no segment"],
)
async def test_nothing_is_answered(make: Callable[[], Incoming]) -> None:
    """What is of no handshake, or nothing at all."""
    assert (await play([make()])).sent == []

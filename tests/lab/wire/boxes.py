"""A gateway model in a box, driven by packets; what it does is told as what somebody sees."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from simopen.lab.nat import (
    Filtering,
    Firewall,
    Hairpinning,
    Mapping,
    Nat,
    PortAllocation,
    Unsolicited,
)
from simopen.lab.wire.gateway import Emission, GatewayModel
from tests.lab.wire.packetry import Endpoint, Seen, see, tcp

OWN, OWN6 = "203.0.113.1", "2001:db8:1::1"

AXES: dict[str, st.SearchStrategy[Any]] = {
    "filtering": st.sampled_from(Filtering),
    "unsolicited": st.sampled_from(Unsolicited),
    "crossing_syn": st.booleans(),
    "rst_ends_session": st.booleans(),
}

firewalls = st.builds(Firewall, **AXES)

nats = st.builds(
    Nat,
    **AXES,
    mapping=st.sampled_from(Mapping),
    ports=st.sampled_from(PortAllocation),
    hairpinning=st.sampled_from(Hairpinning),
    first_port=st.sampled_from([1, 1024, 50_001]),
)


class Box:
    """One gateway at one moment, `now`, which a test may move on."""

    def __init__(
        self,
        spec: Nat | Firewall | None = None,
        *,
        own: str = OWN,
        seed: int = 1,
        kind: type[GatewayModel] = GatewayModel,
    ) -> None:
        self.model = kind(spec or Nat(), ipv4=own, ipv6=OWN6, chance=random.Random(seed))
        self.now = 0.0

    def outbound(self, raw: bytes) -> list[Emission]:
        """Give it a packet from inside."""
        return self.model.outbound(raw, self.now)

    def inbound(self, raw: bytes) -> list[Emission]:
        """Give it a packet from outside."""
        return self.model.inbound(raw, self.now)

    def send(self, raw: bytes) -> Seen | None:
        """Return what the outside sees of a packet from inside; None when it does not pass."""
        return forwarded(self.outbound(raw), outwards=True)

    def receive(self, raw: bytes) -> Seen | None:
        """Return what the inside sees of a packet from outside; None when it does not pass."""
        return forwarded(self.inbound(raw), outwards=False)

    def passes(self, raw: bytes) -> bool:
        """Whether a packet from outside comes in, with nothing else happening."""
        emissions = self.inbound(raw)
        return [(emission.outwards, emission.own) for emission in emissions] == [(False, False)]

    def external(
        self, source: Endpoint, remote: Endpoint, make: Callable[..., bytes] = tcp
    ) -> Endpoint:
        """Send the first packet of a flow; return whom the outside takes for its sender."""
        raw = tcp(source, remote, "S") if make is tcp else make(source, remote)
        seen = self.send(raw)
        assert seen is not None
        return seen.source

    def connect(self, source: Endpoint, remote: Endpoint) -> Endpoint:
        """Shake hands through it; return whom the outside takes for the one who began."""
        external = self.external(source, remote)
        assert self.receive(tcp(remote, external, "SA"))
        assert self.send(tcp(source, remote, "A"))
        return external


def forwarded(emissions: list[Emission], *, outwards: bool) -> Seen | None:
    """Return the one packet that was forwarded, and that way; None when none was."""
    if not emissions or all(emission.own for emission in emissions):
        return None
    [emission] = emissions
    assert (emission.outwards, emission.own) == (outwards, False)
    return see(emission.packet)


def own_answer(emissions: list[Emission], *, outwards: bool) -> Seen:
    """Return the one packet that the gateway made itself, and sent that way."""
    [emission] = emissions
    assert (emission.outwards, emission.own) == (outwards, True)
    return see(emission.packet)

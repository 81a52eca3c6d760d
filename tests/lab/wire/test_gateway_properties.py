"""The gateway model under whatever may come: properties that hold for all specs and packets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simopen.lab.nat import Filtering, Firewall, Mapping, Nat, PortAllocation
from simopen.lab.wire import refusals, sessions
from simopen.lab.wire.gateway import Counts, GatewayModel
from simopen.lab.wire.sessions import Session
from tests.lab.wire.boxes import OWN, OWN6, Box, firewalls, nats
from tests.lab.wire.packetry import Endpoint, Seen, echo, icmp_error, see, tcp, udp

# A busy machine is no failure.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

specs = st.one_of(nats, firewalls)
ports = st.integers(1, 65535)
few_ports = st.integers(1, 3)
makers = st.sampled_from([tcp, udp])

REMOTES = ["198.51.100.9", "198.51.100.10", "2001:db8:2::9", "2001:db8:2::10"]
HOSTS = {4: ["192.168.1.2", "192.168.1.3"], 6: ["2001:db8:1::2", "2001:db8:1::3"]}


def first(
    make: Callable[..., bytes], source: Endpoint, destination: Endpoint, data: bytes
) -> bytes:
    """Return a packet that begins a flow."""
    return tcp(source, destination, "S", data) if make is tcp else make(source, destination, data)


@st.composite
def flows(draw: st.DrawFn, port: st.SearchStrategy[int] = ports) -> tuple[Endpoint, Endpoint]:
    """Draw an endpoint inside and one outside."""
    remote = draw(st.sampled_from(REMOTES))
    host = draw(st.sampled_from(HOSTS[6 if ":" in remote else 4]))
    return (host, draw(port)), (remote, draw(port))


@unhurried
@given(
    spec=specs, exchanges=st.lists(st.tuples(flows(), makers, st.binary(max_size=9)), max_size=8)
)
def test_an_answer_comes_back_to_the_very_sender(
    spec: Nat | Firewall, exchanges: list[tuple[tuple[Endpoint, Endpoint], Any, bytes]]
) -> None:
    """Through any gateway, whatever else went through: right addresses, data and checksums."""
    box = Box(spec)
    for (host, remote), make, data in exchanges:
        out = box.send(first(make, host, remote, data))
        assert out is not None
        assert out.destination == remote
        answer = (
            tcp(remote, out.source, "SA", data) if make is tcp else udp(remote, out.source, data)
        )
        back = box.receive(answer)
        assert back is not None
        assert (back.source, back.destination) == (remote, host)
        assert back.payload[len(back.payload) - len(data) :] == data


class Arrival(NamedTuple):
    """Something from outside, to one of the endpoints that have been seen there."""

    remote: Endpoint
    target: int
    make: Callable[..., bytes]


arrivals = st.builds(
    Arrival,
    remote=st.tuples(st.sampled_from(REMOTES), few_ports),
    target=st.integers(0, 9),
    make=makers,
)


@unhurried
@given(
    spec=specs,
    events=st.lists(st.one_of(st.tuples(flows(few_ports), makers), arrivals), max_size=20),
)
def test_the_filter_lets_in_what_its_axis_allows_and_nothing_else(
    spec: Nat | Firewall, events: list[Any]
) -> None:
    """Against a memory of who was sent to from which external endpoint, and one line an axis."""
    box = Box(spec)
    overloads = isinstance(spec, Nat) and spec.ports is PortAllocation.PRESERVING_WITH_COLLISION
    sent: list[tuple[Callable[..., bytes], Endpoint, Endpoint]] = []
    for event in events:
        if not isinstance(event, Arrival):
            (host, remote), make = event
            out = box.send(first(make, host, remote, b""))
            assert out is not None
            sent.append((make, out.source, remote))
        elif targets := [
            external for _, external, _ in sent if _same_family(external, event.remote)
        ]:
            target = targets[event.target % len(targets)]
            known = [
                remote
                for make, external, remote in sent
                if (make, external) == (event.make, target)
            ]
            allowed = {
                Filtering.ENDPOINT_INDEPENDENT: bool(known),
                Filtering.ADDRESS_DEPENDENT: event.remote[0] in {address for address, _ in known},
                Filtering.ADDRESS_AND_PORT_DEPENDENT: event.remote in known,
            }[spec.filtering]
            passed = box.receive(first(event.make, event.remote, target, b"")) is not None
            if passed or not (overloads or (event.make is tcp and not spec.crossing_syn)):
                assert passed is allowed


def _same_family(one: Endpoint, other: Endpoint) -> bool:
    return (":" in one[0]) == (":" in other[0])


FEW_FLOWS = [  # so few that packets meet what earlier ones have left
    (("192.168.1.2", 1), ("198.51.100.9", 2)),
    (("192.168.1.2", 1), ("198.51.100.9", 3)),
    (("192.168.1.3", 1), ("198.51.100.9", 2)),
    (("2001:db8:1::2", 1), ("2001:db8:2::9", 2)),
]


@st.composite
def traffic(draw: st.DrawFn) -> tuple[bool, bytes]:
    """Draw a packet from inside or from outside, seldom whole in every respect."""
    host, remote = draw(st.sampled_from(FEW_FLOWS))
    own = OWN6 if ":" in host[0] else OWN
    outwards = draw(st.booleans())
    external = (own, host[1])
    source, destination = (
        (host, remote) if outwards else (remote, draw(st.sampled_from([external, host])))
    )
    if outwards and draw(st.integers(0, 3)) == 0:
        destination = external
    ttl = draw(st.sampled_from([64, 64, 64, 1, 0]))
    raw = draw(
        st.one_of(
            st.sampled_from(["S", "S", "SA", "A", "FA", "R", "SF"]).map(
                lambda flags: tcp(source, destination, flags, ttl=ttl)
            ),
            st.just(udp(source, destination, ttl=ttl)),
            st.booleans().map(lambda reply: echo(source[0], destination[0], host[1], reply=reply)),
            st.sampled_from([tcp(destination, source), tcp(host, remote), b"\x45"]).map(
                lambda quoted: icmp_error(source[0], destination[0], 3, 3, quoted, ttl=ttl)
            ),
            st.binary(max_size=60),
        )
    )
    for at, value in draw(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 255)), max_size=2)):
        if draw(st.booleans()):
            raw = raw[:at] + bytes([value]) + raw[at + 1 :]
    return outwards, raw


times = st.sampled_from([0.0, 0.0, 0.1, 5.0, 200.0, -0.001])


@unhurried
@given(spec=specs, packets=st.lists(st.tuples(traffic(), times), max_size=40))
def test_nothing_raises_nothing_grows_and_everything_is_counted_once(
    spec: Nat | Firewall, packets: list[tuple[tuple[bool, bytes], float]]
) -> None:
    """Whatever comes, and whenever: at most one packet is forwarded, and the tables agree."""
    box = Box(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "MAX_SESSIONS", 4)
        patch.setattr(refusals, "MAX_PENDING", 2)
        for (outwards, raw), elapsed in packets:
            box.now += elapsed
            emissions = box.outbound(raw) if outwards else box.inbound(raw)
            assert len(emissions) <= 1
            box.model.pop_due(box.now)
            _check_tables(box.model)
    counts = _as_dict(box.model.counts)
    counts.pop("refused")
    assert sum(counts.values()) == len(packets)


def _as_dict(counts: Counts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in Counts.__slots__}


def _check_tables(model: GatewayModel) -> None:
    table = model._sessions
    everything = set(table.inbound.values())
    queues = (table._established, table._transitory, table._connectionless)
    assert len(everything) == len(table.inbound) <= sessions.MAX_SESSIONS
    assert set(table.outbound.values()) <= everything
    assert sorted(map(id, everything)) == sorted(
        id(one) for queue in queues for one in queue.members
    )
    assert len(table.mappings) == len({id(session.mapping) for session in everything})
    assert len(model._refusals) <= refusals.MAX_PENDING


class Unhurried(GatewayModel):
    """A gateway that takes the long way with every packet."""

    def _settled(self, table: dict[bytes, Session], raw: bytes, now: float) -> Session | None:
        super()._settled(table, raw[:1], now)  # which has no key, but time passes
        return None


@unhurried
@given(spec=specs, packets=st.lists(st.tuples(traffic(), times), max_size=40), seed=st.integers())
def test_the_short_way_does_what_the_long_one_would(
    spec: Nat | Firewall, packets: list[tuple[tuple[bool, bytes], float]], seed: int
) -> None:
    """The same seed and packets give the same packets and counts, by either way."""
    boxes = [Box(spec, seed=seed), Box(spec, seed=seed, kind=Unhurried)]
    for box in boxes:
        for flow in FEW_FLOWS:
            box.connect(*flow)
    for (outwards, raw), elapsed in packets:
        for box in boxes:
            box.now += elapsed
        short, long = (box.outbound(raw) if outwards else box.inbound(raw) for box in boxes)
        assert short == long
    assert boxes[0].model.counts == boxes[1].model.counts


@unhurried
@given(spec=nats, seed=st.integers(), endpoints=st.lists(flows(), min_size=1, max_size=12))
def test_the_same_seed_gives_the_same_ports(
    spec: Nat, seed: int, endpoints: list[tuple[Endpoint, Endpoint]]
) -> None:
    """Whatever the axes; nothing else has a say."""
    given_ports = []
    for _ in range(2):
        box = Box(spec, seed=seed)
        given_ports.append([box.external(*flow) for flow in endpoints])
    assert given_ports[0] == given_ports[1]


# --- two sites -----------------------------------------------------------------------------------

COORDINATOR = ("198.51.100.77", 9000)


class Site:
    """A gateway with one host, which opens a connection with simple TCP."""

    def __init__(self, spec: Nat | Firewall, own: str, host: Endpoint, seed: int) -> None:
        self.box = Box(spec, own=own, seed=seed)
        self.host = host
        self.external = self.box.connect(host, COORDINATOR)
        self.peer = COORDINATOR
        self.state = "closed"

    def say(self, flags: str) -> list[bytes]:
        """Send a segment to the peer; return what comes out of the gateway."""
        emissions = self.box.outbound(tcp(self.host, self.peer, flags))
        return [emission.packet for emission in emissions if emission.outwards]

    def open(self, peer: Endpoint) -> list[bytes]:
        """Begin."""
        self.peer, self.state = peer, "SYN-SENT"
        return self.say("S")

    def say_again(self) -> list[bytes]:
        """Repeat what was not answered."""
        flags = {"SYN-SENT": "S", "SYN-RECEIVED": "SA"}.get(self.state)
        return self.say(flags) if flags else []

    def hear(self, raw: bytes) -> list[bytes]:
        """Take what arrives at the gateway; return what comes out of it."""
        answers = []
        for emission in self.box.inbound(raw):
            if emission.outwards:
                answers.append(emission.packet)
            else:
                answers += self._react(see(emission.packet))
        return answers

    def _react(self, seen: Seen) -> list[bytes]:
        if (seen.source, seen.destination) != (self.peer, self.host) or seen.protocol != 6:
            return []
        if seen.flags == "S" and self.state == "SYN-SENT":
            self.state = "SYN-RECEIVED"
            return self.say("SA")
        if seen.flags == "SA" and self.state in ("SYN-SENT", "SYN-RECEIVED"):
            self.state = "ESTABLISHED"
            return self.say("A")
        if seen.flags == "A" and self.state == "SYN-RECEIVED":
            self.state = "ESTABLISHED"
        return []


def is_predictable(spec: Nat | Firewall) -> bool:
    """Whether the peer sees the port that the coordinator has seen."""
    return (
        isinstance(spec, Firewall)
        or spec.mapping is Mapping.ENDPOINT_INDEPENDENT
        or spec.ports is PortAllocation.PRESERVING_WITH_COLLISION
    )


@unhurried
@given(specs=st.tuples(specs, specs), port=st.tuples(ports, ports), seed=st.integers())
def test_a_simultaneous_open_succeeds_exactly_when_the_axes_say_so(
    specs: tuple[Nat | Firewall, Nat | Firewall], port: tuple[int, int], seed: int
) -> None:
    """Two hosts, each behind a gateway, whose SYNs cross: filters and answers play no part.

    Both external ports have to be those the coordinator saw; and one gateway has to let the
    crossing SYN in, whose host then answers the other with a SYN-ACK.
    """
    first, second = (
        Site(
            spec,
            own=f"203.0.113.{number}",
            host=(f"192.168.{number}.2" if isinstance(spec, Nat) else f"192.0.2.{number}", port),
            seed=seed + number,
        )
        for number, (spec, port) in enumerate(zip(specs, port, strict=True), 1)
    )
    routes = {site.external[0]: site for site in (first, second)}
    under_way = first.open(second.external) + second.open(first.external)
    for _ in range(3):  # what remains unanswered is sent again
        while under_way:
            raw = under_way.pop(0)
            under_way += routes[see(raw).destination[0]].hear(raw)
        for site in (first, second):
            under_way += site.say_again()
    expected = all(is_predictable(spec) for spec in specs) and any(
        spec.crossing_syn for spec in specs
    )
    assert ({first.state, second.state} == {"ESTABLISHED"}) is expected

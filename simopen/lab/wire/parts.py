"""The parts a fabric is built of: each takes a packet at a moment and hands it on.

A `Sink` is where a packet is handed to. What takes no time calls the next sink at once; what does
puts it on the `Agenda`. Whatever happens, happens at the moment it was due, however late somebody
comes to let it happen, so that delays do not add up.
"""

from __future__ import annotations

import heapq
import ipaddress
import itertools
import math
from collections.abc import Callable, Iterable
from typing import TypeAlias

from simopen.capture.pcapng import Direction
from simopen.lab.wire.gateway import Emission, GatewayModel
from simopen.lab.wire.link import LinkModel
from simopen.lab.wire.recognition import Recognition

Sink: TypeAlias = Callable[[int, bytes, int], None]
"""Takes a packet's serial number, the packet, and the moment in nanoseconds."""

Note: TypeAlias = Callable[[str, Direction, int, bytes], None]
"""Told of a packet that passes now: at whom, which way, its serial number, the packet."""

_NS_PER_S = 1_000_000_000
_IPV4 = 4


class Agenda:
    """What is to happen, in the order of its moments, and of being put here where those agree."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Sink, int, bytes]] = []
        self._order = itertools.count()

    def add(self, due_ns: int, sink: Sink, serial: int, packet: bytes) -> None:
        """Have `sink` take a packet at a moment."""
        heapq.heappush(self._heap, (due_ns, next(self._order), sink, serial, packet))

    def catch_up(self, now_ns: int) -> None:
        """Let everything happen that is due."""
        heap = self._heap
        while heap and heap[0][0] <= now_ns:
            due_ns, _, sink, serial, packet = heapq.heappop(heap)
            sink(serial, packet, due_ns)

    def next_due(self) -> int | None:
        """Return when something happens next, or None."""
        return self._heap[0][0] if self._heap else None


def pipe(link: LinkModel, agenda: Agenda, sink: Sink) -> Sink:
    """Return the near end of a link whose far end is `sink`."""
    transmit, add = link.transmit, agenda.add
    if link.instant:
        counts = link.counts

        def pass_on(serial: int, packet: bytes, at_ns: int) -> None:
            counts.accepted += 1
            sink(serial, packet, at_ns)

        return pass_on

    def send(serial: int, packet: bytes, at_ns: int) -> None:
        for due_ns in transmit(len(packet), at_ns):
            add(due_ns, sink, serial, packet)

    return send


def noted(note: Note | None, name: str, direction: Direction, sink: Sink) -> Sink:
    """Return `sink`, with every packet noted before."""
    if note is None:
        return sink

    def pass_on(serial: int, packet: bytes, at_ns: int) -> None:
        note(name, direction, serial, packet)
        sink(serial, packet, at_ns)

    return pass_on


class Router:
    """Sends each packet where its destination's address says; a LAN, or the internet.

    Args:
        default: Where everything else goes.
    """

    def __init__(self, default: Sink) -> None:
        self.default = default
        self._routes: dict[bytes, Sink] = {}

    def add(self, addresses: Iterable[str], sink: Sink) -> None:
        """Send what is for these addresses to `sink`."""
        for address in addresses:
            self._routes[ipaddress.ip_address(address).packed] = sink

    def route(self, serial: int, packet: bytes, at_ns: int) -> None:
        """Take a packet."""
        version = packet[0] >> 4 if packet else 0
        destination = packet[16:20] if version == _IPV4 else packet[24:40]
        self._routes.get(destination, self.default)(serial, packet, at_ns)


class ModelPassage:
    """The way through a gateway that a model plays.

    Args:
        model: The gateway.
        agenda: Where its timers wait.
        new_serial: Numbers the packets it makes itself.
        inwards: Where what it lets in goes.
        outwards: Where what it lets out goes.
    """

    def __init__(
        self,
        model: GatewayModel,
        agenda: Agenda,
        new_serial: Callable[[], int],
        inwards: Sink,
        outwards: Sink,
    ) -> None:
        self._model = model
        self._agenda = agenda
        self._new_serial = new_serial
        self._inwards = inwards
        self._outwards = outwards
        self._wakes_at = math.inf  # seconds; the earliest moment we have asked to be woken

    def from_inside(self, serial: int, packet: bytes, at_ns: int) -> None:
        """Take a packet on its way out."""
        self._emit(self._model.outbound(packet, at_ns / _NS_PER_S), serial, at_ns)
        self._ask_to_be_woken()  # a hairpinned SYN may wait for its answer as well

    def from_outside(self, serial: int, packet: bytes, at_ns: int) -> None:
        """Take a packet on its way in."""
        self._emit(self._model.inbound(packet, at_ns / _NS_PER_S), serial, at_ns)
        self._ask_to_be_woken()

    def _emit(self, emissions: list[Emission], serial: int, at_ns: int) -> None:
        for outwards, packet, own in emissions:
            number = self._new_serial() if own else serial
            (self._outwards if outwards else self._inwards)(number, packet, at_ns)

    def _ask_to_be_woken(self) -> None:
        deadline = self._model.next_deadline()
        if deadline is not None and deadline < self._wakes_at:
            self._wakes_at = deadline
            self._agenda.add(math.ceil(deadline * _NS_PER_S), self._wake, 0, b"")

    def _wake(self, _serial: int, _packet: bytes, at_ns: int) -> None:
        self._wakes_at = math.inf
        # the division may fall short of a deadline that was rounded up to this very moment
        self._emit(self._model.pop_due(math.nextafter(at_ns / _NS_PER_S, math.inf)), 0, at_ns)
        self._ask_to_be_woken()


class KernelPassage:
    """The way through a kernel's router: in by one of its ports, out by the other.

    Args:
        to_outside: Its outside port, as seen from the wire.
        to_inside: Its inside port.
        new_serial: Numbers the packets it makes itself.
        inwards: Where what leaves its inside goes.
        outwards: Where what leaves its outside goes.
    """

    def __init__(
        self,
        to_outside: Sink,
        to_inside: Sink,
        new_serial: Callable[[], int],
        inwards: Sink,
        outwards: Sink,
    ) -> None:
        self._recognition = Recognition(new_serial)
        self._to_outside = to_outside
        self._to_inside = to_inside
        self._inwards = inwards
        self._outwards = outwards

    def from_inside(self, serial: int, packet: bytes, at_ns: int) -> None:
        """Take a packet on its way out."""
        self._recognition.enter(packet, serial)
        self._to_inside(serial, packet, at_ns)

    def from_outside(self, serial: int, packet: bytes, at_ns: int) -> None:
        """Take a packet on its way in."""
        self._recognition.enter(packet, serial)
        self._to_outside(serial, packet, at_ns)

    def leave_inside(self, _serial: int, packet: bytes, at_ns: int) -> None:
        """Take what the router has sent by its inside port."""
        self._inwards(self._recognition.leave(packet), packet, at_ns)

    def leave_outside(self, _serial: int, packet: bytes, at_ns: int) -> None:
        """Take what the router has sent by its outside port."""
        self._outwards(self._recognition.leave(packet), packet, at_ns)

"""A reading drawn: as text, as SVG, and as a capture file.

Theory of operation
===================

Only our side has been recorded, and a ladder has two. A packet that was answered is put at the
other side in the middle between its departure and the answer, and there the answer leaves. All else
is put there half a round trip away: what we sent arrives so much later, what we received left so
much earlier. That is exact where the way there is as long as the way back, and the pictures mark
those times. Where nothing was ever answered both sides have the same time, and none is told.

Of our own packets a SYN that nothing answered is drawn as one that never arrived, although it may
have: nobody can tell. Whatever else we sent is drawn as arrived.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simopen.capture import pcapng, picture, svg
from simopen.capture.journey import Sighting
from simopen.capture.ladder import Step
from simopen.capture.pcapng import Direction
from simopen.capture.view import View

from ._reading import HandshakeKind

if TYPE_CHECKING:
    from ._reading import Reading
    from ._steps import TraceStep

_NS_PER_S = 1_000_000_000
HERE = "here"
_FAR_SIDE = {HandshakeKind.SELF: "itself", HandshakeKind.THREE_WAY: "listener"}


def text(reading: Reading, *, ascii_only: bool) -> str:
    """Return the ladder, at most 80 columns wide; empty where there are no packets."""
    if not reading.steps:
        return ""
    return picture.draw(
        _steps(reading), HERE, _far(reading), ascii_only=ascii_only, view=_view(reading)
    )


def image(reading: Reading) -> str:
    """Return the ladder as an SVG document."""
    return svg.draw_steps(_steps(reading), (HERE, _far(reading)), _view(reading))


def capture(reading: Reading) -> bytes:
    """Return the packets' headers as a pcapng file."""
    blocks = [pcapng.header([pcapng.Interface(HERE)], application="simopen")]
    for number, seen in enumerate(reading.packets):
        way = Direction.OUTBOUND if seen.outgoing else Direction.INBOUND
        length = max(_length(seen.data), len(seen.data))
        blocks.append(pcapng.packet_block(0, way, seen.time_ns, number, seen.data, length=length))
    return b"".join(blocks)


def _length(data: bytes) -> int:
    """Return the length of a packet of whose beginning its headers are."""
    if data[0] >> 4 == 4:  # noqa: PLR2004 - the protocol's own number
        return int.from_bytes(data[2:4], "big")
    return 40 + int.from_bytes(data[4:6], "big")


def _far(reading: Reading) -> str:
    return _FAR_SIDE.get(reading.kind, "peer")


def _view(reading: Reading) -> View:
    ours, theirs = reading.pair
    return View(
        heads=(f"{HERE} {ours}", f"{theirs} {_far(reading)}"),
        states={number: step.state for number, step in enumerate(reading.steps)},
        numbered={number for number, step in enumerate(reading.steps) if _is_numbered(step)},
        reckoned=_way(reading) > 0,
    )


def _is_numbered(step: TraceStep) -> bool:
    """Whether a step's numbers say something; those of a bare reset are the caller's."""
    return step.seq is not None and step.flags != "RST"


def _way(reading: Reading) -> float:
    """Return the seconds from one side to the other."""
    return (reading.round_trip or 0.0) / 2 if reading.packets else 0.0


def _steps(reading: Reading) -> list[Step]:
    middles = {
        answer: (answer - asked.at) / 2
        for asked in reading.steps
        if (answer := asked.answered_at) is not None and reading.packets
    }
    usual = _way(reading)
    return [
        _step(reading, number, step, middles.get(step.answered_at or step.at, usual))
        for number, step in enumerate(reading.steps)
    ]


def _step(reading: Reading, number: int, step: TraceStep, way: float) -> Step:
    far = _far(reading)
    lost = step.outgoing and step.flags == "SYN" and step.answered_at is None
    departs = step.at if step.outgoing else step.at - way
    arrives = step.at + way if step.outgoing else step.at
    stops = (
        [(HERE, departs), (far, arrives)] if step.outgoing else [(far, departs), (HERE, arrives)]
    )
    ends = reading.pair if step.outgoing else reading.pair[::-1]
    path = tuple(
        Sighting(name, direction, round(at * _NS_PER_S), *ends)
        for (name, at), direction in zip(
            stops, (Direction.OUTBOUND, Direction.INBOUND), strict=True
        )
    )
    return Step(
        sent_at=departs,
        arrived_at=None if lost else arrives,
        sender=stops[0][0],
        flags=step.flags,
        payload_bytes=step.payload_bytes,
        seq=step.seq or 0,
        ack=step.ack or 0,
        packet_id=number,
        receiver=stops[1][0],
        path=path[:1] if lost else path,
    )

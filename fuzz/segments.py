"""Bytes are a segment that is built to the same again, or none; no handshake opens without our ACK.

Nor does a reset make it answer with a reset. The first byte tells which handshake there is; then
come the segments, each behind its length, with their numbers brought near ours, which chance would
not do.
"""

from __future__ import annotations

from simopen.raw._handshake import Action, Handshake, Numbers, Offer, State
from simopen.raw._segments import (
    RST,
    Address,
    Flow,
    Segment,
    SegmentError,
    build,
    is_sound,
    parse,
)

LONGEST = 400
ISS, IRS = 1000, 5000
A, B = Address(bytes((192, 0, 2, 1)), 7777), Address(bytes((192, 0, 2, 2)), 40_000)


def _seed(kind: int, *segments: Segment) -> bytes:
    packets = [build(each, B.packed, A.packed) for each in segments]
    return bytes((kind,)) + b"".join(bytes((len(each),)) + each for each in packets)


def _segment(flags: int, seq: int, ack: int = 0) -> Segment:
    return Segment(source=B.port, destination=A.port, seq=seq, ack=ack, flags=flags)


SEEDS = (
    _seed(0, _segment(0x02, 4), _segment(0x10, 5, 5)),
    _seed(0, _segment(0x02, 4), _segment(0x02, 4), _segment(0x04, 5)),
    _seed(1, _segment(0x12, 4, 5)),
    _seed(1, _segment(0x02, 4), _segment(0x12, 4, 5)),
    _seed(1, _segment(0x14, 0, 5)),
)


def check(data: bytes) -> None:
    """Try some bytes."""
    passive = not data[:1] or data[0] % 2 == 0
    offer = Offer(mss=1460, window=64_240, window_scale=7)
    numbers = Numbers(sequence=ISS, stamp=0)
    handshake = Handshake(Flow(A, B), offer, numbers, passive=passive)
    if not passive:
        handshake.start(0.0)
    rest = data[1:]
    while rest and handshake.state not in (State.CLOSED, State.ESTABLISHED):
        packet, rest = rest[1 : 1 + rest[0]], rest[1 + rest[0] :]
        segment = _read(packet)
        if segment is not None:
            _check_step(handshake, segment)


def _read(packet: bytes) -> Segment | None:
    try:
        segment = parse(packet)
    except SegmentError:
        return None
    assert len(segment.data) <= len(packet) - 20
    again = build(segment, B.packed, A.packed)
    assert parse(again) == segment
    assert is_sound(again, B.packed, A.packed)
    numbers = {"seq": IRS - 4 + segment.seq % 2**17, "ack": ISS - 4 + segment.ack % 2**4}
    return Segment(
        source=segment.source,
        destination=segment.destination,
        flags=segment.flags,
        window=segment.window,
        options=segment.options,
        data=segment.data,
        **numbers,
    )


def _check_step(handshake: Handshake, segment: Segment) -> None:
    action = handshake.receive(segment, 1.0)
    if segment.flags & RST:
        assert action in (Action.IGNORE, Action.END, Action.SEND_ACK)
    if action.name.startswith("SEND"):
        answer = handshake.segment(action, 1.0, segment)
        assert parse(build(answer, A.packed, B.packed)) == answer
    if handshake.state is State.ESTABLISHED:
        assert segment.flags & 0x10
        assert segment.ack == ISS + 1
        made = handshake.connection(1.0)
        assert made.mss >= 88
        assert 0 <= made.send_window < 2**30

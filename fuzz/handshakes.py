"""Any packets make a trace that is told, drawn and written within its bounds.

The input is a list of packets, each behind two bytes: how long it is, and its way and the time
since the one before. The endpoints are those of the seeds.
"""

from __future__ import annotations

from simopen.capture import pcapng
from simopen.capture.packets import Endpoint
from simopen.trace import HandshakeTrace
from simopen.trace._log import MAX_PACKETS, Log
from simopen.trace._steps import Frame
from tests.lab.wire.packetry import icmp_error, tcp

LONGEST = 600

_OURS, _THEIRS = ("192.0.2.1", 40000), ("198.51.100.9", 40001)
_PAIR = Endpoint(*_OURS), Endpoint(*_THEIRS)
_MS = 1_000_000  # nanoseconds
_COLUMNS = 80


def _frames(data: bytes) -> list[Frame]:
    frames, time_ns = [], 0
    while len(data) > 2:
        length, how = data[0], data[1]
        time_ns += (how >> 1) * _MS
        frames.append(Frame(time_ns, bool(how & 1), "lo", data[2 : 2 + length]))
        data = data[2 + length :]
    return frames


def _packet(data: bytes, *, leaves: bool, ms: int = 20) -> bytes:
    return bytes([len(data), ms << 1 | leaves]) + data


_SYN = tcp(_OURS, _THEIRS, "S")
_THEIR_SYN = tcp(_THEIRS, _OURS, "S")

SEEDS = (
    _packet(_SYN, leaves=True) + _packet(tcp(_THEIRS, _OURS, "SA"), leaves=False),
    _packet(_SYN, leaves=True)
    + _packet(_THEIR_SYN, leaves=False)
    + _packet(tcp(_OURS, _THEIRS, "SA"), leaves=True)
    + _packet(tcp(_THEIRS, _OURS, "SA"), leaves=False),
    _packet(_SYN, leaves=True) + _packet(tcp(_THEIRS, _OURS, "RA"), leaves=False),
    _packet(_SYN, leaves=True)
    + _packet(icmp_error("198.51.100.1", _OURS[0], 3, 1, _SYN), leaves=False),
    _packet(_THEIR_SYN, leaves=False) * 3,
)


def check(data: bytes) -> None:
    """Try some bytes."""
    frames = _frames(data)
    for connected in (None, _PAIR):
        log = Log(pairs=[_PAIR], connected=connected, connected_at=1.0)
        for frame in frames:
            log.note_packet(frame)
        assert len(log.frames) + log.dropped == len(frames)
        trace = HandshakeTrace()
        trace.fill(log)
        _check(trace, len(frames))


def _check(trace: HandshakeTrace, frames: int) -> None:
    assert len(trace.steps) <= min(frames, MAX_PACKETS)
    times = [step.at for step in trace.steps]
    assert times == sorted(times)
    assert all(step.seq is None or step.seq >= 0 for step in trace.steps)
    assert trace.retransmit_cost >= 0
    assert trace.round_trip is None or trace.round_trip >= 0
    assert all(len(line) <= _COLUMNS for line in trace.ladder().splitlines())
    assert str(trace)
    assert trace.svg().startswith("<svg")
    assert len(pcapng.read(trace.pcapng())) >= len(trace.steps)

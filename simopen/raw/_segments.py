"""TCP segments as bytes: read, written, summed; and the arithmetic of sequence numbers.

Theory of operation
===================

:func:`parse` reads what follows the IP header, :func:`build` writes it with its checksum. Of the
options those of a handshake are read: maximum segment size (RFC 9293 §3.7.1), window scale and
timestamps (RFC 7323), SACK permitted (RFC 2018). Others are skipped, so that fast open and MPTCP
fall back to plain TCP as they are made to.

The checksum of a packet that has not been on a wire is often not there: the sender leaves it to
the network card, and the kernel's receive offload drops it. In either case the field has the sum of
the pseudo-header alone, and :func:`is_sound` takes that as well as the full one.

Invariants
==========

- Bytes are read or raise :class:`SegmentError`, and nothing else.
- What :func:`build` writes, :func:`parse` reads to the same segment.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
"""Control bits."""

HEADER_BYTES = 20  # of a TCP header without options
LARGEST_SCALE = 14  # RFC 7323 §2.3: a larger one counts as this
MODULUS = 2**32  # of sequence numbers and timestamps

_HEADER = struct.Struct("!HHIIBBHHH")
_CHECKSUM_AT = 16
_END, _NOTHING, _MSS, _SCALE, _SACK_PERMITTED, _TIMESTAMPS = 0, 1, 2, 3, 4, 8  # kinds of options
_LENGTHS = {_MSS: 4, _SCALE: 3, _SACK_PERMITTED: 2, _TIMESTAMPS: 10}
_TCP = 6


class SegmentError(ValueError):
    """These bytes are no TCP segment."""


class Address(NamedTuple):
    """One end of a connection, as packets have it.

    Attributes:
        packed: 4 or 16 bytes.
        port: Of TCP.
        zone: The interface's index where a link-local IPv6 address needs one, else 0.
    """

    packed: bytes
    port: int
    zone: int = 0


class Flow(NamedTuple):
    """The two ends of a connection."""

    local: Address
    remote: Address


class Timestamps(NamedTuple):
    """The timestamps option: ours, and the last of theirs (TSval and TSecr)."""

    value: int
    echo: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a segment that matter to a handshake; None or False where they are absent.

    Attributes:
        mss: The largest segment its sender takes, in bytes of data.
        window_scale: By how many bits its sender's windows are shifted.
        sack_permitted: Whether its sender understands SACK.
        timestamps: The two of them.
    """

    mss: int | None = None
    window_scale: int | None = None
    sack_permitted: bool = False
    timestamps: Timestamps | None = None


NO_OPTIONS = Options()


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One segment.

    Attributes:
        source: Its sender's port.
        destination: Its receiver's.
        seq: The sequence number of its first octet, or of its SYN.
        ack: The next one its sender expects; means something with ACK only.
        flags: Control bits.
        window: As the header has it, unscaled.
        options: What it says besides.
        data: What it carries.
    """

    source: int
    destination: int
    seq: int
    ack: int = 0
    flags: int = 0
    window: int = 0
    options: Options = NO_OPTIONS
    data: bytes = b""

    @property
    def length(self) -> int:
        """SEG.LEN: its data in bytes, with SYN and FIN counted (RFC 9293 §3.4)."""
        return len(self.data) + bool(self.flags & SYN) + bool(self.flags & FIN)


def parse(data: bytes) -> Segment:
    """Read a segment.

    Args:
        data: What follows the IP header.

    Raises:
        SegmentError: It is none.
    """
    if len(data) < HEADER_BYTES:
        raise SegmentError(f"{len(data)} bytes are no TCP header")
    source, destination, seq, ack, offset, flags, window, _, _ = _HEADER.unpack_from(data)
    begin = (offset >> 4) * 4
    if not HEADER_BYTES <= begin <= len(data):
        raise SegmentError(f"a header of {begin} bytes in a segment of {len(data)}")
    return Segment(
        source=source,
        destination=destination,
        seq=seq,
        ack=ack,
        flags=flags,
        window=window,
        options=_parse_options(data[HEADER_BYTES:begin]),
        data=data[begin:],
    )


def build(segment: Segment, source: bytes, destination: bytes) -> bytes:
    """Write a segment.

    Args:
        segment: What to write.
        source: The address it is sent from, packed; the checksum covers it.
        destination: The address it is sent to.
    """
    options = _build_options(segment.options)
    header = _HEADER.pack(
        segment.source,
        segment.destination,
        segment.seq,
        segment.ack,
        (HEADER_BYTES + len(options)) // 4 << 4,
        segment.flags,
        segment.window,
        0,
        0,
    )
    return with_checksum(header + options + segment.data, source, destination)


def with_checksum(data: bytes, source: bytes, destination: bytes) -> bytes:
    """A segment with its checksum.

    Args:
        data: The segment with any.
        source: The address it is sent from, packed.
        destination: The address it is sent to.
    """
    data = data[:_CHECKSUM_AT] + bytes(2) + data[_CHECKSUM_AT + 2 :]
    checksum = ~_sum(_pseudo_header(source, destination, len(data)) + data) & 0xFFFF
    return data[:_CHECKSUM_AT] + checksum.to_bytes(2, "big") + data[_CHECKSUM_AT + 2 :]


def is_sound(data: bytes, source: bytes, destination: bytes) -> bool:
    """Whether a segment's checksum is right, or was left for a network card to compute.

    Args:
        data: The segment, of at least a header.
        source: The address it came from, packed.
        destination: The address it came to.
    """
    pseudo_header = _pseudo_header(source, destination, len(data))
    if _sum(pseudo_header + data) == 0xFFFF:  # noqa: PLR2004 - minus zero, as in RFC 1071
        return True
    return int.from_bytes(data[_CHECKSUM_AT : _CHECKSUM_AT + 2], "big") == _sum(pseudo_header)


def plus(number: int, count: int) -> int:
    """A sequence number ``count`` further on."""
    return (number + count) % MODULUS


def is_within(number: int, first: int, count: int) -> bool:
    """Whether a sequence number is one of ``count`` from ``first`` on."""
    return (number - first) % MODULUS < count


def _parse_options(data: bytes) -> Options:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data) and data[at] != _END:
        if data[at] == _NOTHING:
            at += 1
            continue
        kind, length = data[at], data[at + 1] if at + 1 < len(data) else 0
        if length < 2 or at + length > len(data):  # noqa: PLR2004 - kind and length themselves
            raise SegmentError(f"option {kind} has no room for its {length} bytes")
        if length != _LENGTHS.get(kind, length):
            raise SegmentError(f"option {kind} of {length} bytes")
        found[kind] = data[at + 2 : at + length]
        at += length
    return Options(
        mss=int.from_bytes(found[_MSS], "big") if _MSS in found else None,
        window_scale=min(found[_SCALE][0], LARGEST_SCALE) if _SCALE in found else None,
        sack_permitted=_SACK_PERMITTED in found,
        timestamps=Timestamps(*struct.unpack("!II", found[_TIMESTAMPS]))
        if _TIMESTAMPS in found
        else None,
    )


def _build_options(options: Options) -> bytes:
    """The options in Linux's order, padded to whole words."""
    parts = []
    if options.mss is not None:
        parts.append(struct.pack("!BBH", _MSS, 4, options.mss))
    if options.sack_permitted:
        parts.append(bytes((_SACK_PERMITTED, 2)))
    if options.timestamps is not None:
        parts.append(struct.pack("!BBII", _TIMESTAMPS, 10, *options.timestamps))
    if options.window_scale is not None:
        parts.append(bytes((_NOTHING, _SCALE, 3, options.window_scale)))
    joined = b"".join(parts)
    return bytes((_NOTHING,)) * (-len(joined) % 4) + joined


def _pseudo_header(source: bytes, destination: bytes, length: int) -> bytes:
    """What the checksum covers besides (RFC 9293 §3.1): the sum is the same for both versions."""
    return source + destination + struct.pack("!II", length, _TCP)


def _sum(data: bytes) -> int:
    """The ones' complement sum of 16-bit words (RFC 1071), which is the remainder by 65535."""
    number = int.from_bytes(data + bytes(len(data) % 2), "big")
    return number % 0xFFFF or (0xFFFF if number else 0)

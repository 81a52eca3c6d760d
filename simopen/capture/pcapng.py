"""Packet captures in pcapng, the format Wireshark and tshark read: a writer and a strict reader.

Theory of operation
-------------------
A capture is one section: a Section Header Block, Interface Description Blocks, then Enhanced Packet
Blocks, about in time order. There is an interface for each host, named after it, and one for the
outside of each gateway, named after its site. A packet is written wherever it passes one, as
*outbound* where it leaves and as *inbound* where it arrives, translated addresses and all. All its
blocks carry the same `epb_packetid`, which pcapng has for exactly this: one packet seen by several
interfaces. A packet that was lost has no block at its receiver.

A block names its interface by position, so captures that begin with the same header may share the
bytes of a block: one for a whole network and one for a part of it cost one `packet_block`.

Only the head of each packet is kept; the block still states the original length. Numbers are
little-endian, times are nanoseconds since the epoch, the link type is raw IP. The reader reads what
the writer writes and refuses everything else with `CaptureError`.

Source: draft-ietf-opsawg-pcapng, sections 3 and 4; link types from the tcpdump.org registry.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LINKTYPE_RAW = 101
"""Packets begin with an IPv4 or IPv6 header (tcpdump.org link type registry)."""

DEFAULT_SNAP_BYTES = 128
"""Bytes kept of a packet: the longest IPv4 and TCP headers are 120 together, IPv6's are 100."""

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_BYTE_ORDER_MAGIC = 0x1A2B3C4D
_UNKNOWN_SECTION_LENGTH = 0xFFFF_FFFF_FFFF_FFFF
_OPT_USERAPPL, _OPT_IF_NAME, _OPT_IF_DESCRIPTION, _OPT_TSRESOL = 4, 2, 3, 9
_OPT_FLAGS, _OPT_PACKETID = 2, 5
_NANOSECONDS = 9  # if_tsresol: a power of ten, negated

_WORD_BYTES = 4
_MIN_BLOCK_BYTES = 12  # type, length, and the length again

_BLOCK = struct.Struct("<II")
_SECTION_BODY = struct.Struct("<IHHQ")
_INTERFACE_BODY = struct.Struct("<HHI")
_PACKET_BODY = struct.Struct("<IIIII")
_PACKET_HEAD = struct.Struct("<IIIIIII")
_PACKET_TAIL = struct.Struct("<HHIHHQHHI")
_PACKET_OPTIONS = struct.Struct("<HHIHHQHH")


class CaptureError(ValueError):
    """The bytes are not a capture as this module writes it."""


class Direction(enum.IntEnum):
    """Which way a packet passed its interface; the values of `epb_flags`."""

    INBOUND = 1
    OUTBOUND = 2


class Interface(NamedTuple):
    """Where packets are seen passing.

    Attributes:
        name: Name of a host, or of a site.
        gateway: Whether this is the outside of the gateway of a site.
    """

    name: str
    gateway: bool = False

    @property
    def description(self) -> str:
        """What it is, as readers of captures show it."""
        return f"outside of site {self.name}" if self.gateway else f"host {self.name}"


@dataclass(frozen=True, slots=True)
class Record:
    """One packet passing one interface.

    Attributes:
        interface: Name of the host, or of the site whose gateway's outside it is.
        direction: Whether it was sent or received there.
        time_ns: Nanoseconds since the epoch.
        packet_id: Equal on all records of one packet.
        data: The first bytes of the packet.
        length: Bytes of the whole packet.
        gateway: Whether the interface is the outside of a gateway, as far as the capture says.
    """

    interface: str
    direction: Direction
    time_ns: int
    packet_id: int
    data: bytes
    length: int
    gateway: bool = False


def header(
    interfaces: Sequence[Interface | str],
    snap_bytes: int = DEFAULT_SNAP_BYTES,
    *,
    application: str = "simopen.lab",
) -> bytes:
    """Return the blocks that open a capture.

    Args:
        interfaces: Where packets will be seen; of one that is only a name, the capture does not say
            whether it is a host's. Packet blocks refer to them by position.
        snap_bytes: The most bytes kept of a packet.
        application: What has recorded it.
    """
    section = _SECTION_BODY.pack(_BYTE_ORDER_MAGIC, 1, 0, _UNKNOWN_SECTION_LENGTH)
    blocks = [_block(_SECTION, section + _option(_OPT_USERAPPL, application.encode()) + _option(0))]
    for interface in interfaces:
        body = _INTERFACE_BODY.pack(LINKTYPE_RAW, 0, snap_bytes)
        if isinstance(interface, Interface):
            body += _option(_OPT_IF_NAME, interface.name.encode())
            body += _option(_OPT_IF_DESCRIPTION, interface.description.encode())
        else:
            body += _option(_OPT_IF_NAME, interface.encode())
        body += _option(_OPT_TSRESOL, bytes([_NANOSECONDS])) + _option(0)
        blocks.append(_block(_INTERFACE, body))
    return b"".join(blocks)


def packet_block(
    interface: int,
    direction: Direction,
    time_ns: int,
    packet_id: int,
    packet: bytes,
    snap_bytes: int = DEFAULT_SNAP_BYTES,
    length: int | None = None,
) -> bytes:
    """Return the block of one packet passing one interface.

    Args:
        interface: Position of the interface in the header.
        direction: Whether it was sent or received there.
        time_ns: Nanoseconds since the epoch.
        packet_id: The same for all records of a packet.
        packet: The whole packet.
        snap_bytes: The most bytes to keep of it.
        length: Its length in bytes, where only its beginning is given.
    """
    data = packet[:snap_bytes]
    kept = len(data)
    padding = -kept % _WORD_BYTES
    total = _PACKET_HEAD.size + kept + padding + _PACKET_TAIL.size
    high, low = time_ns >> 32, time_ns & 0xFFFF_FFFF
    head = _PACKET_HEAD.pack(_PACKET, total, interface, high, low, kept, length or len(packet))
    options = (_OPT_FLAGS, 4, direction, _OPT_PACKETID, 8, packet_id, 0, 0)
    return head + data + bytes(padding) + _PACKET_TAIL.pack(*options, total)


def read(data: bytes, *, growing: bool = False) -> list[Record]:
    """Read a capture.

    Args:
        data: The bytes of the file.
        growing: The file is still being written, so an incomplete block at its end is left out.

    Raises:
        CaptureError: The bytes are anything else than a capture of this module.
    """
    blocks = _blocks(data, growing=growing)
    kind, body = next(blocks, (None, b""))
    if kind != _SECTION:
        raise CaptureError("a capture begins with a section header")
    _check_section(body)
    interfaces: list[tuple[Interface, int]] = []
    records: list[Record] = []
    for kind, body in blocks:
        if kind == _INTERFACE:
            interfaces.append(_read_interface(body))
        elif kind == _PACKET:
            records.append(_read_packet(body, interfaces))
        else:
            raise CaptureError(f"unknown block type {kind:#x}")
    return records


def _block(kind: int, body: bytes) -> bytes:
    total = _MIN_BLOCK_BYTES + len(body)
    return _BLOCK.pack(kind, total) + body + total.to_bytes(_WORD_BYTES, "little")


def _option(code: int, value: bytes = b"") -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % _WORD_BYTES)


def _blocks(data: bytes, *, growing: bool) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset < len(data):
        try:
            kind, body = _cut(data, offset)
        except _IncompleteError:
            if growing:
                return
            raise
        offset += _MIN_BLOCK_BYTES + len(body)
        yield kind, body


class _IncompleteError(CaptureError):
    """The bytes end inside a block."""


def _cut(data: bytes, offset: int) -> tuple[int, bytes]:
    """Return type and body of the block at `offset`."""
    if len(data) - offset < _BLOCK.size:
        raise _IncompleteError("the capture ends inside a block")
    kind, total = _BLOCK.unpack_from(data, offset)
    if total < _MIN_BLOCK_BYTES or total % _WORD_BYTES:
        raise CaptureError(f"a block cannot be {total} bytes long")
    end = offset + total
    if end > len(data):
        raise _IncompleteError("the capture ends inside a block")
    if data[end - _WORD_BYTES : end] != data[offset + _WORD_BYTES : offset + _BLOCK.size]:
        raise CaptureError("a block's two lengths differ")
    return kind, data[offset + _BLOCK.size : end - _WORD_BYTES]


def _check_section(body: bytes) -> None:
    expected = _SECTION_BODY.pack(_BYTE_ORDER_MAGIC, 1, 0, _UNKNOWN_SECTION_LENGTH)
    if body[: len(expected)] != expected:
        raise CaptureError("not a little-endian pcapng 1.0 section of unknown length")


def _read_interface(body: bytes) -> tuple[Interface, int]:
    """Return an interface and the most bytes kept of a packet there."""
    if len(body) < _INTERFACE_BODY.size:
        raise CaptureError("an interface block is too short")
    link_type, _, snap_bytes = _INTERFACE_BODY.unpack_from(body)
    options = dict(_options(body[_INTERFACE_BODY.size :]))
    if link_type != LINKTYPE_RAW or options.get(_OPT_TSRESOL) != bytes([_NANOSECONDS]):
        raise CaptureError("an interface is not raw IP with nanoseconds")
    try:
        name = options[_OPT_IF_NAME].decode()
    except (KeyError, UnicodeDecodeError) as error:
        raise CaptureError("an interface has no name") from error
    description = options.get(_OPT_IF_DESCRIPTION)
    for interface in (Interface(name), Interface(name, gateway=True)):
        if description in (interface.description.encode(), None):
            return interface, snap_bytes
    raise CaptureError(f"an interface is neither a host nor a gateway but {description!r}")


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _WORD_BYTES <= len(data):
        code, length = struct.unpack_from("<HH", data, offset)
        if code == 0:
            return
        value = data[offset + _WORD_BYTES : offset + _WORD_BYTES + length]
        yield code, value
        offset += _WORD_BYTES + length + (-length % _WORD_BYTES)
    raise CaptureError("a list of options has no end")


def _read_packet(body: bytes, interfaces: list[tuple[Interface, int]]) -> Record:
    if len(body) < _PACKET_BODY.size + _PACKET_OPTIONS.size:
        raise CaptureError("a packet block is too short")
    number, high, low, kept, length = _PACKET_BODY.unpack_from(body)
    options_at = _PACKET_BODY.size + kept + (-kept % _WORD_BYTES)
    if options_at + _PACKET_OPTIONS.size != len(body) or kept > length:
        raise CaptureError("a packet block's lengths do not add up")
    flags = _PACKET_OPTIONS.unpack_from(body, options_at)
    codes, direction, packet_id = (*flags[:2], *flags[3:5], *flags[6:]), flags[2], flags[5]
    if codes != (_OPT_FLAGS, 4, _OPT_PACKETID, 8, 0, 0) or direction not in tuple(Direction):
        raise CaptureError("a packet block without direction and packet id")
    if number >= len(interfaces):
        raise CaptureError(f"a packet names the unknown interface {number}")
    interface, snap_bytes = interfaces[number]
    if kept > snap_bytes:
        raise CaptureError(f"{kept} bytes are kept of a packet, and {snap_bytes} are the most")
    time_ns = high << 32 | low
    data = body[_PACKET_BODY.size : _PACKET_BODY.size + kept]
    return Record(
        interface=interface.name,
        direction=Direction(direction),
        time_ns=time_ns,
        packet_id=packet_id,
        data=data,
        length=length,
        gateway=interface.gateway,
    )

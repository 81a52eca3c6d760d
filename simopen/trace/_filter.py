"""The packets of a handshake as a classic BPF program, which the kernel runs for each packet.

Theory of operation
===================

A program is a list of blocks, one after the other. A block is a list of tests, each of which loads
a number out of the packet and compares it; the first that fails goes on to the next block, and
behind the last block the packet is not ours. A block whose tests all hold ends by returning how
much of the packet to keep: its IP and TCP headers *and not a byte more*, so that payload never
leaves the kernel. For each pair of endpoints there are three: TCP from us to them as it leaves,
TCP from them to us as it arrives (over loopback each is shown both ways), and ICMP "unreachable"
that quotes a packet of ours.

The program reads packets from their IP header on (``SOCK_DGRAM``). IPv4 with options is understood,
and a later fragment is not ours. IPv6 with extension headers in front of TCP is not understood.

Sources: the kernel's Documentation/networking/filter.rst; RFC 791, 8200, 9293, 792, 4443.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from simopen.capture.packets import Endpoint

Pair: TypeAlias = "tuple[Endpoint, Endpoint]"
"""Our endpoint and theirs."""

SNAP_BYTES = 128
"""The most that is kept of a packet: the longest headers are 120 bytes."""

# Operation codes (linux/bpf_common.h).
_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE = 0x20, 0x28, 0x30  # A = packet[k]
_LOAD_HALF_AT_X, _LOAD_BYTE_AT_X, _LOAD_WORD_AT_X = 0x48, 0x50, 0x40  # A = packet[X + k]
_LOAD_X_IPV4_HEADER = 0xB1  # X = 4 * (packet[k] & 0xf)
_AND, _RIGHT_SHIFT, _ADD, _ADD_X = 0x54, 0x74, 0x04, 0x0C
_TXA = 0x87
_JUMP_IF_EQUAL = 0x15
_RETURN, _RETURN_A = 0x06, 0x16

_INSTRUCTION = struct.Struct("@HBBI")  # struct sock_filter
_ETHERTYPE = 0xFFFFF000  # SKF_AD_OFF + SKF_AD_PROTOCOL: not in the packet, the kernel knows it
_PACKET_TYPE = 0xFFFFF004  # SKF_AD_OFF + SKF_AD_PKTTYPE, likewise
_OUTGOING = 4  # PACKET_OUTGOING (linux/if_packet.h)
_IPV4, _IPV6 = 0x0800, 0x86DD
_TCP, _ICMP, _ICMPV6 = 6, 1, 58
_UNREACHABLE, _UNREACHABLE_V6 = 3, 1
_PLAIN_IPV4_HEADER = 0x45  # version 4, 20 bytes: what we send, and so what is quoted of it
_FRAGMENT_OFFSET = 0x1FFF


class _Op(NamedTuple):
    """One instruction; a test goes to the end of its block if it fails.

    Attributes:
        code: What to do.
        k: With what.
        wanted: Of a test: whether it has to hold, or must not; None for what is no test.
    """

    code: int
    k: int
    wanted: bool | None = None


def program(pairs: Iterable[Pair]) -> bytes:
    """Return the filter for these pairs as an array of ``struct sock_filter``.

    Args:
        pairs: Numeric endpoints; ours may have a wildcard address.
    """
    ops = b"".join(_assembled(block) for pair in pairs for block in _blocks(*pair))
    return ops + _INSTRUCTION.pack(_RETURN, 0, 0, 0)


def _assembled(block: Sequence[_Op]) -> bytes:
    packed = []
    for number, op in enumerate(block, 1):
        end = len(block) - number
        if_true, if_false = end * (op.wanted is False), end * (op.wanted is True)
        packed.append(_INSTRUCTION.pack(op.code, if_true, if_false, op.k))
    return b"".join(packed)


def _blocks(ours: Endpoint, theirs: Endpoint) -> list[list[_Op]]:
    if ipaddress.ip_address(theirs.address).version == 4:  # noqa: PLR2004 - the protocol's number
        segment, quoted = _ipv4_segment, _ipv4_unreachable
    else:
        segment, quoted = _ipv6_segment, _ipv6_unreachable
    return [
        [*_leaves(wanted=True), *segment(ours, theirs)],
        [*_leaves(wanted=False), *segment(theirs, ours)],
        [*_leaves(wanted=False), *quoted(ours, theirs)],
    ]


def _leaves(*, wanted: bool) -> list[_Op]:
    return [_Op(_LOAD_WORD, _PACKET_TYPE), _Op(_JUMP_IF_EQUAL, _OUTGOING, wanted)]


def _ipv4_segment(source: Endpoint, destination: Endpoint) -> list[_Op]:
    return [
        *_is(_LOAD_WORD, _ETHERTYPE, _IPV4),
        *_is(_LOAD_BYTE, 9, _TCP),
        _Op(_LOAD_HALF, 6),
        _Op(_AND, _FRAGMENT_OFFSET),
        _Op(_JUMP_IF_EQUAL, 0, wanted=True),
        *_address(_LOAD_WORD, 12, source),
        *_address(_LOAD_WORD, 16, destination),
        _Op(_LOAD_X_IPV4_HEADER, 0),
        *_is(_LOAD_HALF_AT_X, 0, source.port),
        *_is(_LOAD_HALF_AT_X, 2, destination.port),
        *_tcp_header_bytes(_LOAD_BYTE_AT_X, 12),
        _Op(_ADD_X, 0),
        _Op(_RETURN_A, 0),
    ]


def _ipv6_segment(source: Endpoint, destination: Endpoint) -> list[_Op]:
    return [
        *_is(_LOAD_WORD, _ETHERTYPE, _IPV6),
        *_is(_LOAD_BYTE, 6, _TCP),
        *_address(_LOAD_WORD, 8, source),
        *_address(_LOAD_WORD, 24, destination),
        *_is(_LOAD_HALF, 40, source.port),
        *_is(_LOAD_HALF, 42, destination.port),
        *_tcp_header_bytes(_LOAD_BYTE, 52),
        _Op(_ADD, 40),
        _Op(_RETURN_A, 0),
    ]


def _ipv4_unreachable(ours: Endpoint, theirs: Endpoint) -> list[_Op]:
    """ICMP; what it quotes, 20 bytes of IP and 8 of TCP, begins 8 bytes behind X."""
    return [
        *_is(_LOAD_WORD, _ETHERTYPE, _IPV4),
        *_is(_LOAD_BYTE, 9, _ICMP),
        _Op(_LOAD_X_IPV4_HEADER, 0),
        *_is(_LOAD_BYTE_AT_X, 0, _UNREACHABLE),
        *_is(_LOAD_BYTE_AT_X, 8, _PLAIN_IPV4_HEADER),
        *_is(_LOAD_BYTE_AT_X, 17, _TCP),
        *_address(_LOAD_WORD_AT_X, 20, ours),
        *_address(_LOAD_WORD_AT_X, 24, theirs),
        *_is(_LOAD_HALF_AT_X, 28, ours.port),
        *_is(_LOAD_HALF_AT_X, 30, theirs.port),
        _Op(_TXA, 0),
        _Op(_ADD, 36),
        _Op(_RETURN_A, 0),
    ]


def _ipv6_unreachable(ours: Endpoint, theirs: Endpoint) -> list[_Op]:
    """ICMPv6; what it quotes begins at 48."""
    return [
        *_is(_LOAD_WORD, _ETHERTYPE, _IPV6),
        *_is(_LOAD_BYTE, 6, _ICMPV6),
        *_is(_LOAD_BYTE, 40, _UNREACHABLE_V6),
        *_is(_LOAD_BYTE, 54, _TCP),
        *_address(_LOAD_WORD, 56, ours),
        *_address(_LOAD_WORD, 72, theirs),
        *_is(_LOAD_HALF, 88, ours.port),
        *_is(_LOAD_HALF, 90, theirs.port),
        _Op(_RETURN, 96),
    ]


def _is(load: int, at: int, value: int) -> list[_Op]:
    return [_Op(load, at), _Op(_JUMP_IF_EQUAL, value, wanted=True)]


def _address(load: int, at: int, endpoint: Endpoint) -> list[_Op]:
    """Compare an address word by word; a wildcard is any."""
    address = ipaddress.ip_address(endpoint.address.partition("%")[0])
    if address.is_unspecified:
        return []
    words = struct.unpack(f"!{len(address.packed) // 4}I", address.packed)
    return [op for place, word in enumerate(words) for op in _is(load, at + 4 * place, word)]


def _tcp_header_bytes(load: int, at: int) -> list[_Op]:
    """The length of the TCP header, from the upper half of its byte 12, in words."""
    return [_Op(load, at), _Op(_AND, 0xF0), _Op(_RIGHT_SHIFT, 2)]

"""The raw socket's filter, in classic BPF: which packets are worth a copy.

A raw socket is given a copy of every TCP packet of the host. Most are none of ours, and of ours
most belong to connections that a kernel socket has by now: a transfer at full speed would be copied
as a whole. So the filter passes SYNs to our port, and of other segments those from the ports of
peers whose handshake is going on. It is exchanged, which loses nothing, whenever these change,
and *before* the packet leaves that the peer will answer. Where they are many it passes everything
to our port instead, as making it anew would cost more than it saves.

Programs are lists of ``(code, jt, jf, k)`` as in linux/filter.h.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection

    from ._segments import Address

Instruction: TypeAlias = tuple[int, int, int, int]

MOST_PORTS = 64  # of peers, told apart; a longer program costs more than it saves

_LOAD_BYTE, _LOAD_HALF = 0x30, 0x28  # BPF_LD | BPF_ABS
_LOAD_BYTE_X, _LOAD_HALF_X = 0x50, 0x48  # BPF_LD | BPF_IND
_LOAD_HEADER_LENGTH = 0xB1  # BPF_LDX | BPF_MSH: four times the low half of a byte
_LOAD_X = 0x01  # BPF_LDX | BPF_IMM
_IF_EQUAL, _IF_SET = 0x15, 0x45  # BPF_JMP
_RETURN = 0x06
_PASS, _DROP = (_RETURN, 0, 0, 0xFFFFFFFF), (_RETURN, 0, 0, 0)
_PACKET_TYPE = 0xFFFFF000 + 4  # SKF_AD_OFF + SKF_AD_PKTTYPE
_TO_THIS_HOST = 0  # PACKET_HOST: neither broadcast nor multicast
_SYN = 0x02

DROP_ALL: list[Instruction] = [_DROP]


def program(local: Address, peers: Collection[int] | None) -> list[Instruction]:
    """Make the filter.

    Args:
        local: Our end; its packed address says which version of IP. A raw socket of IPv4 sees the
            IP header, one of IPv6 does not.
        peers: The ports of the peers whose handshakes are going on; None to pass everything to our
            port.
    """
    ipv4 = len(local.packed) == 4  # noqa: PLR2004 - bytes of an IPv4 address
    find_header = (_LOAD_HEADER_LENGTH, 0, 0, 0) if ipv4 else (_LOAD_X, 0, 0, 0)
    head: list[Instruction] = [
        (_LOAD_BYTE, 0, 0, _PACKET_TYPE),
        (_IF_EQUAL, 1, 0, _TO_THIS_HOST),
        _DROP,
        find_header,
        (_LOAD_HALF_X, 0, 0, 2),
        (_IF_EQUAL, 1, 0, local.port),
        _DROP,
    ]
    if peers is None:
        return [*head, _PASS]
    syns: list[Instruction] = [(_LOAD_BYTE_X, 0, 0, 13), (_IF_SET, 0, 1, _SYN), _PASS]
    each = [step for port in peers for step in ((_IF_EQUAL, 0, 1, port), _PASS)]
    return [*head, *syns, (_LOAD_HALF_X, 0, 0, 0), *each, _DROP]


def pack(instructions: list[Instruction]) -> bytes:
    """An array of ``struct sock_filter``."""
    return b"".join(struct.pack("=HBBI", *each) for each in instructions)

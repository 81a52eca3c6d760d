"""What a gateway knows of a TCP connection by the segments that passed it.

Theory of operation
-------------------
A connection is a set of *facts*, a bit each: since it was last opened, which control bits have
passed in which direction. `advance` adds what a segment says; the rest are questions to the facts:

- It `awaits_answer` while all that ever passed was a SYN from inside. A SYN from outside at that
  point is a *crossing* one.
- It is *established* once an ACK has passed each way. That is the end of the handshake (SYN,
  SYN-ACK, ACK) and of a simultaneous open (two SYNs, then two SYN-ACKs, or one and an ACK) alike.
- It is *closing* once a FIN has passed each way, or any RST.
- Otherwise it is half open.

Sequence numbers are not looked at, as many gateways do not: a forged RST counts, a late one too.
"""

from __future__ import annotations

from simopen.lab.wire.headers import ACK, FIN, RST, SYN

SYN_OUT, SYN_IN, ACK_OUT, ACK_IN, FIN_OUT, FIN_IN, RESET = (1 << bit for bit in range(7))

_ACKS = ACK_OUT | ACK_IN
_FINS = FIN_OUT | FIN_IN


def advance(facts: int, flags: int, *, outwards: bool) -> int:
    """Return the facts after a segment has passed.

    A SYN adds to a half-open connection and opens any other anew.

    Args:
        facts: What was known.
        flags: The segment's control bits.
        outwards: Whether it comes from inside.
    """
    if flags & RST:
        return facts | RESET
    if flags & (SYN | ACK) == SYN and (is_established(facts) or is_closing(facts)):
        facts = 0
    seen = ((SYN, SYN_OUT), (ACK, ACK_OUT), (FIN, FIN_OUT))
    for flag, fact in seen:
        if flags & flag:
            facts |= fact if outwards else fact << 1
    return facts


def awaits_answer(facts: int) -> bool:
    """Whether a SYN went out and nothing at all has come back."""
    return facts == SYN_OUT


def is_established(facts: int) -> bool:
    """Whether the handshake is over and the connection not."""
    return facts & _ACKS == _ACKS and not is_closing(facts)


def is_closing(facts: int) -> bool:
    """Whether both sides have said their last, or one has reset it."""
    return facts & _FINS == _FINS or bool(facts & RESET)

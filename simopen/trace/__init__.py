"""The handshake of one connection as it happened: what to record, and what it says. All pure.

Theory of operation
===================

A call that is traced records, from before its first SYN until it ends, the packets between its
endpoints (:mod:`.recording`, the only part with sockets); a program in the kernel picks them
(`_filter`) and keeps headers alone. The `_log` holds them, and the engine's events for want of
packets. At the end it is read, once somebody looks: `_steps` tells each packet and, by a table
(`_states`), the TCP state it left our side in; `_reading` finds the kind of handshake and what
retransmissions cost; `_words` and `_picture` tell and draw it.

States
======

Nothing is traced → recording, with the engine's start → told, when the call ends in any way.

Invariants
==========

- No payload is recorded, and no more than 512 packets are.
- What is told is what was seen: a time or an arrival at the far side is reckoned, and marked so;
  a kind of handshake that packets cannot show is said to be the caller's word.
- Bytes from the network are read by :mod:`simopen.capture.packets`, for which nothing is an error.
"""

from ._reading import HandshakeKind
from ._steps import TraceStep
from ._trace import HandshakeTrace

__all__ = ["HandshakeKind", "HandshakeTrace", "TraceStep"]

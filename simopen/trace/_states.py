"""The TCP state of our side, packet by packet: RFC 9293 §3.3.2 as a table.

Theory of operation
===================

Nobody asks the kernel: what it has sent and received says in which state it is. Each packet is one
:class:`Happening`; whether an acknowledgement or a reset is acceptable (RFC 9293 §3.10.7.3 and
§3.10.7.4) is decided before the table, and one that is not is STRAY. A pair of state and happening
that is not in ``TRANSITIONS`` changes nothing: repetitions, strays, what belongs to no connection.

Only the handshake is followed, and how a connection may end in its first moment. The names are
those of Linux, which writes SYN_SENT for the RFC's SYN-SENT.
"""

from __future__ import annotations

import enum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(enum.Enum):
    """TCP states that a handshake can be in or end in."""

    CLOSED = "CLOSED"
    SYN_SENT = "SYN_SENT"
    SYN_RECEIVED = "SYN_RECEIVED"
    ESTABLISHED = "ESTABLISHED"
    CLOSE_WAIT = "CLOSE_WAIT"
    FIN_WAIT_1 = "FIN_WAIT_1"


class Happening(enum.Enum):
    """What a packet is to our side."""

    SENT_SYN = enum.auto()
    SENT_SYN_ACK = enum.auto()
    SENT_ACK = enum.auto()
    SENT_FIN = enum.auto()
    SENT_RST = enum.auto()
    GOT_SYN = enum.auto()
    GOT_SYN_ACK = enum.auto()  # acknowledges our SYN
    GOT_ACK = enum.auto()  # likewise
    GOT_FIN = enum.auto()  # likewise
    GOT_RST = enum.auto()  # acceptable in this state
    GOT_UNREACHABLE = enum.auto()  # about our SYN
    STRAY = enum.auto()  # none of these: a duplicate of another time, or somebody's guess


TRANSITIONS: Mapping[tuple[State, Happening], State] = MappingProxyType({
    (State.CLOSED, Happening.SENT_SYN): State.SYN_SENT,
    (State.SYN_SENT, Happening.GOT_SYN): State.SYN_RECEIVED,
    (State.SYN_SENT, Happening.GOT_SYN_ACK): State.ESTABLISHED,
    (State.SYN_SENT, Happening.GOT_RST): State.CLOSED,
    (State.SYN_SENT, Happening.GOT_UNREACHABLE): State.CLOSED,
    (State.SYN_RECEIVED, Happening.GOT_SYN_ACK): State.ESTABLISHED,
    (State.SYN_RECEIVED, Happening.GOT_ACK): State.ESTABLISHED,
    (State.SYN_RECEIVED, Happening.GOT_FIN): State.CLOSE_WAIT,
    (State.SYN_RECEIVED, Happening.GOT_RST): State.CLOSED,
    (State.SYN_RECEIVED, Happening.GOT_UNREACHABLE): State.CLOSED,
    (State.SYN_RECEIVED, Happening.SENT_RST): State.CLOSED,
    (State.SYN_RECEIVED, Happening.SENT_SYN): State.SYN_SENT,  # a fresh attempt
    (State.ESTABLISHED, Happening.GOT_FIN): State.CLOSE_WAIT,
    (State.ESTABLISHED, Happening.GOT_RST): State.CLOSED,
    (State.ESTABLISHED, Happening.SENT_FIN): State.FIN_WAIT_1,
    (State.ESTABLISHED, Happening.SENT_RST): State.CLOSED,
    (State.ESTABLISHED, Happening.SENT_SYN): State.SYN_SENT,  # the connection was given up for it
    (State.CLOSE_WAIT, Happening.GOT_RST): State.CLOSED,
    (State.CLOSE_WAIT, Happening.SENT_RST): State.CLOSED,
    (State.CLOSE_WAIT, Happening.SENT_SYN): State.SYN_SENT,
    (State.FIN_WAIT_1, Happening.SENT_SYN): State.SYN_SENT,
})  # fmt: skip

OPEN = (State.ESTABLISHED, State.CLOSE_WAIT, State.FIN_WAIT_1)
"""States in which the handshake is over."""


def after(state: State, happening: Happening) -> State:
    """Return the state that a packet leaves us in."""
    return TRANSITIONS.get((state, happening), state)

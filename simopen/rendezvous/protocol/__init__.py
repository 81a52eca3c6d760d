"""The protocol between a coordinator and its clients: both ends, pure.

No socket, no clock, no randomness, no I/O: bytes and ``now`` (float seconds on any monotonic
clock) go in, messages, events and actions come out, and ``next_deadline()`` says when to look
again. ``docs/protocol.md`` has the same for who speaks it in another language.

Theory of operation
===================

A client connects to the coordinator **from the port it will punch from**, so that what the
coordinator observes is the mapping that the peer must hit, and keeps that connection open, so that
the mapping lives. It **joins** the room of a tag under a random seat, with a sealed offer that the
coordinator cannot read. When two members of a room wait, each is sent one **introduction**: the
other's observed endpoints, its offer, and a delay after which both fire together. How that ended
is reported; a failed round is followed by a fresh join, with a new offer from a new port, under
the same seat.

A second connection may **attach** the endpoint of the other address family to the seat, and a
third, to another port of the coordinator, may **probe** whether the NAT maps the port to the same
endpoint there.

::

    client          ServerConnection    Rooms         ServerConnection    client
      | -- join ----------> | -- Request --> |                   |          |
      | <-- welcome ------- | <----- Send -- |                   |          |
      |                     |                | <-- Request -- | <-- join -- |
      |                     |                | -- Send ------> | welcome -> |
      | <-- introduce ----- | <----- Send -- | -- Send -> | -- introduce -> |
      | <=== SYNs, from the same two ports, until they cross ============> |
      | -- result --------> | -- Request --> | <-- Request -- | <-- result - |

- :mod:`._messages`: every message, with types and bounds.
- :mod:`._frames`: messages as bytes; the one door for bytes from the network.
- :mod:`._client`: the client's end of one connection.
- :mod:`._connection`: the coordinator's end of one connection.
- :mod:`._rooms`, :mod:`._room`, :mod:`._actions`, :mod:`._answers`: the matching core.
- :mod:`._timing`: when both fire; deadlines.
- :mod:`._limits`: every limit, with unit, default and reason; :mod:`._quota`: per address.
"""

from ._actions import Action, Close, Hit, Paired, Path, Postponed, Reported, Send
from ._client import (
    CLIENT_TRANSITIONS,
    ClientConversation,
    ClientEvent,
    ClientState,
    Dismissed,
    Failed,
    Introduced,
    Lost,
    ProbeAnswered,
    Rejected,
    Welcomed,
)
from ._connection import (
    SERVER_TRANSITIONS,
    Asked,
    Hangup,
    Reply,
    Request,
    ServerConnection,
    ServerState,
    Step,
)
from ._frames import (
    CLIENT_MESSAGES,
    COORDINATOR_MESSAGES,
    FrameReader,
    WireError,
    encode_frame,
)
from ._limits import Allowance, CoordinatorLimits, Limit
from ._messages import (
    MOST_PROBE_PORTS,
    VERSION,
    Attach,
    Bye,
    ClientMessage,
    Code,
    CoordinatorMessage,
    Error,
    Family,
    Introduce,
    Join,
    Leave,
    Message,
    Opening,
    Outcome,
    Ping,
    Pong,
    Probe,
    Probed,
    Reject,
    Result,
    Settled,
    Verdict,
    Welcome,
)
from ._quota import Quota, counted_address
from ._room import Room, RoomStore
from ._rooms import Rooms
from ._timing import Timeouts, clamped_delay, firing_delay

__all__ = [
    "CLIENT_MESSAGES",
    "CLIENT_TRANSITIONS",
    "COORDINATOR_MESSAGES",
    "MOST_PROBE_PORTS",
    "SERVER_TRANSITIONS",
    "VERSION",
    "Action",
    "Allowance",
    "Asked",
    "Attach",
    "Bye",
    "ClientConversation",
    "ClientEvent",
    "ClientMessage",
    "ClientState",
    "Close",
    "Code",
    "CoordinatorLimits",
    "CoordinatorMessage",
    "Dismissed",
    "Error",
    "Failed",
    "Family",
    "FrameReader",
    "Hangup",
    "Hit",
    "Introduce",
    "Introduced",
    "Join",
    "Leave",
    "Limit",
    "Lost",
    "Message",
    "Opening",
    "Outcome",
    "Paired",
    "Path",
    "Ping",
    "Pong",
    "Postponed",
    "Probe",
    "ProbeAnswered",
    "Probed",
    "Quota",
    "Reject",
    "Rejected",
    "Reply",
    "Reported",
    "Request",
    "Result",
    "Room",
    "RoomStore",
    "Rooms",
    "Send",
    "ServerConnection",
    "ServerState",
    "Settled",
    "Step",
    "Timeouts",
    "Verdict",
    "Welcome",
    "Welcomed",
    "WireError",
    "clamped_delay",
    "counted_address",
    "encode_frame",
    "firing_delay",
]

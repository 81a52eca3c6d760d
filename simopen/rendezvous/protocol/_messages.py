"""Every message of the protocol, with the types and bounds of its fields.

A message is a JSON object; its ``type`` names it. Bytes are base64 (RFC 4648 §4, padded). Fields
that are not known are ignored, so that a later minor change can add some; a ``type`` that is not
known is an error. The bounds stand in the types: what decodes is within them.

Seats are known only to a client and the coordinator, and offers are sealed: no bytes of a message
appear in its ``repr``.
"""

from __future__ import annotations

import enum
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

VERSION: Final = 1  # of the protocol

TAG_LENGTH = 32  # bytes; HKDF-SHA256 output
SEAT_LENGTH = 16  # bytes; random
OFFER_LENGTH = 32 + 2048 + 16  # bytes; salt, padded body, authenticator
LARGEST_NUMBER = 2**31 - 1  # of rounds and pings
MOST_PROBE_PORTS = 4  # that a welcome has room for

# An IPv4 address, or an IPv6 address in brackets and without a zone; then a port.
ENDPOINT = r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9a-f:.]{2,45}\]):[1-9][0-9]{0,4}\Z"

Tag: TypeAlias = Annotated[bytes, Meta(min_length=TAG_LENGTH, max_length=TAG_LENGTH)]
Seat: TypeAlias = Annotated[bytes, Meta(min_length=SEAT_LENGTH, max_length=SEAT_LENGTH)]
Offer: TypeAlias = Annotated[bytes, Meta(min_length=OFFER_LENGTH, max_length=OFFER_LENGTH)]
Round: TypeAlias = Annotated[int, Meta(ge=1, le=LARGEST_NUMBER)]
Number: TypeAlias = Annotated[int, Meta(ge=0, le=LARGEST_NUMBER)]
Port: TypeAlias = Annotated[int, Meta(ge=1, le=65535)]
ObservedEndpoint: TypeAlias = Annotated[str, Meta(max_length=53, pattern=ENDPOINT)]
Text: TypeAlias = Annotated[str, Meta(max_length=200)]


class Family(enum.StrEnum):
    """An address family."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"


class Verdict(enum.StrEnum):
    """Whether a NAT maps one local port to the same endpoint for both ports of the coordinator."""

    UNKNOWN = "unknown"  # nobody has probed
    STABLE = "stable"
    VARIES = "varies"


class Outcome(enum.StrEnum):
    """How a round ended for one client; never whether the peer refused or was silent."""

    OK = "ok"
    FAILED = "failed"
    AUTH_FAILED = "auth_failed"


class Code(enum.StrEnum):
    """Why the coordinator ends a conversation."""

    # In a reject: the request was understood, and cannot be met.
    ROOM_FULL = "room_full"  # two others are in this room
    ROOMS_FULL = "rooms_full"  # the coordinator has as many rooms as it may
    BUSY = "busy"  # the coordinator has as many connections as it may; try again
    SEAT = "seat"  # attach or probe: nobody in this room has that seat
    STALE = "stale"  # join: the round is not newer than the seat's last one
    SHUTTING_DOWN = "shutting_down"  # come back later, or elsewhere
    # In an error: the connection cannot go on.
    MALFORMED = "malformed"  # not a frame, not a message, or a value out of its bounds
    VERSION = "version"  # a version that is not spoken here
    UNEXPECTED = "unexpected"  # a message that does not belong here now
    TIMEOUT = "timeout"  # no request within the time of the handshake, or no end of a meeting
    IDLE = "idle"  # nothing heard for longer than the welcome allowed
    RATE = "rate"  # too many from one address, or too many messages in too short a time
    REPLACED = "replaced"  # a newer connection of the same seat took over


class _Message(msgspec.Struct, frozen=True, tag_field="type"):
    def __repr__(self) -> str:
        """The fields; of bytes only how many."""
        told = (
            f"{name}=<{len(value)} bytes>" if isinstance(value, bytes) else f"{name}={value!r}"
            for name in self.__struct_fields__
            for value in (getattr(self, name),)
        )
        return f"{type(self).__name__}({', '.join(told)})"


# -- client to coordinator ------------------------------------------------------------------------


class Join(_Message, frozen=True, kw_only=True, tag="join"):
    """Takes a seat in a room, or comes back to it with a new offer; opens a connection.

    Attributes:
        v: The protocol's version.
        tag: The room's tag, keyed by the secret.
        seat: Random bytes, the same for the whole call.
        offer: The sealed offer of this round.
        round: Counts the joins of this seat, from 1.
        families: Those whose connections are still to be attached.
    """

    v: Literal[1] = VERSION
    tag: Tag
    seat: Seat
    offer: Offer
    round: Round
    families: Annotated[tuple[Family, ...], Meta(max_length=2)] = ()


class Attach(_Message, frozen=True, kw_only=True, tag="attach"):
    """Adds the observed endpoint of another family to a seat; opens a connection.

    Attributes:
        v: The protocol's version.
        tag: The room's tag.
        seat: The seat that has joined.
    """

    v: Literal[1] = VERSION
    tag: Tag
    seat: Seat


class Probe(_Message, frozen=True, kw_only=True, tag="probe"):
    """Shows the coordinator's second port our endpoint; the only message of its connection.

    Attributes:
        v: The protocol's version.
        tag: The room's tag.
        seat: The seat that has joined.
    """

    v: Literal[1] = VERSION
    tag: Tag
    seat: Seat


class Settled(_Message, frozen=True, kw_only=True, tag="settled"):
    """No more families will be attached, whatever the join said."""


class Result(_Message, frozen=True, kw_only=True, tag="result"):
    """How a round ended. After ``ok`` the seat is given up.

    Attributes:
        round: The introduction's round.
        outcome: What became of it.
        elapsed: Seconds from the introduction.
    """

    round: Round
    outcome: Outcome
    elapsed: Annotated[float, Meta(ge=0)]


class Leave(_Message, frozen=True, kw_only=True, tag="leave"):
    """Gives up the seat."""


# -- coordinator to client ------------------------------------------------------------------------


class Welcome(_Message, frozen=True, kw_only=True, tag="welcome"):
    """The answer to a join or an attach.

    Attributes:
        v: The protocol's version.
        observed: Where the coordinator sees this connection come from.
        probe: The coordinator's ports that take probes, at the same address.
        idle: Seconds; the coordinator hangs up when it has heard nothing for that long. Ping at
            least twice as often.
    """

    v: Literal[1] = VERSION
    observed: ObservedEndpoint
    probe: Annotated[tuple[Port, ...], Meta(max_length=MOST_PROBE_PORTS)] = ()
    idle: Annotated[float, Meta(ge=1, le=3600)]


class Probed(_Message, frozen=True, kw_only=True, tag="probed"):
    """The answer to a probe; the coordinator hangs up after it.

    Attributes:
        observed: Where it sees the probing connection come from.
    """

    observed: ObservedEndpoint


class Introduce(_Message, frozen=True, kw_only=True, tag="introduce"):
    """Here is your peer: fire when the delay has passed.

    Attributes:
        round: Counts the introductions in this room, from 1; both sides are told the same.
        delay: Seconds from the arrival of this message to the first SYN.
        observed: The peer's endpoints, one for each family that was observed.
        offer: The peer's sealed offer.
        mapping: What probing showed of our own NAT.
        peer_mapping: What it showed of the peer's.
    """

    round: Round
    delay: float
    observed: Annotated[tuple[ObservedEndpoint, ...], Meta(min_length=1, max_length=2)]
    offer: Offer
    mapping: Verdict = Verdict.UNKNOWN
    peer_mapping: Verdict = Verdict.UNKNOWN


class Reject(_Message, frozen=True, kw_only=True, tag="reject"):
    """The request cannot be met; the coordinator hangs up after it.

    Attributes:
        code: Why, for programs.
        message: Why, for people.
    """

    code: Code
    message: Text = ""


class Error(_Message, frozen=True, kw_only=True, tag="error"):
    """The connection cannot go on; the coordinator hangs up after it.

    Attributes:
        code: Why, for programs.
        message: Why, for people.
    """

    code: Code
    message: Text = ""


class Bye(_Message, frozen=True, kw_only=True, tag="bye"):
    """The coordinator is stopping in order; the seat is gone. Come back later."""


# -- both ways ------------------------------------------------------------------------------------


class Ping(_Message, frozen=True, kw_only=True, tag="ping"):
    """Are you there?

    Attributes:
        number: Comes back in the pong.
    """

    number: Number


class Pong(_Message, frozen=True, kw_only=True, tag="pong"):
    """The answer to a ping.

    Attributes:
        number: The ping's.
    """

    number: Number


Opening: TypeAlias = Join | Attach | Probe
"""What a client may open a connection with."""

ClientMessage: TypeAlias = Join | Attach | Probe | Settled | Result | Leave | Ping | Pong
CoordinatorMessage: TypeAlias = Welcome | Probed | Introduce | Reject | Error | Bye | Ping | Pong
Message: TypeAlias = ClientMessage | CoordinatorMessage

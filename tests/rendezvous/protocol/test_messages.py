"""What a message may carry."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from simopen.rendezvous.protocol import (
    Bye,
    ClientMessage,
    Code,
    CoordinatorMessage,
    Error,
    Introduce,
    Leave,
    Message,
    Outcome,
    Ping,
    Pong,
    Probed,
    Reject,
    Result,
    Settled,
    Verdict,
    Welcome,
)
from simopen.rendezvous.protocol._messages import (
    ENDPOINT,
    LARGEST_NUMBER,
    OFFER_LENGTH,
    SEAT_LENGTH,
    TAG_LENGTH,
)

from .makers import attach, join, offer, probe

INTRODUCE = Introduce(
    round=1,
    delay=0.5,
    observed=("203.0.113.1:40000", "[2001:db8::1]:40000"),
    offer=offer(1),
    mapping=Verdict.STABLE,
    peer_mapping=Verdict.VARIES,
)
FROM_CLIENTS: list[ClientMessage] = [
    join(),
    attach(),
    probe(),
    Settled(),
    Result(round=1, outcome=Outcome.OK, elapsed=0.04),
    Leave(),
    Ping(number=0),
    Pong(number=LARGEST_NUMBER),
]
FROM_COORDINATORS: list[CoordinatorMessage] = [
    Welcome(observed="203.0.113.1:40000", probe=(7338,), idle=50.0),
    Probed(observed="[2001:db8::1]:1"),
    INTRODUCE,
    Reject(code=Code.ROOM_FULL, message="two others are in this room"),
    Error(code=Code.MALFORMED),
    Bye(),
    Ping(number=0),
    Pong(number=1),
]


def changed(message: Message, field: str, value: object) -> tuple[bytes, type[Any]]:
    """A message as JSON with one field replaced, and its type."""
    fields = msgspec.to_builtins(message) | {field: value}
    return msgspec.json.encode(fields), type(message)


@pytest.mark.parametrize("message", FROM_CLIENTS, ids=lambda each: type(each).__name__)
def test_clients_messages_come_back_as_they_were(message: ClientMessage) -> None:
    """What is encoded decodes to its equal among the messages of clients."""
    assert msgspec.json.decode(msgspec.json.encode(message), type=ClientMessage) == message


@pytest.mark.parametrize("message", FROM_COORDINATORS, ids=lambda each: type(each).__name__)
def test_coordinators_messages_come_back_as_they_were(message: CoordinatorMessage) -> None:
    """What is encoded decodes to its equal among the messages of coordinators."""
    assert msgspec.json.decode(msgspec.json.encode(message), type=CoordinatorMessage) == message


@pytest.mark.parametrize("message", [join(), attach(), probe(), INTRODUCE])
def test_no_bytes_in_a_repr(message: Message) -> None:
    """Seats, tags and offers are told by their length alone."""
    told = repr(message)
    for name in message.__struct_fields__:
        value = getattr(message, name)
        if isinstance(value, bytes):
            assert f"{name}=<{len(value)} bytes>" in told
        else:
            assert f"{name}={value!r}" in told
    assert not re.search(r"b['\"]|\\x", told)


@pytest.mark.parametrize(
    ("message", "field", "length"),
    [
        (join(), "tag", TAG_LENGTH),
        (join(), "seat", SEAT_LENGTH),
        (join(), "offer", OFFER_LENGTH),
        (attach(), "seat", SEAT_LENGTH),
        (probe(), "tag", TAG_LENGTH),
        (INTRODUCE, "offer", OFFER_LENGTH),
    ],
)
@pytest.mark.parametrize("more", [-1, 1])
def test_bytes_have_exact_lengths(message: Message, field: str, length: int, more: int) -> None:
    """One byte fewer or more is refused."""
    payload, kind = changed(message, field, msgspec.to_builtins(bytes(length + more)))
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.json.decode(payload, type=kind)


@pytest.mark.parametrize(
    ("message", "field", "value"),
    [
        (join(), "v", 2),
        (join(), "round", 0),
        (join(), "round", LARGEST_NUMBER + 1),
        (join(), "families", ["ipv4", "ipv6", "ipv4"]),
        (join(), "families", ["ipx"]),
        (FROM_CLIENTS[4], "round", 0),
        (FROM_CLIENTS[4], "outcome", "refused"),
        (FROM_CLIENTS[4], "elapsed", -0.001),
        (Ping(number=0), "number", -1),
        (Ping(number=0), "number", LARGEST_NUMBER + 1),
        (FROM_COORDINATORS[0], "v", 0),
        (FROM_COORDINATORS[0], "observed", "example.org:1"),
        (FROM_COORDINATORS[0], "probe", [0]),
        (FROM_COORDINATORS[0], "probe", [1, 2, 3, 4, 5]),
        (FROM_COORDINATORS[0], "idle", 0.5),
        (FROM_COORDINATORS[0], "idle", 3601),
        (INTRODUCE, "observed", []),
        (INTRODUCE, "observed", ["203.0.113.1:1"] * 3),
        (INTRODUCE, "round", 0),
        (INTRODUCE, "mapping", "symmetric"),
        (FROM_COORDINATORS[3], "code", "because"),
        (FROM_COORDINATORS[3], "message", "x" * 201),
    ],
)
def test_values_out_of_bounds_are_refused(message: Message, field: str, value: object) -> None:
    """The bounds stand in the types."""
    payload, kind = changed(message, field, value)
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.json.decode(payload, type=kind)


@pytest.mark.parametrize("number", ["1e400", "NaN", "Infinity", "-1e-3"])
def test_elapsed_is_a_finite_number(number: str) -> None:
    """What JSON can make of a float is no way around the bounds."""
    payload = f'{{"type":"result","round":1,"outcome":"ok","elapsed":{number}}}'
    with pytest.raises(msgspec.MsgspecError):
        msgspec.json.decode(payload, type=Result)


def test_unknown_fields_are_ignored() -> None:
    """A later minor change can add some."""
    payload, kind = changed(Ping(number=7), "colour", "green")
    assert msgspec.json.decode(payload, type=kind) == Ping(number=7)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("203.0.113.1:40000", True),
        ("[2001:db8::1]:40000", True),
        ("[::ffff:203.0.113.1]:1", True),
        ("203.0.113.1:40000\n", False),
        ("203.0.113.1:040", False),
        ("203.0.113.1:0", False),
        ("203.0.113.1", False),
        ("2001:db8::1:40000", False),
        ("[fe80::1%eth0]:40000", False),
        ("٢.0.113.1:40000", False),
        ("localhost:40000", False),
        ("203.0.113.1:40000 ", False),
    ],
)
def test_observed_endpoints_are_numeric(text: str, fits: bool) -> None:  # noqa: FBT001  # a column
    """An address, a port, nothing else; a zone means nothing to another host."""
    assert bool(re.search(ENDPOINT, text)) is fits

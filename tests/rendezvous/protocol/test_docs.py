"""docs/protocol.md says what the code says, and its example is a conversation that takes place."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from msgspec import inspect

from simopen.rendezvous import protocol
from simopen.rendezvous.protocol import (
    CLIENT_TRANSITIONS,
    SERVER_TRANSITIONS,
    ClientConversation,
    ClientEvent,
    ClientMessage,
    Close,
    Code,
    CoordinatorLimits,
    CoordinatorMessage,
    Family,
    Hangup,
    Message,
    Outcome,
    Reply,
    Rooms,
    Send,
    ServerConnection,
    Step,
    encode_frame,
)
from simopen.rendezvous.protocol import (
    Path as Seen,
)
from simopen.rendezvous.protocol import _limits as limits
from simopen.rendezvous.protocol._messages import ENDPOINT
from simopen.rendezvous.protocol._room import MemberState

from .makers import attach, join, path, probe

PAGE = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
MESSAGES: list[type[msgspec.Struct]] = sorted(
    set(get_args(ClientMessage)) | set(get_args(CoordinatorMessage)),
    key=lambda kind: kind.__name__,
)


def section(heading: str) -> str:
    """The text under one heading, up to the next of its own level or a higher one."""
    level = heading.partition(" ")[0]
    found = re.search(
        rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", PAGE, re.DOTALL | re.MULTILINE
    )
    assert found, f"no {heading!r} on the page"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of the first table in a text, without its head."""
    lines = re.search(r"(^\|.*\n)+", text, re.MULTILINE)
    assert lines, "no table"
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines[0].splitlines()
    ][2:]


def number(kind: inspect.IntType | inspect.FloatType) -> str:
    """The bounds of a number."""
    name = "integer" if isinstance(kind, inspect.IntType) else "number"
    if kind.ge is None:
        return name
    return f"{name}, at least {kind.ge}" if kind.le is None else f"{name}, {kind.ge} to {kind.le}"


TOLD: dict[type, Any] = {
    inspect.BytesType: lambda kind: f"base64 of {kind.min_length} bytes",
    inspect.IntType: number,
    inspect.FloatType: number,
    inspect.StrType: lambda kind: (
        "endpoint" if kind.pattern == ENDPOINT else f"text, at most {kind.max_length} characters"
    ),
    inspect.EnumType: lambda kind: (
        "code" if kind.cls is Code else " or ".join(f'`"{each}"`' for each in kind.cls)
    ),
    inspect.LiteralType: lambda kind: " or ".join(map(str, kind.values)),
    inspect.VarTupleType: lambda kind: (
        f"list of {kind.min_length or 0} to {kind.max_length}: {told(kind.item_type)}"
    ),
}


def told(kind: inspect.Type) -> str:
    """A field's type and bounds, in the page's words."""
    return str(TOLD[type(kind)](kind))


def default(field: inspect.Field) -> str:
    """What a field is when it is left out."""
    if field.default is msgspec.NODEFAULT:
        return "required"
    value = field.default
    if isinstance(value, enum.Enum):
        return f'`"{value.value}"`'
    return f"`{msgspec.json.encode(value).decode()}`"


def transitions(table: Any) -> Iterator[list[str]]:
    """A table of transitions as the page has it."""
    for (state, kind), following in table.items():
        yield [state.name, f"`{kind.__struct_config__.tag}`", following.name]


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_every_message_and_field_is_described(kind: type[msgspec.Struct]) -> None:
    """With its type, its bounds and what it is when it is left out; no field is made up."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    text = section(f"### `{info.tag}`")
    described = [row[:3] for row in rows(text)] if info.fields else []
    expected = [
        [f"`{field.encode_name}`", told(field.type), default(field)] for field in info.fields
    ]
    assert described == expected
    assert bool(info.fields) == ("|" in text)


def test_no_message_is_made_up() -> None:
    """Every message of the page is one of the code, under the side that sends it."""
    for heading, union in (
        ("## Client to coordinator", ClientMessage),
        ("## Coordinator to client", CoordinatorMessage),
    ):
        named = set(re.findall(r"^### `(\w+)`", section(heading), re.MULTILINE))
        both = set(re.findall(r"^### `(\w+)`", section("## Both ways"), re.MULTILINE))
        assert named | both == {kind.__struct_config__.tag for kind in get_args(union)}


def test_every_code_is_described() -> None:
    """All of them, and no others."""
    assert [row[0] for row in rows(section("## Codes"))] == [f"`{code}`" for code in Code]


@pytest.mark.parametrize(
    ("heading", "table"),
    [
        ("### The coordinator's end of a connection", SERVER_TRANSITIONS),
        ("### The client's end of a connection", CLIENT_TRANSITIONS),
    ],
)
def test_the_tables_of_states(heading: str, table: Any) -> None:
    """Row for row what the code goes by."""
    assert rows(section(heading)) == list(transitions(table))


def test_the_states_of_a_member() -> None:
    """Every state of a member is on the page."""
    text = section("### A member of a room")
    assert {row[0] for row in rows(text)} == {state.name for state in MemberState}


def test_the_numbers() -> None:
    """Every number that both ends must know is the code's."""
    defaults = CoordinatorLimits()
    values = {name: getattr(limits, name) for name in vars(limits) if name.isupper()}
    values |= {field.name: getattr(defaults, field.name) for field in fields(CoordinatorLimits)}
    stated = {
        row[0].strip("`"): float(row[1].replace(",", "")) for row in rows(section("## Numbers"))
    }
    assert {name: values[name] for name in stated} == stated
    assert set(stated) >= {name for name in values if name.isupper()}


def test_the_version() -> None:
    """The page is about the version that the code speaks."""
    assert f"This is version {protocol.VERSION}." in PAGE


# -- the example ----------------------------------------------------------------------------------


class Table:
    """Both ends and the rooms, joined; whatever is said is noted down."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.rooms = Rooms(CoordinatorLimits(), probe_ports=(7338,))
        self.ends: dict[int, tuple[str, ClientConversation, ServerConnection, Seen]] = {}
        self.events: list[ClientEvent] = []

    def connect(self, name: str, opening: Any, seen: Seen) -> ClientConversation:
        """Open a connection."""
        client = ClientConversation(opening, now=0.0)
        server = ServerConnection(
            CoordinatorLimits(), now=0.0, probing=isinstance(opening, protocol.Probe)
        )
        number = len(self.ends)
        self.ends[number] = (name, client, server, seen)
        assert server.start(0.0) == []
        self.carry(number)
        return client

    def carry(self, number: int) -> None:
        """Bring what a client has to say to the coordinator, and what follows to everybody."""
        name, client, server, _ = self.ends[number]
        data = client.data_to_send()
        for message in protocol.FrameReader(protocol.CLIENT_MESSAGES).feed(data):
            self.note(name, ">", message)
        for step in server.receive(data, 0.0):
            self.do(number, step)

    def do(self, number: int, step: Step) -> None:
        """Do what the coordinator's end of a connection asks for."""
        match step:
            case Reply(message):
                self.say(number, message)
            case Hangup():
                self.events += self.ends[number][1].receive(b"", 0.0)
            case protocol.Request(message):
                for action in self.rooms.handle(number, self.ends[number][3], message, 0.0):
                    if isinstance(action, Send):
                        self.say(action.connection, action.message)
                    if isinstance(action, Close):
                        self.ends[action.connection][2].end()
                        self.events += self.ends[action.connection][1].receive(b"", 0.0)

    def say(self, number: int, message: CoordinatorMessage) -> None:
        """Bring a message of the coordinator to a client."""
        name, client, _, _ = self.ends[number]
        self.note(name, "<", message)
        self.events += client.receive(encode_frame(message), 0.0)

    def note(self, name: str, direction: str, message: Message) -> None:
        """Write a message down, long bytes shortened."""
        text = encode_frame(message)[4:].decode()
        self.notes.append(f"{name} {direction} {re.sub(r'[A-Za-z0-9+/=]{20,}', '…', text)}\n")


def conversation() -> str:
    """A call of two hosts, from the first join to the last result."""
    table = Table()
    alice = table.connect("A1", join(1, families=(Family.IPV6,)), path(1, round_trip=0.125))
    table.connect("A2", probe(1), path(1))
    table.connect("A3", attach(1), path(1, family=Family.IPV6))
    table.connect("B1", join(2), path(2, round_trip=0.25))
    alice.result(Outcome.FAILED, elapsed=4.0)
    table.carry(0)
    again = table.connect("A4", join(1, 2), path(1, port=40001, round_trip=0.125))
    bob = table.connect("B2", join(2, 2), path(2, port=40001, round_trip=0.25))
    for number, client in ((4, again), (5, bob)):
        client.result(Outcome.OK, elapsed=0.06)
        table.carry(number)
    assert table.rooms.rooms == 0
    return "".join(table.notes)


def test_the_example() -> None:
    """The lines of the example are what the code says and answers, in order."""
    shown = re.search(r"^```text\n(.*?)^```", section("## An example"), re.DOTALL | re.MULTILINE)
    assert shown
    assert shown[1] == conversation()

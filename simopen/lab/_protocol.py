"""What a supervisor answers its front, a line of JSON each, and how that is read. No I/O."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from simopen.lab._errors import LabUnavailable
from simopen.lab.wire.gateway import Counts as GatewayCounts
from simopen.lab.wire.link import LinkCounts


class Access(msgspec.Struct, frozen=True):
    """How to get at one host.

    Attributes:
        net: Path of its network namespace.
        user: Path of the user namespace that owns it, when that is not ours.
        tables: Paths of its tables of TCP sockets, IPv4 and IPv6.
    """

    net: str
    user: str | None
    tables: tuple[str, str]

    def command(self, argv: list[str], nsenter: str = "nsenter") -> list[str]:
        """Return the command line that runs `argv` in the host."""
        user = [] if self.user is None else [f"--user={self.user}", "--preserve-credentials"]
        return [nsenter, f"--net={self.net}", *user, "--", *argv]


class Traffic(msgspec.Struct, frozen=True):
    """What became of the packets at one host or site.

    Attributes:
        up: On the link towards the outside.
        down: On the link towards the inside.
        gateway: At the gateway, where that is a model.
    """

    up: LinkCounts
    down: LinkCounts
    gateway: GatewayCounts | None = None


class _Message(msgspec.Struct, frozen=True, tag_field="answer"):
    def to_json(self) -> bytes:
        """Return the message as one line."""
        return msgspec.json.encode(self) + b"\n"


class Ready(_Message, frozen=True, tag="ready"):
    """The lab is up.

    Attributes:
        access: How to get at each host.
    """

    access: dict[str, Access]


class Unavailable(_Message, frozen=True, tag="unavailable"):
    """This machine cannot have the lab.

    Attributes:
        reason: What is missing.
    """

    reason: str


class Ended(_Message, frozen=True, tag="ended"):
    """The lab has ended in order.

    Attributes:
        traffic: By host and site.
        unroutable: Packets to addresses that nobody had.
        refused: Packets that a receiving device would not take.
    """

    traffic: dict[str, Traffic]
    unroutable: int
    refused: int


Answer: TypeAlias = Ready | Unavailable | Ended

_decoder: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


def read_ready(line: bytes, stderr: bytes) -> dict[str, Access]:
    """Read a supervisor's first line.

    Args:
        line: The line; empty, or no answer, when the supervisor died instead of writing one.
        stderr: What it had to say otherwise.

    Raises:
        LabUnavailable: It is not ready.
    """
    answer = _read(line)
    if isinstance(answer, Ready):
        return answer.access
    if isinstance(answer, Unavailable):
        raise LabUnavailable(answer.reason)
    trouble = stderr.decode(errors="replace").strip() or "it said nothing"
    raise LabUnavailable(f"the lab's supervisor died during set-up:\n{trouble}")


def read_ended(line: bytes) -> Ended | None:
    """Read a supervisor's last line; None when it did not live to write one."""
    answer = _read(line)
    return answer if isinstance(answer, Ended) else None


def _read(line: bytes) -> Answer | None:
    """An answer; None for what is none, as of a supervisor that was cut off while it wrote."""
    try:
        return _decoder.decode(line)
    except (ValueError, RecursionError):  # RecursionError: nesting; msgspec's own is a ValueError
        return None

"""The front's half of the conversation with its supervisor: answers read, no I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass

from simopen.lab._errors import LabUnavailable


@dataclass(frozen=True, slots=True)
class Access:
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


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the wire did with what one host sent.

    Attributes:
        accepted: Packets taken in.
        overflowed: Packets lost because too many were in flight.
    """

    accepted: int
    overflowed: int


def read_ready(line: bytes, stderr: bytes) -> dict[str, Access]:
    """Read a supervisor's first line.

    Args:
        line: The line; empty when the supervisor died instead of writing one.
        stderr: What it had to say otherwise.

    Raises:
        LabUnavailable: It is not ready.
    """
    answer = json.loads(line) if line else {}
    if "ready" in answer:
        user = answer["user"]
        return {
            name: Access(host["ns"], user, (host["tables"][0], host["tables"][1]))
            for name, host in answer["ready"].items()
        }
    trouble = stderr.decode(errors="replace").strip() or "it said nothing"
    text = answer.get("unavailable") or f"the lab's supervisor died during set-up:\n{trouble}"
    raise LabUnavailable(text)


def read_counts(line: bytes) -> dict[str, Traffic] | None:
    """Read a supervisor's last line; None when it did not live to write one."""
    if not line:
        return None
    counts = json.loads(line)["counts"]
    return {name: Traffic(**fields) for name, fields in counts.items()}

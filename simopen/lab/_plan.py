"""What is to be built: the one message the front sends to its supervisor, as JSON on one line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from simopen.lab.wire import DEFAULT_CAPACITY

DEFAULT_MTU_BYTES = 1500
"""Ethernet's."""


@dataclass(frozen=True, slots=True)
class HostPlan:
    """One host.

    Attributes:
        name: What it is called, also in captures.
        ipv4: Its address; the prefix is /24.
        ipv6: Its address; the prefix is /64.
    """

    name: str
    ipv4: str
    ipv6: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A network.

    Attributes:
        hosts: Its hosts, in the order of the wire's ports.
        delay_ns: One-way delay of the wire, in nanoseconds.
        mtu_bytes: The largest IP packet a host may send.
        capacity: Packets in flight in one direction beyond which further ones are lost.
        capture: Absolute path of the capture to write, if any.
    """

    hosts: tuple[HostPlan, ...]
    delay_ns: int = 0
    mtu_bytes: int = DEFAULT_MTU_BYTES
    capacity: int = DEFAULT_CAPACITY
    capture: str | None = None

    def to_json(self) -> bytes:
        """Return the plan as one line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_json(cls, line: bytes) -> Plan:
        """Read a plan back from its line."""
        fields = json.loads(line)
        hosts = tuple(HostPlan(**host) for host in fields.pop("hosts"))
        return cls(hosts=hosts, **fields)

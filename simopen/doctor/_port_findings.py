"""Whether the port to connect from can be had, and will be ours alone. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ._facts import LocalPort, Machine
from ._findings import Row, Severity, Subject, Table, Words

TIME_WAIT = "TIME_WAIT"


@dataclass(frozen=True, slots=True)
class PortOnMachine:
    """A port, and the host that it is on.

    Attributes:
        port: The port.
        machine: The host.
    """

    port: LocalPort
    machine: Machine


def _in_range(facts: PortOnMachine) -> bool:
    ports = facts.machine.port_range
    return ports is not None and facts.port.local.port in ports


def _reserved(facts: PortOnMachine) -> bool:
    return any(facts.port.local.port in ports for ports in facts.machine.reserved_ports)


def _words(facts: PortOnMachine) -> Words:
    return {
        "port": facts.port.local.port,
        "range": facts.machine.port_range,
        "remote": facts.port.remote,
        "pair": facts.port.pair_state,
        "error": facts.port.bind_error,
    }


def _look(test: Callable[[PortOnMachine], bool]) -> Callable[[PortOnMachine], Words | None]:
    return lambda facts: _words(facts) if test(facts) else None


def _pair_waits(facts: PortOnMachine, *, gives_way: bool) -> bool:
    return facts.port.pair_state == TIME_WAIT and bool(facts.machine.timestamps) is gives_way


def _shared(facts: PortOnMachine) -> Words | None:
    others = facts.port.states - {"LISTEN"}
    if facts.port.bind_error or facts.port.pair_state or not others:
        return None
    return {**_words(facts), "states": ", ".join(sorted(others))}


PORT = Table(
    Subject.PORT,
    (
        Row(
            "port-taken",
            Severity.HINDERS,
            _look(lambda facts: bool(facts.port.bind_error)),
            "{error}",
            "Nothing can be sent from it; and who listens on it would be given the peer's SYN",
        ),
        Row(
            "port-free",
            Severity.FINE,
            _look(lambda facts: not facts.port.bind_error and not facts.port.states),
            "nobody is on port {port}",
            "It can be bound now",
        ),
        Row(
            "port-shared",
            Severity.NOTE,
            _shared,
            "other sockets are on port {port} ({states})",
            "Connections to others do not disturb a punch from it, as long as they do not listen",
        ),
        Row(
            "pair-in-use",
            Severity.HINDERS,
            _look(lambda facts: facts.port.pair_state not in (None, TIME_WAIT)),
            "a connection from port {port} to {remote} exists already ({pair})",
            "There can be only one between the same two endpoints: connect() fails with "
            "EADDRNOTAVAIL",
            "Close it, or use another port",
        ),
        Row(
            "pair-waits",
            Severity.NOTE,
            _look(lambda facts: _pair_waits(facts, gives_way=True)),
            "an old connection from port {port} to {remote} is in TIME_WAIT",
            "It gives way at once to a new one, since timestamps are on",
        ),
        Row(
            "pair-waits-long",
            Severity.HINDERS,
            _look(lambda facts: _pair_waits(facts, gives_way=False)),
            "an old connection from port {port} to {remote} is in TIME_WAIT",
            "Without timestamps it keeps this pair of endpoints for up to 60 s: connect() fails "
            "with EADDRNOTAVAIL",
            "Wait a minute, use another port, or sysctl net.ipv4.tcp_timestamps=1",
        ),
        Row(
            "port-outside",
            Severity.FINE,
            _look(lambda facts: facts.machine.port_range is not None and not _in_range(facts)),
            "port {port} is outside ip_local_port_range ({range})",
            "It is never given to a program that does not ask for it, and no socket meets itself "
            "on it by accident",
        ),
        Row(
            "port-reserved",
            Severity.FINE,
            _look(lambda facts: _in_range(facts) and _reserved(facts)),
            "port {port} is in ip_local_port_range ({range}), and reserved",
            "It is never given to a program that does not ask for it",
        ),
        Row(
            "port-can-collide",
            Severity.NOTE,
            _look(lambda facts: _in_range(facts) and not _reserved(facts)),
            "port {port} is in ip_local_port_range ({range}) and not reserved",
            "While we do not hold it the kernel may give it to any program that connects "
            "somewhere, which then is in the way; and a client that tries this port on this host "
            "again and again can be given it as its own and meet itself",
            "Choose a port outside the range, or reserve it: sysctl "
            "net.ipv4.ip_local_reserved_ports={port}",
        ),
    ),
)
"""All that can be found about the port to connect from."""

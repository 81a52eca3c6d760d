from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from simopen import Endpoint
from simopen.doctor import LocalPort, Machine, PortRange, Severity
from simopen.doctor._port_findings import PORT, PortOnMachine

MACHINE = Machine(system="Linux", timestamps=1, port_range=PortRange(32768, 60999))
REMOTE = Endpoint("203.0.113.2", 40001)
FREE = LocalPort(local=Endpoint("0.0.0.0", 20000), remote=REMOTE)

CASES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Severity]]] = [
    ({}, {}, {"port-free": Severity.FINE, "port-outside": Severity.FINE}),
    (
        {"local": Endpoint("0.0.0.0", 40000)},
        {},
        {"port-free": Severity.FINE, "port-can-collide": Severity.NOTE},
    ),
    (
        {"local": Endpoint("0.0.0.0", 40000)},
        {"reserved_ports": (PortRange(8080, 8080), PortRange(40000, 40003))},
        {"port-free": Severity.FINE, "port-reserved": Severity.FINE},
    ),
    (
        {"bind_error": "local port 20000 is taken by a listener", "states": frozenset({"LISTEN"})},
        {"port_range": None},
        {"port-taken": Severity.HINDERS},
    ),
    (
        {"states": frozenset({"ESTABLISHED", "TIME_WAIT"})},
        {"port_range": None},
        {"port-shared": Severity.NOTE},
    ),
    (
        {"states": frozenset({"ESTABLISHED"}), "pair_state": "ESTABLISHED"},
        {"port_range": None},
        {"pair-in-use": Severity.HINDERS},
    ),
    (
        {"states": frozenset({"TIME_WAIT"}), "pair_state": "TIME_WAIT"},
        {"port_range": None},
        {"pair-waits": Severity.NOTE},
    ),
    (
        {"states": frozenset({"TIME_WAIT"}), "pair_state": "TIME_WAIT"},
        {"port_range": None, "timestamps": 0},
        {"pair-waits-long": Severity.HINDERS},
    ),
    ({}, {"port_range": None}, {"port-free": Severity.FINE}),
]


@pytest.mark.parametrize(("port", "machine", "expected"), CASES)
def test_what_a_port_means(
    port: dict[str, Any], machine: dict[str, Any], expected: dict[str, Severity]
) -> None:
    """Whether it can be had now, and whether it can be given to somebody else."""
    facts = PortOnMachine(replace(FREE, **port), replace(MACHINE, **machine))
    assert {each.code: each.severity for each in PORT.judge(facts)} == expected


def test_every_row_can_be_found() -> None:
    """No line of the table is dead."""
    assert {code for *_, expected in CASES for code in expected} == {row.code for row in PORT.rows}


@pytest.mark.parametrize("port", [32768, 60999])
def test_the_ends_of_the_range_belong_to_it(port: int) -> None:
    """Both are given to sockets that ask for none."""
    facts = PortOnMachine(replace(FREE, local=Endpoint("0.0.0.0", port)), MACHINE)
    assert "port-can-collide" in {each.code for each in PORT.judge(facts)}


def test_the_cure_names_the_port() -> None:
    """The advice can be pasted."""
    facts = PortOnMachine(replace(FREE, local=Endpoint("0.0.0.0", 40000)), MACHINE)
    *_, finding = PORT.judge(facts)
    assert finding.advice.endswith("sysctl net.ipv4.ip_local_reserved_ports=40000")

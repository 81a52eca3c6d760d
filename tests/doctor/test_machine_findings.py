from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from simopen.doctor import Chain, Finding, Firewall, Machine, PortRange, Severity
from simopen.doctor._machine_findings import MACHINE
from simopen.doctor._machine_looks import kernel_version

DEFAULTS = Machine(
    system="Linux",
    release="6.18.44-amd64",
    syn_retries=6,
    syn_linear_timeouts=4,
    longest_rto=120.0,
    timestamps=1,
    time_wait_reuse=2,
    syncookies=1,
    fin_timeout=60,
    port_range=PortRange(32768, 60999),
    firewall=Firewall(chains=()),
    tracked=10,
    most_tracked=262_144,
    open_files=20,
    most_open_files=1024,
    uvloop="0.23.0",
    kernel_tick=0.004,
    addresses=("127.0.0.1", "::1", "198.51.100.7", "2a00::7", "fe80::1"),
)
ALL_FINE = [
    *("kernel", "syn-schedule", "port-range", "timestamps", "time-wait-reuse", "syncookies"),
    *("fin-timeout", "firewall-open", "tracking", "files", "uvloop", "clock", "ipv4-public"),
    "ipv6",
]
DROP_IN = Chain(hook="input", policy="drop", rules=3)
DROP_OUT = Chain(hook="output", policy="drop", rules=2)
OPEN = Chain(hook="input", policy="accept", rules=1)

CASES: list[tuple[dict[str, Any], str, Severity]] = [
    ({"system": "Darwin"}, "other-system", Severity.NOTE),
    ({"release": "6.10.9-1-default"}, "kernel-old", Severity.NOTE),
    ({"syn_linear_timeouts": None}, "syn-doubling", Severity.NOTE),
    ({"syn_linear_timeouts": 0}, "syn-doubling", Severity.NOTE),
    ({"syn_retries": 1}, "syn-few", Severity.NOTE),
    ({"port_range": PortRange(1024, 65535)}, "port-range-everything", Severity.NOTE),
    ({"port_range": PortRange(50000, 50100)}, "port-range-narrow", Severity.NOTE),
    ({"timestamps": 0}, "timestamps-off", Severity.NOTE),
    ({"firewall": Firewall(chains=(OPEN,))}, "firewall-open", Severity.FINE),
    (
        {"firewall": Firewall(chains=(replace(DROP_IN, tracks=True),))},
        "firewall-tracks",
        Severity.FINE,
    ),
    ({"firewall": Firewall(chains=(OPEN, DROP_IN))}, "firewall-blocks", Severity.HINDERS),
    ({"firewall": Firewall(chains=(DROP_OUT,))}, "firewall-output", Severity.NOTE),
    ({"firewall": Firewall(obstacle="that takes root")}, "firewall-unseen", Severity.NOTE),
    ({"tracked": 250_000}, "tracking-full", Severity.HINDERS),
    ({"open_files": 1010}, "files-few", Severity.HINDERS),
    ({"uvloop": None}, "uvloop-missing", Severity.NOTE),
    ({"clock_resolution": 0.0156}, "clock-coarse", Severity.NOTE),
    ({"container": "a container (podman)"}, "container", Severity.NOTE),
    ({"addresses": ("127.0.0.1", "fe80::1")}, "no-address", Severity.HINDERS),
    ({"addresses": ("192.168.1.2",)}, "ipv4-private", Severity.NOTE),
    ({"addresses": ("100.64.1.2",)}, "ipv4-private", Severity.NOTE),
    ({"addresses": ("198.51.100.7", "fd00::7")}, "ipv6-none", Severity.NOTE),
]


def judge(**changes: Any) -> dict[str, Finding]:
    """The findings about a machine that differs from the usual one, by their codes."""
    return {each.code: each for each in MACHINE.judge(replace(DEFAULTS, **changes))}


def test_the_usual_machine_is_fine() -> None:
    """Linux as it comes, with addresses of its own: nothing to note."""
    found = judge()
    assert list(found) == ALL_FINE
    assert {each.severity for each in found.values()} == {Severity.FINE}


def test_nothing_is_known() -> None:
    """Where the system tells nothing, there is little to find, and no error."""
    codes = [each.code for each in MACHINE.judge(Machine(system=""))]
    assert codes == ["other-system", "uvloop-missing", "clock"]


@pytest.mark.parametrize(("changes", "code", "severity"), CASES)
def test_what_differs_is_found(changes: dict[str, Any], code: str, severity: Severity) -> None:
    """One change, one finding; nothing contradicts it."""
    found = judge(**changes)
    assert found[code].severity is severity
    opposites = [{"kernel", "kernel-old"}, {"timestamps", "timestamps-off"}, {"files", "files-few"}]
    opposites += [{"tracking", "tracking-full"}, {"uvloop", "uvloop-missing"}]
    opposites += [{"clock", "clock-coarse"}, {"ipv6", "ipv6-none"}, {"ipv4-private", "ipv4-public"}]
    opposites += [{"firewall-open", "firewall-blocks"}, {"firewall-tracks", "firewall-blocks"}]
    for both in opposites:
        assert not both <= set(found)


def test_every_row_can_be_found() -> None:
    """No line of the table is dead."""
    found = set(judge())
    for changes, *_ in CASES:
        found |= set(judge(**changes))
    assert found == {row.code for row in MACHINE.rows}


def test_why_a_connect_took_whole_seconds() -> None:
    """The schedule is told, with what a connect() of 1.0, 2.0 or 3.0 seconds has lost."""
    finding = judge()["syn-schedule"]
    assert "after 1, 2, 3, 4, 5, 7, 11, 19, 35 and 67 s" in finding.title
    assert "gives up after 131 s" in finding.title
    for seconds, lost in (("1.0", "one"), ("2.0", "two"), ("3.0", "three")):
        assert f"one that takes {seconds} s has lost {lost}" in finding.meaning


def test_the_schedule_of_an_old_kernel() -> None:
    """Doubles at once: the second retransmission is at 3 s."""
    finding = judge(syn_linear_timeouts=None)["syn-schedule"]
    assert "after 1, 3, 7, 15, 31 and 63 s" in finding.title
    assert "3.0 s has lost two" in finding.meaning


def test_a_filter_behind_another_is_seen() -> None:
    """Each input chain drops on its own: one that tracks does not help the other."""
    tracking = replace(DROP_IN, tracks=True)
    found = judge(firewall=Firewall(chains=(tracking, DROP_IN)))
    assert "firewall-blocks" in found
    assert "firewall-tracks" not in found


def test_the_unseen_filter_is_named() -> None:
    """Without the privilege: why, and which program keeps one."""
    firewall = Firewall(obstacle="that takes root", services=("ufw",))
    title = judge(firewall=firewall)["firewall-unseen"].title
    assert title == "the packet filter cannot be seen: that takes root; ufw is switched on"


@pytest.mark.parametrize(
    ("release", "version"),
    [("6.18.44-fc-v669", (6, 18, 44)), ("5.15", (5, 15)), ("6.10-rc1", (6, 10)), ("", ())],
)
def test_a_kernels_version(release: str, version: tuple[int, ...]) -> None:
    """The numbers at its beginning."""
    assert kernel_version(release) == version

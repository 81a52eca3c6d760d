from __future__ import annotations

import pytest

from simopen import Endpoint
from simopen.doctor import Answer, IcmpError, Knock, Machine, Remote, Severity
from simopen.doctor._remote_findings import REMOTE, RemoteFromMachine

END = Endpoint("203.0.113.2", 40001)
MACHINE = Machine(system="Linux", syn_retries=6, syn_linear_timeouts=4)
RESET = Knock(answer=Answer.RESET, after=0.02, reason="reset")
SLOW_RESET = Knock(answer=Answer.RESET, after=2.04, reason="reset")
SILENT = Knock(answer=Answer.SILENT, after=2.8)
OPEN = Knock(answer=Answer.OPEN, after=0.02)
UNSENT = Knock(answer=Answer.UNSENT, after=0.0, reason="no route")
ERROR = Knock(answer=Answer.ERROR, after=0.02, reason="host unreachable")


def icmp(kind: int, code: int, version: int = 4) -> Knock:
    """An ICMP error from a router."""
    error = IcmpError(version=version, type=kind, code=code, sender="198.51.100.1")
    return Knock(answer=Answer.ICMP, after=0.02, icmp=error)


CASES: list[tuple[Remote, dict[str, Severity]]] = [
    (Remote(remote=END, knocks=(RESET,) * 3), {"remote-refuses": Severity.NOTE}),
    (Remote(remote=END, knocks=(SILENT,)), {"remote-silent": Severity.NOTE}),
    (Remote(remote=END, knocks=(icmp(3, 3),) * 3), {"remote-filtered": Severity.NOTE}),
    (Remote(remote=END, knocks=(icmp(1, 1, 6),) * 3), {"remote-filtered": Severity.NOTE}),
    (Remote(remote=END, knocks=(icmp(3, 1),) * 3), {"remote-unreachable": Severity.HINDERS}),
    (Remote(remote=END, knocks=(icmp(11, 0),)), {"remote-unreachable": Severity.HINDERS}),
    (Remote(remote=END, knocks=(ERROR,) * 3), {"remote-error": Severity.HINDERS}),
    (Remote(remote=END, knocks=(icmp(3, 3), SILENT)), {"remote-mixed": Severity.NOTE}),
    (Remote(remote=END, knocks=(OPEN,)), {"remote-listens": Severity.HINDERS}),
    (Remote(remote=END, knocks=(OPEN,), stranger=OPEN), {"remote-listens": Severity.HINDERS}),
    (Remote(remote=END, knocks=(OPEN,), stranger=RESET), {"remote-peer": Severity.NOTE}),
    (Remote(remote=END, knocks=(RESET, OPEN), stranger=SILENT), {"remote-peer": Severity.NOTE}),
    (Remote(remote=END, knocks=(UNSENT,)), {"remote-unsent": Severity.HINDERS}),
    (
        Remote(remote=END, knocks=(SLOW_RESET, RESET, RESET)),
        {"remote-refuses": Severity.NOTE, "remote-lossy": Severity.NOTE},
    ),
    (Remote(remote=END, unresolved="unknown host"), {"remote-unresolved": Severity.HINDERS}),
]


@pytest.mark.parametrize(("remote", "expected"), CASES)
def test_what_answers_mean(remote: Remote, expected: dict[str, Severity]) -> None:
    """One meaning each; only what keeps SYNs from meeting hinders."""
    found = REMOTE.judge(RemoteFromMachine(remote, MACHINE))
    assert {each.code: each.severity for each in found} == expected


def test_every_row_can_be_found() -> None:
    """No line of the table is dead."""
    assert {code for _, expected in CASES for code in expected} == {r.code for r in REMOTE.rows}


def test_lost_packets_are_counted_by_the_schedule() -> None:
    """An answer after two seconds: two retransmissions were needed."""
    remote = Remote(remote=END, knocks=(SLOW_RESET, RESET))
    *_, finding = REMOTE.judge(RemoteFromMachine(remote, MACHINE))
    assert "2 SYNs or their answers were lost" in finding.title
    assert "again after 2 s" in finding.meaning


def test_it_is_said_how_fast_and_by_whom() -> None:
    """The soonest refusal; the router, and the message's name and numbers."""
    (refusal,) = REMOTE.judge(RemoteFromMachine(CASES[0][0], MACHINE))
    assert "after 20.0 ms at the soonest" in refusal.title
    (filtered,) = REMOTE.judge(RemoteFromMachine(CASES[2][0], MACHINE))
    assert "port unreachable, ICMP 3/3" in filtered.title
    assert "198.51.100.1 says so" in filtered.title

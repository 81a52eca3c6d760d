"""What answers a SYN that was not asked for, and when."""

from __future__ import annotations

import pytest

from simopen.lab.nat import Unsolicited
from simopen.lab.wire import refusals
from simopen.lab.wire.headers import Packet, read
from simopen.lab.wire.refusals import Refusals
from tests.lab.wire.packetry import see, tcp

OWN = {4: b"\xcb\0\x71\1", 6: b"\x20\1\x0d\xb8" + bytes(11) + b"\1"}
REMOTE, EXTERNAL = ("198.51.100.9", 443), ("203.0.113.1", 40000)
REMOTE6, INSIDE6 = ("2001:db8:2::9", 443), ("2001:db8::2", 40000)


def syn(port: int = 443) -> Packet:
    """Make a SYN from outside."""
    packet = read(tcp((REMOTE[0], port), EXTERNAL, "S"))
    assert packet is not None
    return packet


def test_silence_says_nothing_ever() -> None:
    """Neither now nor later."""
    quiet = Refusals(Unsolicited.SILENCE, OWN)
    assert quiet.refuse(syn(), 0.0) is None
    assert quiet.next_deadline() is None


def test_a_reset_comes_from_the_endpoint_addressed() -> None:
    """So that the sender's kernel takes it for a refused connection."""
    answer = Refusals(Unsolicited.RST, OWN).refuse(syn(), 0.0)
    assert answer is not None
    assert (see(answer).source, see(answer).flags) == (EXTERNAL, "RA")


@pytest.mark.parametrize(
    ("ends", "own", "kind"),
    [((REMOTE, EXTERNAL), "203.0.113.1", (3, 3)), ((REMOTE6, INSIDE6), "2001:db8::1", (1, 1))],
)
def test_an_error_comes_from_the_gateway(
    ends: tuple[tuple[str, int], tuple[str, int]], own: str, kind: tuple[int, int]
) -> None:
    """Port unreachable over IPv4, administratively prohibited over IPv6."""
    raw = tcp(*ends, "S")
    packet = read(raw)
    assert packet is not None
    answer = Refusals(Unsolicited.ICMP, OWN).refuse(packet, 0.0)
    assert answer is not None
    seen = see(answer)
    assert (seen.source, seen.destination[0], seen.icmp) == ((own, 0), ends[0][0], kind)
    assert seen.quoted == raw


def test_a_patient_error_comes_after_six_seconds() -> None:
    """One for each flow, counted from its first SYN, in order."""
    patient = Refusals(Unsolicited.ICMP_AFTER_6_S, OWN)
    for now, port in ((0.0, 1), (1.0, 2), (2.0, 1)):
        assert patient.refuse(syn(port), now) is None
    assert patient.next_deadline() == 6.0
    assert patient.pop_due(5.99) == []
    assert [see(answer).quoted for answer in patient.pop_due(6.0)] == [syn(1).raw]
    assert patient.next_deadline() == 7.0
    assert [see(answer).quoted for answer in patient.pop_due(100.0)] == [syn(2).raw]
    assert patient.next_deadline() is None


def test_a_cancelled_error_does_not_come() -> None:
    """The flow has what it wanted; others still wait."""
    patient = Refusals(Unsolicited.ICMP_AFTER_6_S, OWN)
    patient.refuse(syn(1), 0.0)
    patient.refuse(syn(2), 1.0)
    patient.cancel(syn(1).flow.key)
    patient.cancel(b"nobody's")
    assert patient.next_deadline() == 7.0


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """SYNs beyond the bound get no answer."""
    monkeypatch.setattr(refusals, "MAX_PENDING", 2)
    patient = Refusals(Unsolicited.ICMP_AFTER_6_S, OWN)
    for port in range(1, 9):
        patient.refuse(syn(port), 0.0)
    assert len(patient) == len(patient.pop_due(6.0)) == 2


def test_a_deadline_told_by_a_clock_of_nanoseconds_is_met() -> None:
    """Whoever comes back at the very nanosecond of the deadline finds the answer."""
    for begin_ns in range(98_765_432_100_000_000, 98_765_432_100_002_000, 7):
        patient = Refusals(Unsolicited.ICMP_AFTER_6_S, OWN)
        patient.refuse(syn(), begin_ns / 1e9)
        back_ns = int((patient.next_deadline() or 0) * 1e9)
        assert patient.pop_due(back_ns / 1e9)

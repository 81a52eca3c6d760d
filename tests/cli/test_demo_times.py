from __future__ import annotations

import pytest

from simopen.capture.packets import Endpoint, Flags
from simopen.capture.pcapng import Record
from simopen.cli._demo_times import bound, read_times
from tests.capture.makers import IN, OUT, trip

HOSTS = {
    "a": Endpoint("10.77.0.1", 40000),
    "b": Endpoint("10.77.1.1", 40001),
    "server": Endpoint("10.77.2.1", 7337),
}
PROBED = Endpoint("10.77.2.1", 7338)
PRIVATE = {**HOSTS, "b": Endpoint("192.168.9.9", 40001)}  # as each sees itself
SYN, ACK = Flags.SYN, Flags.ACK


class Capture:
    """Records, in the order they are made."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def packet(
        self,
        sender: str,
        receiver: str,
        times_ms: tuple[float, ...],
        flags: Flags,
        *,
        to: Endpoint | None = None,
        payload: int = 0,
    ) -> None:
        """One packet that leaves, and arrives where there is a second time."""
        stops = (
            (sender, OUT, PRIVATE[sender], to or HOSTS[receiver]),
            (receiver, IN, HOSTS[sender], to or PRIVATE[receiver]),
        )
        numbers = (1, 1, payload)
        made = trip(len(self.records), stops, times_ms, flags, numbers=numbers)
        self.records += made


def meeting(*, answered: bool = True) -> list[Record]:
    """The server is 10 ms from a and 20 ms from b, which comes 5 ms later."""
    capture = Capture()
    for name, at, way in (("a", 100.0, 10.0), ("b", 105.0, 20.0)):
        capture.packet(name, "server", (at - 50, at - 50 + way), SYN)
        capture.packet(name, "server", (at, at + way), ACK, payload=500)
        capture.packet("server", name, (at + way, at + 2 * way), ACK, payload=50)
        capture.packet(name, "server", (at + 12, at + 12 + way), SYN, to=PROBED)
    capture.packet("server", "a", (125.0, 135.0), ACK, payload=700)
    capture.packet("server", "b", (125.0, 145.0), ACK, payload=700)
    capture.packet("a", "b", (146.0, 176.0), SYN)
    capture.packet("b", "a", (147.0, 177.0), SYN)
    if answered:
        capture.packet("b", "a", (176.0, 206.0), SYN | ACK)
        capture.packet("a", "b", (177.0, 207.0), SYN | ACK)
    capture.packet("a", "b", (246.0,), SYN, to=PRIVATE["b"])
    capture.packet("server", "a", (300.0, 310.0), ACK, payload=9)
    return capture.records


def rounded(times: dict[str, float]) -> dict[str, float]:
    """In milliseconds."""
    return {host: round(time * 1000, 1) for host, time in times.items()}


def test_the_moments_of_a_meeting() -> None:
    """Counted from the later one's asking; an introduction is the last word before the SYN."""
    times = read_times(meeting(), ("a", "b"), "server")
    assert times is not None
    assert times.asked_last == "b"
    assert rounded(dict(times.asked)) == {"a": -5.0, "b": 0.0}
    assert rounded(dict(times.introduced)) == {"a": 30.0, "b": 40.0}
    assert rounded(dict(times.fired)) == {"a": 41.0, "b": 42.0}
    assert rounded(dict(times.connected)) == {"a": 101.0, "b": 102.0}


def test_the_packets_are_on_the_same_clock() -> None:
    """Those between the two, and not what went where the peer is not."""
    times = read_times(meeting(), ("a", "b"), "server")
    assert times is not None
    shown = [(step.flags, round(step.sent_at * 1000)) for step in times.steps]
    assert shown == [("SYN", 41), ("SYN", 42), ("SYN-ACK", 71), ("SYN-ACK", 72)]
    assert times.elsewhere == 1


@pytest.mark.parametrize(
    "records",
    [[], meeting(answered=False)],
    ids=["nothing", "never connected"],
)
def test_a_capture_without_a_meeting(records: list[Record]) -> None:
    """Has no times."""
    assert read_times(records, ("a", "b"), "server") is None


def test_the_bound() -> None:
    """From the asker's side the longer of its own round trip and half of both, then one more."""
    assert bound(0.030, 0.050, 0.060) == pytest.approx(0.100)
    assert bound(0.050, 0.030, 0.060) == pytest.approx(0.110)

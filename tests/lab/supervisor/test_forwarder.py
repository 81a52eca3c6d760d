"""The executor of the wire, with datagram sockets in place of TUN devices."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from simopen.capture import pcapng
from simopen.lab import Link, Site, Topology
from simopen.lab._planning import plan
from simopen.lab.supervisor._forwarder import Forwarder
from simopen.lab.supervisor._recorder import Recorder
from simopen.lab.wire.fabric import Fabric

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DELAY_S = 0.02
_LINK = Link(latency=_DELAY_S)
_PLAN = plan(
    Topology(
        sites=[Site(f"site-{name}", hosts=[name], link=_LINK, downlink=Link()) for name in "ab"]
    )
)
_MTU_BYTES = 1500
_PACKETS = 40  # fewer than what fills a socket's buffer while nobody reads


@contextmanager
def _running(capture: Path | None = None) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Forward between two sockets for the time of the context."""
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
    for _, tun in pairs:
        tun.setblocking(False)
    stop, stopper = os.pipe()
    recorder = Recorder({str(capture): ["a", "b"]}) if capture else None
    fabric = Fabric(_PLAN, recorder.note if recorder else None)
    tuns = [tun.fileno() for _, tun in pairs]
    thread = threading.Thread(target=Forwarder(fabric, tuns, [stop], recorder, _MTU_BYTES).run)
    thread.start()
    try:
        yield pairs[0][0], pairs[1][0]
    finally:
        os.close(stopper)
        thread.join()
        os.close(stop)
        if recorder is not None:
            recorder.close()
        for end in (end for pair in pairs for end in pair):
            end.close()


def _packet(to: int, body: bytes) -> bytes:
    """A packet that a router can route: all it reads is the destination."""
    return bytes([0x45]) + bytes(15) + bytes([203, 0, 113, to]) + body


def test_packets_come_out_whole_in_order_and_in_time() -> None:
    """Both directions, each packet one delay later and not earlier."""
    with _running() as (a, b):
        start = time.monotonic()
        for number in range(_PACKETS):
            a.send(_packet(2, bytes([number]) * 1480))
        b.send(_packet(1, b"back"))
        for number in range(_PACKETS):
            assert b.recv(2000) == _packet(2, bytes([number]) * 1480)
        assert time.monotonic() - start >= _DELAY_S
        assert a.recv(2000) == _packet(1, b"back")


def test_both_passings_are_recorded_and_readable_at_once(tmp_path: Path) -> None:
    """Each packet is recorded twice, a delay apart, and the file is current while it idles."""
    capture = tmp_path / "x.pcapng"
    with _running(capture) as (a, b):
        a.send(_packet(2, b"packet"))
        b.recv(99)
        deadline = time.monotonic() + 5
        while len(records := pcapng.read(capture.read_bytes(), growing=True)) < 2:
            assert time.monotonic() < deadline
    out, into = records
    assert (out.interface, into.interface) == ("a", "b")
    assert out.packet_id == into.packet_id
    assert into.time_ns - out.time_ns >= _DELAY_S * 1e9
    assert abs(into.time_ns - time.time_ns()) < 60e9

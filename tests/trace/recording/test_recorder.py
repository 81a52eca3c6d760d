"""The packet socket, over the loopback of a namespace of its own or of this host."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from simopen.capture.packets import Endpoint, Flags, Segment
from simopen.trace._log import Log
from simopen.trace.recording import _recorder
from simopen.trace.recording._recorder import PacketRecorder
from tests.helpers import free_port, open_sockets

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("require_lab")]


def addresses(v6: bool) -> tuple[str, socket.AddressFamily]:  # noqa: FBT001 - a test's parameter
    """Loopback's, and its family."""
    return ("::1", socket.AF_INET6) if v6 else ("127.0.0.1", socket.AF_INET)


@contextmanager
def recorded(*, v6: bool = False, payload: bytes = b"") -> Iterator[tuple[Log, PacketRecorder]]:
    """A plain connection over loopback, recorded from its client's side."""
    host, family = addresses(v6)
    ours, theirs = Endpoint(host, free_port()), Endpoint(host, free_port())
    log = Log(pairs=[(ours, theirs)])
    try:
        recorder = PacketRecorder.open(log.pairs, log)
    except PermissionError:
        pytest.skip("needs CAP_NET_RAW in this very namespace")
    with socket.socket(family) as listener, socket.socket(family) as client:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(theirs)
        listener.listen()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind(ours)
        client.connect(theirs)
        client.sendall(payload)
        time.sleep(0.01)
        yield log, recorder


def finished(recorder: PacketRecorder) -> None:
    """Close a recorder, and wait until its thread has ended."""
    before = set(threading.enumerate())
    recorder.close()
    for thread in set(threading.enumerate()) - before:
        thread.join()


@pytest.mark.parametrize("v6", [False, True], ids=["IPv4", "IPv6"])
def test_our_side_of_a_handshake(v6: bool) -> None:  # noqa: FBT001 - a test's parameter
    """Each packet once, in order, with the kernel's time and the interface."""
    with recorded(v6=v6) as (log, recorder):
        began = time.time_ns()
        finished(recorder)
    packets = [(seen.outgoing, seen.packet) for seen in log.packets()]
    flags = [(outgoing, each.flags) for outgoing, each in packets if isinstance(each, Segment)]
    assert flags == [
        (True, Flags.SYN),
        (False, Flags.SYN | Flags.ACK),
        (True, Flags.ACK),
    ]
    times = [seen.time_ns for seen in log.packets()]
    assert times == sorted(times)
    assert began - 5 * 10**9 < times[0] < began
    assert {seen.interface for seen in log.packets()} == {"lo"}


def test_payload_never_leaves_the_kernel() -> None:
    """Headers alone, whatever a packet carries; its length is known all the same."""
    with recorded(payload=b"the secret of the house") as (log, recorder):
        finished(recorder)
    (carrying,) = [
        seen
        for seen in log.packets()
        if isinstance(seen.packet, Segment) and seen.packet.payload_bytes and seen.outgoing
    ]
    assert isinstance(carrying.packet, Segment)
    assert carrying.packet.payload_bytes == 23
    assert all(b"secret" not in seen.data and len(seen.data) <= 60 for seen in log.packets())


def test_the_socket_is_closed() -> None:
    """Closing leaves nothing, and what did not fit into the buffer is counted."""
    before = open_sockets()
    with recorded() as (log, recorder):
        finished(recorder)
    assert open_sockets() == before
    assert log.dropped == 0


def test_what_the_kernel_dropped_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood between two looks is not told whole, and the trace says so."""
    monkeypatch.setattr(_recorder, "BUFFER_BYTES", 1)  # the kernel's least: two packets or so
    with recorded(payload=b"x") as (log, recorder):
        finished(recorder)
    assert log.dropped > 0
    assert log.frames


def test_without_the_kernels_help_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter that the kernel does not take leaves no socket."""
    monkeypatch.setattr(_recorder, "program", lambda _pairs: b"\xff" * 8)
    before = open_sockets()
    with pytest.raises(OSError, match="Invalid argument"):
        PacketRecorder.open([], Log())
    assert open_sockets() == before


def test_systems_without_packet_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """They say so."""
    monkeypatch.delattr(socket, "AF_PACKET")
    with pytest.raises(OSError, match="no packet sockets"):
        PacketRecorder.open([], Log())

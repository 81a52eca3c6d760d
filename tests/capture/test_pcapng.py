"""Captures written and read back."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen.capture import pcapng
from simopen.capture.packets import Endpoint, Flags, Segment
from simopen.capture.pcapng import CaptureError, Direction, Interface
from tests.capture.makers import raw

_HEADER = pcapng.header([Interface("a"), Interface("b", gateway=True)])
_BLOCK = pcapng.packet_block(0, Direction.OUTBOUND, 1, 2, b"packet")

_PACKETS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(Direction),
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**64 - 1),
        st.binary(max_size=200),
    ),
    max_size=10,
)


@given(_PACKETS, st.integers(0, 150))
def test_what_is_written_is_read_back(
    packets: list[tuple[int, Direction, int, int, bytes]], snap_bytes: int
) -> None:
    """Every field survives; of the packet its first bytes and its length do."""
    blocks = [pcapng.packet_block(*packet, snap_bytes) for packet in packets]
    records = pcapng.read(pcapng.header(["a", "ÿ"], snap_bytes) + b"".join(blocks))
    assert records == [
        pcapng.Record("aÿ"[interface], direction, time_ns, packet_id, data[:snap_bytes], len(data))
        for interface, direction, time_ns, packet_id, data in packets
    ]


def test_hosts_and_gateways_are_told_apart() -> None:
    """What an interface is, is read back where the capture says so."""
    interfaces: list[Interface | str] = [Interface("alice"), Interface("home", gateway=True), "bob"]
    blocks = [pcapng.packet_block(n, Direction.OUTBOUND, 1, 2, b"packet") for n in range(3)]
    records = pcapng.read(pcapng.header(interfaces) + b"".join(blocks))
    told = [(record.interface, record.gateway) for record in records]
    assert told == [("alice", False), ("home", True), ("bob", False)]


def test_captures_with_one_header_share_blocks() -> None:
    """A block is good in every file that has the same interfaces."""
    whole, part = (pcapng.read(_HEADER + _BLOCK * copies) for copies in (2, 1))
    assert whole == part * 2


@given(st.binary(max_size=200))
def test_garbage_raises_one_error(garbage: bytes) -> None:
    """Bytes that are no capture raise CaptureError and nothing else."""
    with pytest.raises(CaptureError):
        pcapng.read(garbage)


@given(st.data())
def test_a_damaged_capture_is_read_or_refused(data: st.DataObject) -> None:
    """One byte changed anywhere is never worse than CaptureError."""
    capture = bytearray(_HEADER + _BLOCK)
    capture[data.draw(st.integers(0, len(capture) - 1))] = data.draw(st.integers(0, 255))
    with suppress(CaptureError):
        pcapng.read(bytes(capture))


@pytest.mark.parametrize("cut", range(1, len(_BLOCK)))
def test_a_cut_capture_is_refused_unless_it_is_growing(cut: int) -> None:
    """The end of a file that is still written may be incomplete; that of another may not."""
    capture = (_HEADER + _BLOCK * 2)[:-cut]
    with pytest.raises(CaptureError):
        pcapng.read(capture)
    assert len(pcapng.read(capture, growing=True)) == 1


@pytest.mark.parametrize(
    "capture",
    [
        pytest.param(b"", id="empty"),
        pytest.param(_BLOCK, id="no section"),
        pytest.param(pcapng.header([]) + _BLOCK, id="no interface"),
        pytest.param(pcapng.header(["a"], 5) + _BLOCK, id="more kept than said"),
        pytest.param(_HEADER.replace(b"host a", b"hose a") + _BLOCK, id="neither host nor gateway"),
        pytest.param(_HEADER + b"\x05\0\0\0\x0c\0\0\0\x0c\0\0\0", id="unknown block"),
        pytest.param(_HEADER + b"\x06\0\0\0\x0d\0\0\0\x0d\0\0\0\0", id="odd length"),
    ],
)
def test_what_the_writer_never_writes_is_refused(capture: bytes) -> None:
    """The reader is strict about the order and the kind of blocks."""
    with pytest.raises(CaptureError):
        pcapng.read(capture)


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
def test_tshark_reads_it(tmp_path: Path) -> None:
    """Wireshark's reader sees the packet, its direction, its id, and the interface."""
    syn = Segment(Endpoint("10.77.0.1", 1), Endpoint("10.77.1.1", 2), Flags.SYN, 3, 0, 4, 0)
    block = pcapng.packet_block(1, Direction.OUTBOUND, 1_500_000_001, 9, raw(syn))
    path = tmp_path / "x.pcapng"
    path.write_bytes(_HEADER + block)
    fields = ["frame.interface_name", "frame.time_epoch", "frame.packet_flags_direction"]
    fields += ["frame.packet_id", "tcp.srcport", "tcp.flags.syn", "frame.interface_description"]
    command = ["tshark", "-r", str(path), "-T", "fields"]
    command += [part for field in fields for part in ("-e", field)]
    done = subprocess.run(command, capture_output=True, check=True, env={**os.environ, "LANG": "C"})
    values = done.stdout.decode().split()
    assert values[:2] == ["b", "1.500000001"]
    assert [int(value, 16) for value in values[2:5]] == [2, 9, 1]
    assert values[5] in ("1", "True")
    assert values[6:] == ["outside", "of", "site", "b"]


def test_the_beginning_of_a_packet_has_the_length_of_the_whole() -> None:
    """Whoever records only headers knows how long the packet was."""
    data = raw(Segment(Endpoint("10.0.0.1", 1), Endpoint("10.0.0.2", 2), Flags.SYN, 0, 0, 1, 0))
    block = pcapng.packet_block(0, Direction.OUTBOUND, 7, 0, data, length=1500)
    (record,) = pcapng.read(pcapng.header(["a"], application="other") + block)
    assert (record.data, record.length) == (data, 1500)

"""Raw packets read."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from socket import AF_INET, AF_INET6, inet_ntop

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopen.capture.packets import Endpoint, Flags, Segment, Unreachable, parse
from tests.capture.makers import raw, unreachable

_U16, _U32 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)


def _segments() -> st.SearchStrategy[Segment]:
    def build(version: int) -> st.SearchStrategy[Segment]:
        family, length = (AF_INET, 4) if version == 4 else (AF_INET6, 16)
        address = st.binary(min_size=length, max_size=length).map(partial(inet_ntop, family))
        endpoint = st.builds(Endpoint, address, _U16)
        return st.builds(
            Segment,
            endpoint,
            endpoint,
            st.integers(0, 63).map(Flags),
            _U32,
            _U32,
            _U16,
            st.integers(0, 1000),
            st.none() | _U16,
            st.none() | st.tuples(_U32, _U32),
        )

    return st.sampled_from((4, 6)).flatmap(build)


_SYN4 = Segment(Endpoint("10.0.0.1", 1), Endpoint("10.0.0.2", 2), Flags.SYN, 3, 0, 4, 5, 1460)
_SYN6 = replace(_SYN4, source=Endpoint("fd77::1", 1), destination=Endpoint("fd77::2", 2))


@given(segment=_segments())
def test_a_segment_is_read_as_it_was_built(segment: Segment) -> None:
    """Both families, every flag, number and option come back, also from a snapped packet."""
    packet = raw(segment)
    assert parse(packet) == segment
    assert parse(packet[:128]) == segment


@given(st.binary(max_size=120))
def test_garbage_is_none_or_a_packet(garbage: bytes) -> None:
    """No bytes make the parser raise."""
    parse(garbage)


@given(head=st.sampled_from([_SYN4, _SYN6]), data=st.data())
def test_a_damaged_packet_never_raises(head: Segment, data: st.DataObject) -> None:
    """No change of one byte and no cut makes the parser raise."""
    packet = bytearray(raw(head))
    packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    parse(bytes(packet[: data.draw(st.integers(0, len(packet)))]))


@pytest.mark.parametrize(("segment", "header"), [(_SYN4, 20 + 24), (_SYN6, 40 + 24)])
def test_a_packet_cut_inside_its_headers(segment: Segment, header: int) -> None:
    """Without its fixed headers a packet is nothing; without its options it only lacks them."""
    packet = raw(segment)
    assert all(parse(packet[:cut]) is None for cut in range(header - 4))
    assert parse(packet[: header - 4]) == replace(segment, mss=None)


@pytest.mark.parametrize(("syn", "code"), [(_SYN4, 3), (_SYN6, 4)])
def test_unreachable_tells_which_segment_failed(syn: Segment, code: int) -> None:
    """ICMP unreachable is recognised with the endpoints and sequence number of what it answers."""
    expected = Unreachable(syn.destination.address, code, syn.source, syn.destination, syn.seq)
    assert parse(unreachable(syn)) == expected


@pytest.mark.parametrize(("syn", "at"), [(_SYN4, 20), (_SYN6, 40)])
def test_other_icmp_is_nothing_to_us(syn: Segment, at: int) -> None:
    """An echo request is None."""
    packet = bytearray(unreachable(syn))
    packet[at] = 8
    assert parse(bytes(packet)) is None


def test_a_later_fragment_is_nothing() -> None:
    """What follows in a later IPv4 fragment is payload and must not be taken for a header."""
    packet = bytearray(raw(_SYN4))
    packet[6:8] = b"\x00\x10"
    assert parse(bytes(packet)) is None

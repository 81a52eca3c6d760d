"""Which packets are segments for a handshake, and what is said where there can be none."""

from __future__ import annotations

import errno
import os
from contextlib import nullcontext

import pytest

from simopen.raw import RawUnavailableError, _repair
from simopen.raw._segments import SYN, Address, Flow, Segment, build
from simopen.raw._taking import open_wire, read_segment
from simopen.raw._wire import Incoming

LOCAL, REMOTE = Address(bytes((192, 0, 2, 1)), 7777), Address(bytes((192, 0, 2, 2)), 40_000)


def packet(remote: Address = REMOTE) -> Incoming:
    """A SYN from somewhere."""
    syn = Segment(source=remote.port, destination=LOCAL.port, seq=1, flags=SYN, data=b"data")
    return Incoming(Flow(LOCAL, remote), build(syn, remote.packed, LOCAL.packed))


def test_a_sound_one_is_read() -> None:
    """To what it says."""
    segment = read_segment(packet())
    assert segment is not None
    assert segment.data == b"data"


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(packet(LOCAL), id="from ourselves"),
        pytest.param(packet(REMOTE._replace(port=0)), id="from port 0"),
        pytest.param(packet()._replace(data=packet().data[:-1] + b"?"), id="damaged"),
        pytest.param(packet()._replace(data=packet().data[:12]), id="cut short"),
        pytest.param(packet()._replace(data=b""), id="empty"),
    ],
)
def test_others_are_not(bad: Incoming) -> None:
    """They are no answer's cause, and no error."""
    assert read_segment(bad) is None


@pytest.mark.anyio
async def test_what_the_system_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lack of descriptors is an error of ours, which says what to look at."""

    def refuse() -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(_repair, "check_permitted", refuse)
    with pytest.raises(RawUnavailableError, match=r"Too many open files \(see ulimit -n\)") as told:
        async with open_wire(LOCAL, nullcontext()):
            pass
    assert told.value.errno == errno.EMFILE

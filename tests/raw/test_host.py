"""What this host's kernel would offer, read from its settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from simopen.raw import RawUnavailableError, _host
from simopen.raw._host import OfferMaker, source_of
from simopen.raw._segments import Address

LOOPBACK = Address(bytes((127, 0, 0, 1)), 9)
LOOPBACK_V6 = Address(bytes(15) + b"\1", 9)
NOWHERE = Address(bytes((255, 255, 255, 255)), 9)  # no route for a socket without SO_BROADCAST


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kernel's settings, to be changed."""
    monkeypatch.setattr(_host, "_SYSCTL", tmp_path)
    (tmp_path / "ipv4").mkdir()
    (tmp_path / "core").mkdir()
    for name in ("tcp_timestamps", "tcp_sack", "tcp_window_scaling"):
        (tmp_path / "ipv4" / name).write_text("1\n")
    (tmp_path / "ipv4" / "tcp_rmem").write_text("4096\t131072\t6291456\n")
    (tmp_path / "core" / "rmem_max").write_text("212992\n")
    return tmp_path


@pytest.mark.usefixtures("settings")
def test_everything_is_offered() -> None:
    """With Linux's usual settings, and the scale that its kernel shows for them."""
    offer = OfferMaker().offer(NOWHERE)
    assert (offer.timestamps, offer.sack, offer.window_scale) == (True, True, 7)


@pytest.mark.parametrize(
    ("largest", "scale"), [(65_535, 0), (131_072, 2), (33_554_432, 10), (2**40, 14)]
)
def test_the_scale_is_for_the_largest_buffer(settings: Path, largest: int, scale: int) -> None:
    """As tcp_select_initial_window() reckons it, whichever setting has it."""
    (settings / "ipv4" / "tcp_rmem").write_text(f"4096 131072 {largest}")
    (settings / "core" / "rmem_max").unlink()  # not in every namespace
    assert OfferMaker().offer(NOWHERE).window_scale == scale
    (settings / "ipv4" / "tcp_rmem").write_text("1 2 3")
    (settings / "core" / "rmem_max").write_text(str(largest))
    assert OfferMaker().offer(NOWHERE).window_scale == scale


def test_what_is_switched_off_is_not_offered(settings: Path) -> None:
    """Each by its own setting."""
    for name in ("tcp_timestamps", "tcp_sack", "tcp_window_scaling"):
        (settings / "ipv4" / name).write_text("0\n")
    offer = OfferMaker().offer(NOWHERE)
    assert (offer.timestamps, offer.sack, offer.window_scale) == (False, False, None)


def test_where_there_are_no_settings(settings: Path) -> None:
    """It is no Linux, and the error says so."""
    (settings / "ipv4" / "tcp_sack").unlink()
    with pytest.raises(RawUnavailableError, match="need Linux"):
        OfferMaker()


def test_segments_fit_the_route() -> None:
    """Its MTU less the headers; the least of the version where there is no route."""
    maker = OfferMaker()
    mtu = int(Path("/sys/class/net/lo/mtu").read_text())
    assert maker.offer(LOOPBACK).mss == min(mtu, 65_535) - 40
    assert maker.offer(LOOPBACK_V6).mss == mtu - 60
    assert maker.offer(NOWHERE).mss == 536


def test_the_window_is_whole_segments() -> None:
    """As many as an unscaled window can have."""
    offer = OfferMaker().offer(NOWHERE)
    assert offer.window % offer.mss == 0
    assert 65_535 - offer.mss < offer.window <= 65_535


def test_our_address_is_the_route_s() -> None:
    """What the kernel would send from, with any port."""
    assert source_of(LOOPBACK) == LOOPBACK._replace(port=0)
    assert source_of(LOOPBACK_V6) == LOOPBACK_V6._replace(port=0)
    with pytest.raises(OSError, match=r".+"):
        source_of(NOWHERE)

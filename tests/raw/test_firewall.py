"""The firewall's rule, and what a process has to have for it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from simopen import lab, raw
from simopen.raw import _firewall
from simopen.raw._segments import Address, Flow
from tests.raw.hosts import PORT

V4, V6 = Address(bytes((192, 0, 2, 1)), 7777), Address(bytes(15) + b"\1", 7777)
IN_LAB = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """One loop is enough for what blocks."""
    return request.param


def accept_somehow() -> str:
    """What the error of an attempt says."""
    import anyio  # noqa: PLC0415 - in the host

    async def attempt() -> None:
        async with raw.accept(f"127.0.0.1:{PORT}"):
            pass

    try:
        anyio.run(attempt)
    except raw.RawUnavailableError as error:
        return str(error)
    return "it worked"


def without(capability: int) -> str:
    """Likewise after a privilege was given up."""
    import ctypes  # noqa: PLC0415 - in the host

    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
    data = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, data) == 0
    for word in (0, 1):  # effective, permitted
        data[word] &= ~(1 << capability)
    assert libc.capset(header, data) == 0
    return accept_somehow()


def without_nft() -> str:
    """Likewise where there is no nft."""
    _firewall._SEARCHED = "/nowhere"
    return accept_somehow()


class TestUnavailable:
    """What lacks is said by its name."""

    pytestmark = IN_LAB

    async def test_privileges_are_named(self) -> None:
        """Both, and which of them this process has not."""
        async with lab.two_hosts() as net:
            assert await net.a.call(accept_somehow) == "it worked"
            for number, name in ((13, "CAP_NET_RAW"), (12, "CAP_NET_ADMIN")):
                said = await net.a.call(without, number)
                assert "need CAP_NET_RAW" in said
                assert "and CAP_NET_ADMIN" in said
                assert f"lacks {name}" in said

    async def test_nft_is_named(self) -> None:
        """So is the program that is missing."""
        async with lab.two_hosts() as net:
            assert "nft (of nftables) is missing" in await net.a.call(without_nft)


@pytest.mark.parametrize("local", [V4, V6, Address(bytes(4), 1), Address(bytes(16), 1)])
def test_an_acceptors_rule_is_for_one_port(local: Address) -> None:
    """Nothing but its port, of its version of IP, at its address if it has one, goes on."""
    rules = _firewall._acceptor_rules(local)
    (line,) = [line for line in rules.splitlines() if line.endswith("jump ours")]
    assert f"tcp sport {local.port} " in line
    assert f"meta nfproto ipv{4 if len(local.packed) == 4 else 6} " in line
    assert (" saddr " in line) == any(local.packed)


def test_a_connectors_rule_is_for_one_connection() -> None:
    """Both ends are in it."""
    rules = _firewall._connector_rules(Flow(V4, V4._replace(port=5)))
    assert "ip saddr 192.0.2.1 ip daddr 192.0.2.1 tcp sport 7777 tcp dport 5" in rules


def test_only_our_tables_are_found() -> None:
    """Others' names, however like ours, are never touched."""
    listing = """\
table inet simopen_raw_0123456789abcdef
table ip simopen_raw_0123456789abcdee
table inet simopen_raw_mine
table inet simopen_raw_0123456789abcdef0
table inet xsimopen_raw_0123456789abcdef
"""
    assert _firewall._TABLE.findall(listing) == ["simopen_raw_0123456789abcdef"]


def test_a_lock_is_held_once() -> None:
    """And free again when its process has gone, or given it up."""
    lock = _firewall.take_lock("simopen_raw_test")
    assert lock is not None
    assert _firewall.take_lock("simopen_raw_test") is None
    lock.close()
    again = _firewall.take_lock("simopen_raw_test")
    assert isinstance(again, socket.socket)
    again.close()


def test_an_nft_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is an error of ours, like all that nft does not do."""
    (tmp_path / "nft").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "nft").chmod(0o755)
    monkeypatch.setattr(_firewall, "_SEARCHED", f"{tmp_path}:{_firewall._SEARCHED}")
    monkeypatch.setattr(_firewall, "LONGEST", 0.05)
    with pytest.raises(raw.RawUnavailableError, match="try again"):
        _firewall.remove_leftovers()

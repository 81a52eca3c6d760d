"""The kernel's table of sockets."""

from __future__ import annotations

import sys

import pytest

from simopen.lab._sockets import Listener, listeners

_HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="written in this byte order")


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("", []),
        (_HEAD, []),
        (_HEAD + "   0: 0100007F:1F90 00000000:0000 0A 0:0", [Listener("127.0.0.1", 8080)]),
        (_HEAD + "   0: 01004D0A:9C40 01014D0A:9C40 02 0:0", []),
        (
            _HEAD + "   0: 000077FD000000000000000001000000:0050 "
            "00000000000000000000000000000000:0000 0A 0:0",
            [Listener("fd77::1", 80)],
        ),
    ],
)
def test_only_listening_sockets_are_told(table: str, expected: list[Listener]) -> None:
    """Listeners of both families are found; a socket that connects is none."""
    assert listeners(table) == expected

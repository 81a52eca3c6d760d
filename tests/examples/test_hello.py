from __future__ import annotations

import re
import socket

import pytest

from tests.examples.programs import Homes, as_shown

pytestmark = pytest.mark.lab


def test_through_a_coordinator(homes: Homes) -> None:
    """Both print what the header shows."""
    sides = [homes.example(host, "hello.py") for host in ("alice", "bob")]
    for side in sides:
        code, said = side.end()
        assert code == 0
        assert as_shown("hello.py", said.replace(socket.gethostname(), "teahouse")), said


def test_with_nobody_there(homes: Homes) -> None:
    """Where there is no coordinator the program says what to do, without a traceback."""
    homes.url = homes.url.replace("7337", "7339")
    code, said = homes.example("alice", "hello.py").end()
    assert code == 1
    assert re.match(r"tried tcp://.*Connection refused.*simopen coordinator", said)
    assert "Traceback" not in said

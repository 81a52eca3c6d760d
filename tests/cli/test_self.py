"""``simopen self``: the screen, and how it ends."""

from __future__ import annotations

import socket

import pytest

from simopen.cli._app import run
from tests.helpers import free_port, no_socket_left


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_shows_one_socket(host: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Both ends are equal, the state is the kernel's, the words come back; all of it is data."""
    end = f"{host}:{free_port()}"
    with no_socket_left():
        assert run(["self", end]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    lines = dict(line.split(None, 1) for line in out.splitlines()[2:])
    assert lines["local"] == end
    assert lines["remote"] == f"{end}, the same"
    assert lines["state"] == "ESTABLISHED"
    assert lines["its"] == "port  no other sockets, nobody listens"
    assert lines["heard"] == f"{lines['said']}, echoed by nobody"


def test_a_port_that_is_taken_is_exit_code_1(capfd: pytest.CaptureFixture[str]) -> None:
    """It says by what, on standard error."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert run(["self", f"127.0.0.1:{server.getsockname()[1]}"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert "LISTEN" in err


@pytest.mark.parametrize(
    ("endpoint", "words"), [("0.0.0.0:40000", "unspecified"), ("192.0.2.1:1", "of this host")]
)
def test_wrong_use_is_exit_code_2(
    endpoint: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is wrong, and where to look."""
    assert run(["self", endpoint]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert words in err
    assert "simopen self --help" in err

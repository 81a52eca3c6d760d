"""The errors of this room."""

from __future__ import annotations

import pickle

import anyio
import pytest

from simopen import Endpoint, SimopenError
from simopen.raw import RawConnectError, RawTimeoutError, RawUnavailableError

ENDS = {"local": Endpoint("192.0.2.1", 1), "remote": Endpoint("192.0.2.2", 2)}


@pytest.mark.parametrize("kind", [RawConnectError, RawTimeoutError])
def test_they_survive_pickling(kind: type[RawConnectError]) -> None:
    """With what they say and whom they are about."""
    error = kind("no", **ENDS)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(again) is kind
    assert str(again) == "no"
    assert (again.local, again.remote) == (ENDS["local"], ENDS["remote"])


def test_they_are_what_others_catch() -> None:
    """Those of anyio, of Python, and of simopen."""
    assert issubclass(RawConnectError, anyio.ConnectionFailed)
    assert issubclass(RawTimeoutError, TimeoutError)
    assert issubclass(RawUnavailableError, OSError)
    assert issubclass(RawConnectError, SimopenError)
    assert issubclass(RawUnavailableError, SimopenError)

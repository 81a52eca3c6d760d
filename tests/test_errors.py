from __future__ import annotations

import errno
import pickle

import anyio
import pytest

import simopen
from simopen import (
    Diagnosis,
    Endpoint,
    LocalBindError,
    NameResolutionError,
    PeerConnectError,
    PeerTimeoutError,
    PunchReport,
    SelfConnectionError,
    UsageError,
)
from simopen._diagnosis import diagnose

REPORT = PunchReport(
    local=Endpoint("192.0.2.1", 40000),
    remote=Endpoint("192.0.2.2", 40001),
    attempts=3,
    refusals=3,
    elapsed=1.5,
    refused_by={"reset": 3},
)
DIAGNOSIS: Diagnosis = diagnose(REPORT)


@pytest.mark.parametrize("kind", [PeerConnectError, PeerTimeoutError, NameResolutionError])
def test_peer_errors_survive_pickling(kind: type[PeerConnectError]) -> None:
    """Class, text, report and diagnosis arrive in another process."""
    error = kind(report=REPORT, diagnosis=DIAGNOSIS)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(copy) is kind
    assert (str(copy), copy.report, copy.diagnosis) == (str(error), REPORT, DIAGNOSIS)


def test_bind_errors_survive_pickling() -> None:
    """The error number is kept, as are endpoint and state."""
    error = LocalBindError(errno.EADDRINUSE, "taken", local=Endpoint("::1", 1), state="LISTEN")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (copy.errno, copy.strerror, copy.local, copy.state) == (
        errno.EADDRINUSE,
        "taken",
        Endpoint("::1", 1),
        "LISTEN",
    )


@pytest.mark.parametrize("kind", [UsageError, SelfConnectionError])
def test_usage_errors_survive_pickling(kind: type[UsageError]) -> None:
    """Their text arrives."""
    copy = pickle.loads(pickle.dumps(kind("no")))  # noqa: S301 - our own bytes
    assert (type(copy), str(copy)) == (kind, "no")


@pytest.mark.parametrize(
    ("kind", "bases"),
    [
        (UsageError, (ValueError,)),
        (SelfConnectionError, (UsageError,)),
        (LocalBindError, (OSError,)),
        (PeerConnectError, (anyio.ConnectionFailed, OSError)),
        (PeerTimeoutError, (PeerConnectError, TimeoutError)),
        (NameResolutionError, (PeerConnectError,)),
    ],
)
def test_errors_are_also_what_callers_already_catch(
    kind: type[Exception], bases: tuple[type[Exception], ...]
) -> None:
    """The tree is the one drawn at the top of the module."""
    assert issubclass(kind, (simopen.SimopenError,))
    for base in bases:
        assert issubclass(kind, base)


def test_the_drawing_names_every_error() -> None:
    """Each public error stands in the module's drawing."""
    drawing = simopen._errors.__doc__ or ""
    for name in simopen.__all__:
        thing = getattr(simopen, name)
        if isinstance(thing, type) and issubclass(thing, Exception):
            assert name in drawing

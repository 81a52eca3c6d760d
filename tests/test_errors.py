from __future__ import annotations

import errno
import pickle
import re

import anyio
import pytest

import simopen
from simopen import (
    AuthenticationError,
    CoordinatorUnavailable,
    Diagnosis,
    Endpoint,
    LocalBindError,
    LocalProtocolError,
    MeetingReport,
    NameResolutionError,
    PeerConnectError,
    PeerNotFoundError,
    PeerProofError,
    PeerTimeoutError,
    ProtocolError,
    PunchReport,
    ReflectedOfferError,
    RemoteProtocolError,
    RendezvousError,
    RoomFullError,
    SelfConnectionError,
    SimopenError,
    UsageError,
    WrongSecretError,
)
from simopen._diagnosis import diagnose

REPORT = PunchReport(
    local=Endpoint("192.0.2.1", 40000),
    remote=Endpoint("192.0.2.2", 40001),
    attempts=3,
    refusals=3,
    elapsed=1.5,
    refused_by={"reset": 3},
    meeting=MeetingReport(
        rendezvous="tcp://192.0.2.9", rounds=2, observed=(Endpoint("2001:db8::1", 40000),)
    ),
)
DIAGNOSIS: Diagnosis = diagnose(REPORT)


@pytest.mark.parametrize(
    "kind",
    [
        PeerConnectError,
        PeerTimeoutError,
        NameResolutionError,
        RendezvousError,
        CoordinatorUnavailable,
        RoomFullError,
        PeerNotFoundError,
        AuthenticationError,
        WrongSecretError,
        ReflectedOfferError,
        PeerProofError,
    ],
)
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


@pytest.mark.parametrize(
    "kind",
    [UsageError, SelfConnectionError, ProtocolError, LocalProtocolError, RemoteProtocolError],
)
def test_errors_of_mere_text_survive_pickling(kind: type[SimopenError]) -> None:
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
        (PeerNotFoundError, (RendezvousError, PeerConnectError, TimeoutError)),
        (WrongSecretError, (AuthenticationError, PeerConnectError)),
    ],
)
def test_errors_are_also_what_callers_already_catch(
    kind: type[Exception], bases: tuple[type[Exception], ...]
) -> None:
    """The tree is the one drawn at the top of the module."""
    assert issubclass(kind, (simopen.SimopenError,))
    for base in bases:
        assert issubclass(kind, base)


# A line of the drawing: its branches, a name, what it is besides, and what it means.
DRAWN = re.compile(r"^    ([ │├└]*)(\w+)(?:\(([\w.]+)\))?(?: {2,}|$)", re.MULTILINE)


def test_the_drawing_is_the_tree() -> None:
    """Every public error stands in it, under its base, with what it is besides."""
    drawing = simopen._errors.__doc__ or ""
    path: list[str] = []
    drawn = {}
    for branches, name, besides in DRAWN.findall(drawing):
        depth = (len(branches) + 1) // 3  # a branch takes two or three characters
        path = [*path[:depth], name]
        assert len(path) == depth + 1
        drawn[name] = (path[-2] if len(path) > 1 else "Exception", besides.rpartition(".")[2])
    public = {
        name: thing
        for name in simopen.__all__
        if isinstance(thing := getattr(simopen, name), type) and issubclass(thing, Exception)
    }
    assert drawn.keys() == public.keys()
    for name, thing in public.items():
        bases = [base.__name__ for base in thing.__bases__]
        assert bases == [each for each in drawn[name] if each], name

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import anyio
import pytest

import simopen
from simopen import Cause, NameResolutionError, PeerConnectable, PeerTimeoutError, UsageError
from tests.helpers import free_port, no_socket_left

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("remote", "local", "timeout", "words"),
    [
        ("nonsense", "127.0.0.1:40000", None, "remote 'nonsense'"),
        ("127.0.0.1:40000", "127.0.0.1:0", None, "local port 0"),
        ("127.0.0.1:40000", "127.0.0.1:40001", 0, "timeout"),
        ("127.0.0.1:40000", "127.0.0.1:40001", float("nan"), "timeout"),
        ("[::1]:40000", "127.0.0.1:40001", None, "use one family"),
        ("0.0.0.0:40000", "127.0.0.1:40001", None, "one host"),
        ("127.0.0.1:40001", "127.0.0.1:40001", None, "connect to itself"),
    ],
)
async def test_wrong_use_is_told_at_once(
    remote: str, local: str, timeout: float | None, words: str
) -> None:
    """A UsageError that names the argument, before any socket is opened."""
    with no_socket_left(), pytest.raises(UsageError, match=words):
        await simopen.connect_peer(remote, local=local, timeout=timeout)


async def test_missing_arguments_are_a_type_error() -> None:
    """Direct mode without ``local`` is no call at all."""
    with pytest.raises(TypeError, match="local"):
        await simopen.connect_peer("127.0.0.1:40000")  # type: ignore[call-overload]


async def test_a_name_that_does_not_resolve() -> None:
    """It has an error of its own, with the events' last word."""
    events: list[simopen.Event] = []
    with pytest.raises(NameResolutionError, match=r"nowhere\.invalid") as caught:
        await simopen.connect_peer(
            "nowhere.invalid:40000", local="0.0.0.0:40001", timeout=30, on_event=events.append
        )
    assert caught.value.diagnosis.cause is Cause.NOT_RESOLVED
    assert [event.name for event in events] == ["punch.failed"]


async def test_the_timeout_covers_resolving(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that hangs is a timeout, and the text says where it hung."""

    async def hang(*_: Any, **__: Any) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(anyio, "getaddrinfo", hang)
    with pytest.raises(PeerTimeoutError, match="no answer from the resolver"):
        await simopen.connect_peer("slow.example:40000", local="0.0.0.0:40001", timeout=0.05)


async def test_the_callers_own_deadline_passes_through() -> None:
    """``fail_after`` around the call is a plain TimeoutError, not a diagnosis."""
    with pytest.raises(TimeoutError) as caught, anyio.fail_after(0.05):
        await simopen.connect_peer(f"127.0.0.1:{free_port()}", local=f"127.0.0.1:{free_port()}")
    assert not isinstance(caught.value, PeerTimeoutError)


async def test_a_connectable_punches_anew_each_time() -> None:
    """What takes anyio's connectables takes a peer."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        remote = listener.extra(anyio.abc.SocketAttribute.local_address)
        peer = PeerConnectable(
            remote=(str(remote[0]), int(remote[1])), local=f"127.0.0.1:{free_port()}", timeout=5
        )
        for _ in range(2):
            stream = await peer.connect()
            assert isinstance(stream, anyio.abc.ByteStream)
            await stream.aclose()


async def test_a_connectable_fails_as_anyio_does() -> None:
    """Not reaching the peer is a ConnectionFailed."""
    peer = PeerConnectable(
        remote=f"127.0.0.1:{free_port()}", local=f"127.0.0.1:{free_port()}", timeout=0.05
    )
    with pytest.raises(anyio.ConnectionFailed):
        await peer.connect()


def test_the_calls_take_the_same() -> None:
    """The connectable has the arguments of ``connect_peer``; the bare socket's call, the first."""
    calls: list[Callable[..., object]] = [
        simopen.connect_peer,
        PeerConnectable,
        simopen.connect_peer_socket,
    ]
    names = [list(inspect.signature(call).parameters) for call in calls]
    assert names[0] == names[1]
    assert names[2] == [each for each in names[0] if each not in ("rendezvous", "room", "secret")]


def test_importing_takes_only_what_a_client_needs() -> None:
    """What is slow to import and rarely used comes when it is."""
    code = (
        "import sys, simopen;"
        "late = {'structlog', 'cryptography.x509', 'ifaddr', 'simopen.rendezvous.protocol'};"
        "assert not late & {*sys.modules};"
        "assert simopen.Coordinator.__module__ == 'simopen.rendezvous._server'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_can_be_had_and_no_other() -> None:
    """What comes late is a name of the package like any other."""
    assert {*simopen.__all__} <= {*dir(simopen)}
    assert simopen.Coordinator is simopen.Coordinator
    with pytest.raises(AttributeError, match="no attribute 'Coordinate'"):
        _ = simopen.Coordinate

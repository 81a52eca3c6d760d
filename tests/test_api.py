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
from simopen.rendezvous.protocol import Code, Reject
from simopen.security._secret import check_secret
from tests.helpers import free_port, no_socket_left
from tests.rendezvous.coordinators import Guest, coordinator, url

pytestmark = pytest.mark.anyio

SECRET = b"0123456789abcdef"
INVITE = simopen.Invite.new("kitchen")


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


MEET = "tcp://127.0.0.1:40000"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "remote and local, or rendezvous"),
        ({"local": "127.0.0.1:40000"}, "remote and local, or rendezvous"),
        ({"room": "r", "secret": SECRET}, "remote and local, or rendezvous"),
        ({"remote": "127.0.0.1:40000", "local": "0.0.0.0:40001", "room": "r"}, "a room is at"),
        ({"remote": "127.0.0.1:40000", "rendezvous": MEET, "secret": INVITE}, "exclude each other"),
        ({"rendezvous": MEET, "secret": SECRET}, "give the room"),
        ({"rendezvous": MEET, "room": "r"}, "needs a secret"),
        ({"rendezvous": MEET}, "give the room"),
    ],
)
async def test_wrong_combinations_are_a_type_error(arguments: dict[str, Any], words: str) -> None:
    """They say what goes together, and nothing was opened."""
    events: list[simopen.Event] = []
    with no_socket_left(), pytest.raises(TypeError, match=words):
        await simopen.connect_peer(**arguments, on_event=events.append)
    assert not events


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rendezvous": "http://127.0.0.1"}, "not a coordinator"),
        ({"room": ""}, "a room has a name"),
        ({"room": 7}, "a room has a name"),
        ({"room": "garage", "secret": INVITE}, "another room"),
        ({"secret": "too short"}, "20 characters"),
        ({"secret": b"too short"}, "at least 16"),
        ({"secret": INVITE.reveal()[:-1]}, "copy it once more"),
        ({"secret": 7}, "not int"),
        ({"timeout": 0}, "timeout"),
        ({"local": "127.0.0.1"}, "local"),
        ({"local": "127.0.0.1:2-1"}, "run backwards"),
    ],
)
async def test_what_cannot_be_used_is_told_at_once(changes: dict[str, Any], words: str) -> None:
    """A UsageError that names the argument, before any socket is opened."""
    arguments: dict[str, Any] = {"rendezvous": MEET, "room": "kitchen", "secret": SECRET}
    with no_socket_left(), pytest.raises(UsageError, match=words):
        await simopen.connect_peer(**(arguments | changes))


@pytest.mark.parametrize(
    ("secret", "room"),
    [(INVITE, None), (INVITE, "kitchen"), (INVITE.reveal(), None), (SECRET, "kitchen")],
    ids=["invite", "invite-and-room", "invite-text", "bytes"],
)
async def test_a_room_and_a_secret(secret: simopen.SecretLike, room: str | None) -> None:
    """The tag is that of the room and the secret, however they are given."""
    tags: list[bytes] = []

    async def refuse(guest: Guest) -> None:
        await guest.welcome()
        tags.append(guest.join.tag)
        await guest.send(Reject(code=Code.ROOM_FULL))

    async with coordinator(refuse) as at:
        with pytest.raises(simopen.RoomFullError):
            await simopen.connect_peer(rendezvous=url(at), room=room, secret=secret)
        with pytest.raises(simopen.RoomFullError):
            await PeerConnectable(
                rendezvous=simopen.Rendezvous(url(at)), room=room, secret=secret
            ).connect()
    keys = check_secret(secret).group_keys()
    assert tags == [keys.room_tag("kitchen")] * 2


async def test_plaintext_is_warned_of() -> None:
    """Where the call is, and each time."""
    options = simopen.PunchOptions(plaintext=True)
    arguments: dict[str, Any] = {"rendezvous": MEET, "room": "kitchen", "options": options}
    for secret in (None, SECRET):
        with (
            pytest.warns(RuntimeWarning, match="neither encrypted nor authenticated") as caught,
            pytest.raises(UsageError),
        ):
            await simopen.connect_peer(**arguments, secret=secret, timeout=-1)
        assert caught[0].filename == __file__


def test_a_connectable_does_not_show_its_secret() -> None:
    """Neither as a text nor as bytes."""
    for secret in (SECRET, INVITE.reveal(), INVITE):
        shown = repr(PeerConnectable(rendezvous=MEET, room="kitchen", secret=secret))
        assert "kitchen" in shown
        assert repr(SECRET)[2:10] not in shown
        assert INVITE.reveal()[20:30] not in shown


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
        "late = {'structlog', 'cryptography.x509', 'ifaddr', 'simopen.rendezvous.protocol',"
        "'simopen.trace', 'simopen.capture'};"
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


@pytest.mark.parametrize(
    ("local", "words"),
    [
        ("localhost:0", "an address"),
        (["127.0.0.1:0", "127.0.0.2:0"], "several addresses of one family"),
        (["127.0.0.1:0", "[::1]:40000"], "other ports"),
        (["127.0.0.1:40000-40001", "[::1]:40000"], "other ports"),
    ],
)
async def test_our_end_of_a_rendezvous_is_checked_at_once(local: Any, words: str) -> None:
    """A UsageError, before any socket is opened."""
    with no_socket_left(), pytest.raises(UsageError, match=words):
        await simopen.connect_peer(
            rendezvous="tcp://127.0.0.1:1", room="tea", secret=b"x" * 16, local=local
        )


async def test_a_room_that_utf8_cannot_write() -> None:
    """Is refused without being repeated."""
    with pytest.raises(UsageError, match="UTF-8") as caught:
        await simopen.connect_peer(
            rendezvous="tcp://127.0.0.1:1", room="\ud800secret", secret=b"x" * 16
        )
    assert "secret" not in str(caught.value)

from __future__ import annotations

import base64
import io
import json
import logging
import subprocess
import sys
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import chain
from typing import Any

import anyio
import pytest
from rich.console import Console
from rich.traceback import Traceback

from simopen import (
    Endpoint,
    Event,
    Invite,
    JsonLinesTrace,
    PeerConnectable,
    PunchAttempt,
    PunchFailed,
    PunchOptions,
    PunchReport,
    PunchStarted,
    SecretLike,
    connect_peer,
    secure_stream,
)
from simopen._diagnosis import diagnose
from simopen._telemetry import Telemetry
from tests.helpers import free_port
from tests.net.conformance import stream_pair
from tests.rendezvous.coordinators import STRANGER, Guest, Peer, coordinator, serve_tcp, url

LOCAL, REMOTE = Endpoint("192.0.2.1", 40000), Endpoint("2001:db8::2", 40001)
STARTED = PunchStarted(at=0.0, local=LOCAL, remote=REMOTE, lanes=((LOCAL, REMOTE),), timeout=None)
REPORT = PunchReport(local=LOCAL, remote=REMOTE)


def test_one_event_reaches_callback_and_log(caplog: pytest.LogCaptureFixture) -> None:
    """Both get the same, and the log has the fields as values."""
    seen: list[object] = []
    with caplog.at_level(logging.DEBUG, logger="simopen"):
        Telemetry(seen.append)(STARTED)
    assert seen == [STARTED]
    (record,) = caplog.records
    assert (record.name, record.getMessage()) == ("simopen.punch", "punch.started")
    assert record.__dict__["remote"] == "[2001:db8::2]:40001"


def test_attempts_are_for_debugging(caplog: pytest.LogCaptureFixture) -> None:
    """At the level INFO thousands of attempts leave no line."""
    with caplog.at_level(logging.INFO, logger="simopen"):
        Telemetry()(PunchAttempt(at=0.0, lane=0, number=1))
        Telemetry()(STARTED)
    assert [record.getMessage() for record in caplog.records] == ["punch.started"]


def test_an_exception_of_the_callback_passes_through() -> None:
    """The caller's own error is not swallowed."""

    def fail(_: object) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        Telemetry(fail)(STARTED)


def test_the_trace_is_json_lines() -> None:
    """Each event is a line with its name, its time and its fields."""
    file = io.StringIO()
    trace = JsonLinesTrace(file)
    trace(STARTED)
    trace(PunchFailed(at=1.0, report=REPORT, diagnosis=diagnose(REPORT)))
    started, failed = (json.loads(line) for line in file.getvalue().splitlines())
    assert started == {
        "event": "punch.started",
        "at": 0.0,
        "lanes": [["192.0.2.1:40000", "[2001:db8::2]:40001"]],
        "local": "192.0.2.1:40000",
        "remote": "[2001:db8::2]:40001",
        "timeout": None,
    }
    assert failed["diagnosis"]["cause"] == "time too short"


def test_importing_configures_and_prints_nothing() -> None:
    """No handler, no level, no output: logging stays the application's."""
    code = (
        "import simopen, logging, structlog;"
        "assert not logging.getLogger().handlers;"
        "assert not logging.getLogger('simopen').handlers;"
        "assert logging.getLogger('simopen.punch').level == logging.NOTSET;"
        "assert not structlog.is_configured()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == done.stderr == b""


# -- nothing secret in anything that is put out ----------------------------------------------------

MATERIAL = b"canary-canary-canary"
CANARY = Invite.new("room", entropy=MATERIAL)
SECRETS: list[SecretLike] = [CANARY, CANARY.reveal(), MATERIAL, MATERIAL.decode()]
UNUSABLE: list[SecretLike] = [MATERIAL[:15], MATERIAL[:15].decode(), CANARY.reveal()[:-1]]
BRIEF = PunchOptions(rounds=2, round_time=0.03)
KEYS = CANARY.group_keys()


def spellings(value: bytes) -> list[str]:
    """How bytes may look in a text; a part is enough."""
    return [repr(value)[2:18], value.hex()[:16], base64.b64encode(value).decode()[:16]]


def traitors(*more: bytes) -> list[str]:
    """What must not be readable: the secret, whatever is as good, and what was sealed with it."""
    revealed = CANARY.reveal().removeprefix("simopen1-")
    values = (MATERIAL, KEYS._prk, KEYS.room_tag("room"), KEYS.room_tag(None), *more)
    return ["canary", revealed[:12], revealed[-20:], *chain(*map(spellings, values))]


def shown(error: BaseException) -> str:
    """A traceback as rich shows it, with the variables of all frames but the test's own."""
    screen = io.StringIO()
    trace = error.__traceback__
    while trace is not None and "simopen/_" not in trace.tb_frame.f_code.co_filename:
        trace = trace.tb_next
    assert trace is not None
    Console(file=screen, width=500).print(
        Traceback.from_exception(
            type(error), error, trace, show_locals=True, locals_max_string=10_000
        )
    )
    return screen.getvalue() + "".join(traceback.format_exception_only(error))


class Spy:
    """Everything that a call puts out."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        self.trace = io.StringIO()
        self.events: list[Event] = []
        self._caplog = caplog

    def __call__(self, event: Event) -> None:
        """Note an event as a callback and as a trace get it."""
        self.events.append(event)
        JsonLinesTrace(self.trace)(event)

    async def heard(self, call: Callable[[], Awaitable[Any]]) -> str:
        """What is put out by a call that fails."""
        with pytest.raises(Exception) as caught:  # noqa: PT011 - each has its own
            await call()
        return shown(caught.value) + self.so_far()

    def so_far(self) -> str:
        """What was put out until now, apart from errors."""
        records = "".join(f"{each.getMessage()} {vars(each)}" for each in self._caplog.records)
        return f"{records}{self.events!r}{self.trace.getvalue()}"


def assert_discreet(printed: str, *more: bytes) -> None:
    """Fail if anything secret can be read."""
    assert not [each for each in traitors(*more) if each in printed]


@pytest.mark.parametrize("leak", [MATERIAL, KEYS._prk, KEYS.room_tag("room")])
def test_the_search_finds_what_is_there(leak: bytes) -> None:
    """In each of the spellings, and in a variable of a frame."""
    for printed in spellings(leak):
        with pytest.raises(AssertionError):
            assert_discreet(printed)


async def secured(**arguments: Any) -> None:
    """A stream whose other end says nothing."""
    async with stream_pair() as (stream, _):
        await secure_stream(stream, secret=arguments["secret"], timeout=arguments["timeout"])


NOBODY = f"127.0.0.1:{free_port()}"
CALLS: dict[str, Callable[..., Awaitable[Any]]] = {
    "direct": partial(connect_peer, NOBODY, local=f"127.0.0.1:{free_port()}"),
    "rendezvous": partial(connect_peer, rendezvous=f"tcp://{NOBODY}", room="room"),
    "connectable": lambda **arguments: PeerConnectable(
        rendezvous=f"tcp://{NOBODY}", room="room", **arguments
    ).connect(),
    "given": secured,
}


@pytest.mark.anyio
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("secret", SECRETS, ids=["invite", "invite-text", "bytes", "text"])
async def test_a_call_that_meets_nobody_is_discreet(
    call: Callable[..., Awaitable[Any]], secret: SecretLike, caplog: pytest.LogCaptureFixture
) -> None:
    """Events, log and trace, and the error with the variables of all its frames."""
    spy = Spy(caplog)
    heard = await spy.heard(lambda: call(secret=secret, on_event=spy, options=BRIEF, timeout=0.15))
    assert "<Invite>" in heard or "<Secret>" in heard
    assert_discreet(heard)


@pytest.mark.anyio
@pytest.mark.parametrize("secret", UNUSABLE)
async def test_a_secret_that_is_refused_is_not_shown(
    secret: SecretLike, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be nearly the right one."""
    spy = Spy(caplog)
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: connect_peer("127.0.0.1:5000", local="127.0.0.1:5001", secret=secret),
        lambda: connect_peer(rendezvous="tcp://127.0.0.1:5000", room="room", secret=secret),
    ]
    for call in calls:
        assert_discreet(await spy.heard(call))


@pytest.mark.anyio
async def test_a_call_that_is_lied_to_is_discreet(caplog: pytest.LogCaptureFixture) -> None:
    """The offers that went to and fro are not in it either."""
    spy, offers = Spy(caplog), list[bytes]()

    async def lie(guest: Guest) -> None:
        await guest.welcome()
        offers.extend((guest.join.offer, guest.join.seat, stranger := Peer(STRANGER).offer()))
        await guest.introduce(stranger, f"127.0.0.1:{free_port()}")
        await guest.stay()

    async with coordinator(lie) as at:
        heard = await spy.heard(
            lambda: connect_peer(rendezvous=url(at), secret=CANARY, on_event=spy, options=BRIEF)
        )
    assert "WrongSecretError" in heard
    assert len(offers) == 6
    assert_discreet(heard, *offers)


@pytest.mark.anyio
async def test_a_call_that_succeeds_is_discreet(caplog: pytest.LogCaptureFixture) -> None:
    """Its report and its stream included."""
    spy, peer, seen = Spy(caplog), Peer(CANARY), list[bytes]()
    offer = peer.offer()

    async def introduce(guest: Guest) -> None:
        await guest.welcome()
        seen.append(guest.join.offer)
        await guest.introduce(offer, endpoint)
        await guest.stay()

    async def prove(stream: anyio.abc.ByteStream) -> None:
        await peer.prove(stream, ours=offer, theirs=seen[0])

    async with serve_tcp(prove) as endpoint, coordinator(introduce) as at:
        stream = await connect_peer(
            rendezvous=url(at), secret=CANARY.reveal(), on_event=spy, options=BRIEF
        )
        told = f"{stream!r} {stream.report!r} {stream.report} {vars(stream)}"
        await stream.aclose()
    certificates = peer.opened(seen[0]).certificate, peer.identity.certificate
    assert "punch.connected" in spy.so_far()
    assert_discreet(told + spy.so_far(), offer, *seen, *certificates)

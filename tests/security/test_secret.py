"""Secrets: what may be one, what an invite survives, and that none is ever printed."""

from __future__ import annotations

import hashlib
import io
import json
import string
import threading
import traceback
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.traceback import Traceback

from simopen.security import _secret
from simopen.security._certificate import Identity, tls_context
from simopen.security._errors import SecretError, SecurityError
from simopen.security._hello import check_accept, check_hello
from simopen.security._keys import MODE_DIRECT, GroupKeys
from simopen.security._offer import OfferBody, open_offer, seal_offer
from simopen.security._secret import (
    MAX_ROOM,
    PREFIX,
    Invite,
    SecretLike,
    check_secret,
    derive_keys,
)
from tests.security import make_vectors

VECTORS: dict[str, Any] = json.loads(make_vectors.FILE.read_text())
KNOWN = VECTORS["invite"]
MATERIAL = bytes.fromhex(VECTORS["keys"]["material"])
INVITE = Invite.new(KNOWN["room"], entropy=MATERIAL)
ALPHABET = string.ascii_lowercase + "234567"  # of base32
ROOMS = st.text(st.characters(codec="ascii"), min_size=1, max_size=MAX_ROOM)


def tag_of(keys: GroupKeys) -> str:
    """What tells two sets of keys apart."""
    return keys.room_tag(KNOWN["room"]).hex()


def test_an_invite_is_the_known_string() -> None:
    """One version writes what another reads."""
    assert INVITE.reveal() == KNOWN["text"]
    assert Invite.parse(KNOWN["text"]) == INVITE


@given(ROOMS, st.binary(min_size=20, max_size=20))
def test_an_invite_comes_back(room: str, entropy: bytes) -> None:
    """Room and secret survive the string, and white space around it."""
    invite = Invite.new(room, entropy=entropy)
    back = Invite.parse(f" {invite.reveal()}\n")
    assert (back.room, back) == (room, invite)
    assert hash(back) == hash(invite)


@pytest.mark.parametrize("room", ["k", "Küche", "🚪" * 63, "x" * MAX_ROOM])
def test_any_room_can_be_in_an_invite(room: str) -> None:
    """1 to 255 bytes of UTF-8."""
    assert Invite.parse(Invite.new(room).reveal()).room == room


@pytest.mark.parametrize("room", ["", "x" * (MAX_ROOM + 1), "🚪" * 64, "\ud800"])
def test_a_room_that_does_not_fit_is_refused(room: str) -> None:
    """An empty room, one too long, or one that is no text."""
    with pytest.raises(SecretError, match=r"room"):
        Invite.new(room)


@pytest.mark.parametrize("length", [0, 19, 21])
def test_an_invite_is_made_from_20_bytes(length: int) -> None:
    """Neither less nor more entropy passes silently."""
    with pytest.raises(SecretError, match="20 random bytes"):
        Invite.new("kitchen", entropy=bytes(length))


def test_each_new_invite_has_its_own_secret() -> None:
    """The secret comes from the operating system; two invites for one room differ."""
    assert Invite.new("kitchen") != Invite.new("kitchen")


def test_invites_are_equal_if_room_and_secret_are() -> None:
    """A room alone, a secret alone or the string itself is not equal."""
    assert Invite.new(KNOWN["room"], entropy=MATERIAL) == INVITE
    assert Invite.new("kitchen", entropy=MATERIAL) != INVITE
    assert Invite.new(KNOWN["room"], entropy=bytes(20)) != INVITE
    assert KNOWN["text"] != INVITE


@given(st.text(st.characters(codec="utf-8"), max_size=80), st.booleans())
def test_any_text_is_an_invite_or_a_secret_error(text: str, prefixed: bool) -> None:  # noqa: FBT001
    """Whatever is pasted: parsed, or SecretError and nothing else."""
    with pytest.raises(SecretError):
        Invite.parse(PREFIX + text if prefixed else text)


@given(st.text(ALPHABET, max_size=700))
def test_any_base32_is_an_invite_or_a_secret_error(text: str) -> None:
    """Likewise for what looks like one."""
    with pytest.raises(SecretError):
        Invite.parse(PREFIX + text)


@pytest.mark.parametrize("room", ["a", "ab", "abc", "abcd", "abcde", "Küche"])
def test_every_wrong_character_is_noticed(room: str) -> None:
    """All single substitutions, wherever base32's groups end."""
    text = Invite.new(room, entropy=MATERIAL).reveal()
    for position, right in enumerate(text):
        for wrong in ALPHABET + "ABZ0189-_= ":
            if wrong != right:
                with pytest.raises(SecretError):
                    Invite.parse(text[:position] + wrong + text[position + 1 :])


@pytest.mark.parametrize("room", ["a", "ab", "abc", "abcd", "abcde", "Küche"])
def test_every_missing_doubled_or_exchanged_character_is_noticed(room: str) -> None:
    """The other slips of somebody who copies by hand, and a string cut short."""
    text = Invite.new(room, entropy=MATERIAL).reveal()
    slips = {text[:at] + text[at + 1 :] for at in range(len(text))}
    slips |= {text[:at] + text[at] + text[at:] for at in range(len(text))}
    slips |= {text[:at] + text[at + 1] + text[at] + text[at + 2 :] for at in range(len(text) - 1)}
    slips |= {text[:at] for at in range(len(text))}
    for slip in slips - {text}:
        with pytest.raises(SecretError):
            Invite.parse(slip)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"\x01\xff" + MATERIAL, id="the room is no UTF-8"),
        pytest.param(b"\x00" + MATERIAL, id="no room"),
        pytest.param(b"\x02k" + MATERIAL, id="the room takes a byte of the secret"),
        pytest.param(b"\x01k" + MATERIAL + b"\0", id="one byte too many"),
        pytest.param(b"\xffk" + MATERIAL, id="a length beyond the end"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_a_right_checksum_does_not_make_an_invite(payload: bytes) -> None:
    """What something else than reveal() has written is checked as well."""
    text = PREFIX + _secret._encoded(payload + _secret._checksum(payload))
    with pytest.raises(SecretError):
        Invite.parse(text)


GOOD = [
    pytest.param(INVITE, id="an invite"),
    pytest.param(KNOWN["text"], id="an invite's text"),
    pytest.param(KNOWN["text"] + "\n", id="an invite's text from a file"),
    pytest.param(bytes(16), id="16 bytes"),
    pytest.param("x" * 20, id="20 characters"),
]

BAD = [
    pytest.param(b"x" * 15, "at least 16", id="15 bytes"),
    pytest.param("x" * 19, "at least 20", id="19 characters"),
    pytest.param("", "at least 20", id="nothing"),
    pytest.param(KNOWN["text"][:-1], "copy it once more", id="an invite cut short"),
    pytest.param(KNOWN["text"].upper(), "starts with", id="an invite in capitals"),
    pytest.param("simopen2-" + "a" * 40, "starts with", id="an invite of a later version"),
    pytest.param(KNOWN["text"].encode(), "decode it", id="an invite's text as bytes"),
    pytest.param("x" * 20 + "\ud800", "UTF-8", id="no text"),
    pytest.param(bytearray(16), "not bytearray", id="a bytearray"),
    pytest.param(None, "not NoneType", id="None"),
]


@pytest.mark.parametrize("secret", GOOD)
@pytest.mark.anyio
async def test_a_good_secret_has_keys(secret: SecretLike) -> None:
    """What the check lets through can be derived from."""
    check_secret(secret)
    assert isinstance(await derive_keys(secret), GroupKeys)


@pytest.mark.parametrize(("secret", "says"), BAD)
def test_a_bad_secret_is_refused_at_once(secret: Any, says: str) -> None:
    """The check says what is wrong, before anything is computed."""
    with pytest.raises(SecretError, match=says):
        check_secret(secret)


@pytest.mark.parametrize(("secret", "says"), BAD)
@pytest.mark.anyio
async def test_a_bad_secret_has_no_keys(secret: Any, says: str) -> None:
    """Whoever forgets the check is refused as well."""
    with pytest.raises(SecretError, match=says):
        await derive_keys(secret)


@pytest.mark.anyio
async def test_an_invite_its_text_and_its_bytes_are_one_secret() -> None:
    """The keys are the known ones, however the secret is given."""
    for secret in (INVITE, KNOWN["text"], MATERIAL):
        assert tag_of(await derive_keys(secret)) == VECTORS["keys"]["room_tag"]


@pytest.mark.anyio
async def test_a_text_is_stretched_as_known() -> None:
    """The numbers of scrypt do not change between versions."""
    known = VECTORS["text"]
    expected = GroupKeys.from_material(bytes.fromhex(known["material"]))
    assert tag_of(await derive_keys(known["text"])) == tag_of(expected)


def test_scrypt_does_not_run_within_its_usual_memory() -> None:
    """Why a larger limit is given: with hashlib's own the call fails."""
    with pytest.raises(ValueError, match="memory limit"):
        hashlib.scrypt(b"text", salt=b"salt", n=2**15, r=8, p=1)


class Stretching:
    """Stands in for scrypt: takes until it is released, and counts who is at it."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.release = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, text: str) -> GroupKeys:
        """Count, and wait."""
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.release.wait(10)
        with self._lock:
            self.running -= 1
        return GroupKeys.from_material(text.encode())


@pytest.fixture
def stretching(monkeypatch: pytest.MonkeyPatch) -> Stretching:
    """Stretching as slow as a test wants it."""
    stand_in = Stretching()
    monkeypatch.setattr(_secret, "_stretched", stand_in)
    return stand_in


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that a thread does."""
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110 - a thread sets no event of the loop
            await anyio.sleep(0.005)


@pytest.mark.anyio
async def test_the_loop_runs_on_while_a_text_is_stretched(stretching: Stretching) -> None:
    """The tenth of a second is spent in a thread."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(derive_keys, "x" * 20)
        await until(lambda: stretching.running == 1)
        stretching.release.set()


@pytest.mark.anyio
async def test_stretching_is_left_when_cancelled(stretching: Stretching) -> None:
    """A cancelled call does not wait for scrypt."""
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(derive_keys, "x" * 20)
            await until(lambda: stretching.running == 1)
            tasks.cancel_scope.cancel()
    assert stretching.running == 1
    stretching.release.set()
    await until(lambda: stretching.running == 0)


@pytest.mark.anyio
async def test_no_more_than_two_texts_are_stretched_at_once(stretching: Stretching) -> None:
    """A hundred calls at once do not take 32 MiB each."""
    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(derive_keys, "x" * 20)
        await until(lambda: stretching.running == 2)
        await anyio.sleep(0.05)  # long enough for a third, if it could
        stretching.release.set()
    assert stretching.most == 2


CANARY = b"canary-canary-canary"  # 20 bytes, so that it can be an invite's
CANARY_TEXT = CANARY.decode()
CANARY_INVITE = Invite.new("canary's room", entropy=CANARY)
CANARY_KEYS = GroupKeys.from_material(CANARY)


def assert_no_canary(printed: str) -> None:
    """Fail if the secret, or anything that is as good as it, can be read in ``printed``."""
    for traitor in (
        "canary",
        CANARY.hex()[:12],
        CANARY_INVITE.reveal()[len(PREFIX) :][:12],
        CANARY_INVITE.reveal()[-20:],
        CANARY_INVITE.reveal()[-40:-20],
        repr(CANARY_KEYS._prk)[2:20],
        repr(CANARY_KEYS.hello_key("client"))[2:20],
    ):
        assert traitor not in printed


def everything_of(error: BaseException | None) -> str:
    """All that an error and those that hang on it say, hidden ones included."""
    printed = ""
    while error is not None:
        printed += f"{error} {error!r} {error.args!r} {vars(error)!r}"
        error = error.__cause__ or error.__context__
    return printed


def test_the_canary_is_found_where_it_is() -> None:
    """The search that the next tests rely on finds something."""
    for leak in (repr(CANARY), CANARY_INVITE.reveal(), repr(CANARY_KEYS._prk), CANARY.hex()):
        with pytest.raises(AssertionError):
            assert_no_canary(leak)


def test_an_invite_prints_nothing() -> None:
    """Neither room nor secret, in any way of printing."""
    for printed in (repr(CANARY_INVITE), str(CANARY_INVITE), f"{CANARY_INVITE}"):
        assert printed == "<Invite>"


@pytest.mark.parametrize(
    "secret",
    [
        CANARY_TEXT[:19],
        CANARY[:15],
        bytearray(CANARY),
        CANARY_TEXT + "\ud800",
        CANARY_INVITE.reveal()[:-1],
        CANARY_INVITE.reveal() + "é",
        CANARY_INVITE.reveal()[:-20] + "aa" + CANARY_INVITE.reveal()[-18:],
        CANARY_INVITE.reveal().upper(),
        CANARY_INVITE.reveal().encode(),
        "simopen2-" + CANARY_TEXT,
        PREFIX + CANARY_TEXT,
    ],
)
def test_a_secret_that_is_refused_is_in_no_error(secret: Any) -> None:
    """Not in the text, the arguments or an error that comes along as the context."""
    with pytest.raises(SecretError) as caught:
        check_secret(secret)
    assert_no_canary(everything_of(caught.value))
    # The lines of this file may well say it; those of the error may not.
    assert_no_canary("".join(traceback.format_exception_only(caught.value)))


def test_a_room_that_is_refused_is_in_no_error() -> None:
    """A room's name is for those who are in it."""
    with pytest.raises(SecretError) as caught:
        Invite.new("canary\ud800")
    assert_no_canary(everything_of(caught.value))


def sealed_by(keys: GroupKeys, certificate: bytes = b"none") -> bytes:
    """An offer."""
    body = OfferBody(certificate=certificate, session=bytes(32), round=0)
    return seal_offer(keys, body, mode=MODE_DIRECT, room_tag=bytes(32), salt=bytes(32))


def fail_to_open(keys: GroupKeys) -> None:
    """Open what was sealed with another secret."""
    open_offer(keys, sealed_by(_UNKNOWN), mode=MODE_DIRECT, room_tag=bytes(32), own=None)


def fail_to_open_garbage(keys: GroupKeys) -> None:
    """Open what is no offer."""
    open_offer(keys, b"garbage", mode=MODE_DIRECT, room_tag=bytes(32), own=None)


def fail_to_open_our_own(keys: GroupKeys) -> None:
    """Open what we have sealed."""
    ours = sealed_by(keys)
    open_offer(keys, ours, mode=MODE_DIRECT, room_tag=bytes(32), own=ours)


def fail_a_hello(keys: GroupKeys) -> None:
    """Check a wrong HELLO."""
    check_hello(keys, bytes(32), b"H" + bytes(33))


def fail_an_accept(keys: GroupKeys) -> None:
    """Check a wrong ACCEPT."""
    check_accept(keys, bytes(32), b"A" + bytes(32))


def fail_a_context(keys: GroupKeys) -> None:
    """Trust what is no certificate."""
    del keys
    tls_context(Identity.generate(), b"none", server_side=False)


def attempt(fail: Callable[[GroupKeys], None], keys: GroupKeys, invite: Invite) -> None:
    """Fail below a frame that has the secret among its variables in every form there is."""
    held = (keys, invite)
    fail(held[0])


_UNKNOWN = GroupKeys.from_material(bytes(20))


@pytest.mark.parametrize(
    "fail",
    [
        fail_to_open,
        fail_to_open_garbage,
        fail_to_open_our_own,
        fail_a_hello,
        fail_an_accept,
        fail_a_context,
    ],
)
def test_no_traceback_with_local_variables_has_the_secret(
    fail: Callable[[GroupKeys], None],
) -> None:
    """Rich's and structlog's show the variables of every frame, and there is nothing in ours."""
    with pytest.raises(SecurityError) as caught:
        attempt(fail, CANARY_KEYS, CANARY_INVITE)
    error = caught.value
    kind, trace = type(error), error.__traceback__.tb_next  # type: ignore[union-attr]  # not None
    screen = io.StringIO()
    Console(file=screen, width=500).print(
        Traceback.from_exception(kind, error, trace, show_locals=True, locals_max_string=10_000)
    )
    assert "<GroupKeys>" in screen.getvalue()
    assert "<Invite>" in screen.getvalue()
    assert_no_canary(screen.getvalue())
    as_dict = structlog.tracebacks.ExceptionDictTransformer(
        show_locals=True, locals_max_string=10_000
    )
    assert_no_canary(repr(as_dict((kind, error, trace))))
    assert_no_canary(everything_of(error))

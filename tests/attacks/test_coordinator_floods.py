"""Floods against a real coordinator in a process of its own, with others who meet meanwhile."""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from simopen.rendezvous.protocol import (
    Attach,
    Code,
    Introduce,
    Leave,
    Message,
    Outcome,
    Ping,
    Probe,
    Result,
    Settled,
    Verdict,
    Welcome,
    encode_frame,
)
from simopen.rendezvous.protocol._limits import LARGEST_FRAME
from tests.attacks.attackers import (
    ATTACKERS,
    NOTHING,
    PROXIED,
    Attack,
    Running,
    half_close,
    last_word,
    meet_themselves,
    meeting,
    proxy_header,
    running,
    sending,
    sending_raw,
    storm,
    vanish,
    vanish_with_a_reset,
)
from tests.rendezvous.certificates import client_context, write_certificate
from tests.rendezvous.clients import join, new_tag

pytestmark = pytest.mark.anyio

MEETINGS = 4  # of others, in each storm
LONGEST = 5.0  # seconds that one of them may take, where it takes milliseconds in peace
MOST_MEMORY = 32 << 20  # bytes that a storm may cost at its peak: 500 KiB for each attacker
MEBIBYTE = 1 << 20
CROWD = 300


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The attackers' loop; the coordinator's is in its own process, and of its own choice."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for all storms: what one of them leaves behind, the others find."""
    with running(tmp_path_factory.mktemp("coordinator")) as started:
        yield from watched(started)


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One that speaks TLS."""
    folder = tmp_path_factory.mktemp("encrypted")
    certificate, key = write_certificate(folder)
    options = ("--tls-cert", str(certificate), "--tls-key", str(key))
    with running(folder, *options, tls=client_context((certificate, key))) as started:
        yield from watched(started)


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One behind a load balancer."""
    with running(tmp_path_factory.mktemp("proxied"), proxied=True) as started:
        yield from watched(started)


def watched(started: Running) -> Iterator[Running]:
    """Strangers neither end it nor write into its log, and no storm after the first costs more."""
    before = started.memory()
    yield started
    assert started.process.poll() is None
    started.forget_peak()
    assert started.memory() - before < MOST_MEMORY
    assert started.said() == ["coordinator.listening"]


def framed(payload: bytes) -> bytes:
    """A frame with anything in it."""
    return struct.pack("!I", len(payload)) + payload


def frames(*messages: Message) -> bytes:
    """Messages in one piece."""
    return b"".join(map(encode_frame, messages))


JOIN = frames(join(new_tag()))
PINGS = frames(*(Ping(number=number) for number in range(25)))  # a burst has 20
STORMS: dict[str, tuple[str, Attack]] = {
    # What is no message.
    "noise": (Code.MALFORMED, sending(b"\xff" * 4000)),
    "tls-to-a-plain-port": (Code.MALFORMED, sending(bytes.fromhex("1603010200010001fc0303"))),
    "most-of-a-mebibyte": (Code.MALFORMED, sending(framed(bytes(MEBIBYTE))[:-1])),
    "nesting": (Code.MALFORMED, sending(framed(b"[" * LARGEST_FRAME))),
    "nesting-that-ends": (
        Code.MALFORMED,
        sending(framed(b'{"type":"ping","x":' + b"[" * 4000 + b"]" * 4000 + b"}")),
    ),
    "a-number-of-300-digits": (Code.MALFORMED, sending(framed(b'{"v":' + b"9" * 300 + b"}"))),
    # Messages in no place or number.
    "pings": (Code.RATE, sending(PINGS)),
    "settled": (Code.RATE, sending(lambda: frames(join(new_tag()), *[Settled()] * 25))),
    "joins-on-one-connection": (Code.UNEXPECTED, sending(lambda: frames(*[join(new_tag())] * 2))),
    "results-of-nothing": (
        Code.UNEXPECTED,
        sending(frames(Result(round=1, outcome=Outcome.OK, elapsed=0))),
    ),
    "probes-on-the-first-port": (
        Code.UNEXPECTED,
        sending(frames(Probe(tag=new_tag(), seat=bytes(16)))),
    ),
    "seats-of-nobody": (Code.SEAT, sending(frames(Attach(tag=new_tag(), seat=bytes(16))))),
    # Those who waste time.
    "silence": (Code.TIMEOUT, sending()),
    "half-a-join": (Code.TIMEOUT, sending(JOIN[: len(JOIN) // 2])),
    "a-drip": (Code.TIMEOUT, sending(*(JOIN[at : at + 1] for at in range(40)), every=0.05)),
    "pings-before-the-join": (
        Code.TIMEOUT,
        sending(*(frames(Ping(number=number)) for number in range(15)), every=0.1),
    ),
    # Those who come and go.
    "vanishing": (NOTHING, vanish),
    "resetting": (NOTHING, vanish_with_a_reset),
    "half-closing": ("welcome", half_close),
    "meeting-themselves": ("introduce", meet_themselves),
}


HELLO = bytes.fromhex("16030104000100ffff0303")  # a ClientHello of 64 KiB begins
STORMS_ON_TLS: dict[str, tuple[str, Attack]] = {
    "silence": (NOTHING, sending_raw(b"")),
    "noise": (NOTHING, sending_raw(b"\xff" * 4000)),
    "plain-join": (NOTHING, sending_raw(JOIN)),
    "a-hello-begun": (NOTHING, sending_raw(HELLO)),
    "a-hello-without-end": (NOTHING, sending_raw((HELLO[:5] + bytes(1024)) * 1024)),
    "noise-inside": (Code.MALFORMED, sending(b"\xff" * 4000)),
    "silence-inside": (Code.TIMEOUT, sending()),
    "pings-inside": (Code.RATE, sending(PINGS)),
}
STORMS_ON_PROXIED: dict[str, tuple[str, Attack]] = {
    "silence": (NOTHING, sending_raw(b"")),
    "no-header": (NOTHING, sending_raw(JOIN)),
    "a-header-begun": (NOTHING, sending_raw(proxy_header("127.0.0.1")[:20])),
    "a-header-without-end": (NOTHING, sending_raw(PROXIED[:14] + b"\xff\xff" + bytes(65_535))),
    "noise-after-it": (Code.MALFORMED, sending(b"\xff" * 4000)),
    "silence-after-it": (Code.TIMEOUT, sending()),
    "pings-that-put-off-the-pong": (Code.RATE, sending(lambda: frames(join(new_tag())) + PINGS)),
}
HEALTH = {
    "silence": b"",
    "a-request-begun": b"GET /metrics HTTP/1.1\r\n",
    "headers-without-end": b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 10_000,
    "metrics": b"GET /metrics HTTP/1.1\r\n\r\n",
}


async def meetings(coordinator: Running) -> list[float]:
    """How many seconds each of some meetings takes, with a pause after it."""
    times = []
    for _ in range(MEETINGS):
        times.append(await meeting(coordinator))
        await anyio.sleep(0.05)
    return times


async def weather(coordinator: Running, word: str, attack: Attack) -> None:
    """A storm: it gets what it deserves, others meet, memory is bounded, nothing of it stays."""
    await coordinator.emptied()
    coordinator.forget_peak()
    before = coordinator.memory()
    async with storm(coordinator, attack) as got:
        times = await meetings(coordinator)
    assert max(times) < LONGEST
    assert got[word] > ATTACKERS // 2, got
    assert got.keys() <= {word, Code.RATE, NOTHING}, got
    assert coordinator.memory() - before < MOST_MEMORY
    await coordinator.emptied()


@pytest.mark.parametrize("name", STORMS)
async def test_a_storm(coordinator: Running, name: str) -> None:
    """Over plain TCP."""
    await weather(coordinator, *STORMS[name])


@pytest.mark.parametrize("name", STORMS_ON_TLS)
async def test_a_storm_on_tls(encrypted: Running, name: str) -> None:
    """Before TLS is done and after."""
    await weather(encrypted, *STORMS_ON_TLS[name])


@pytest.mark.parametrize("name", STORMS_ON_PROXIED)
async def test_a_storm_behind_a_load_balancer(proxied: Running, name: str) -> None:
    """Before the PROXY header is complete and after."""
    await weather(proxied, *STORMS_ON_PROXIED[name])


# -- against a room that is known ------------------------------------------------------------------


async def test_guessing_seats(coordinator: Running) -> None:
    """Whoever knows the tag but not the seat cannot attach to it, nor spoil its verdict."""
    tag = new_tag()
    async with await coordinator.client("127.0.0.3") as a:
        await a.send(join(tag))
        await a.receive(Welcome)
        for guess in (guess_an_attach(tag), guess_a_probe(tag)):
            async with storm(coordinator, guess) as got:
                await meetings(coordinator)
            assert got.keys() == {Code.SEAT}
        async with await coordinator.client("127.0.0.3") as b:
            await b.send(join(tag))
            observed = (await b.receive(Welcome)).observed
            assert (await a.receive(Introduce)).observed == (observed,)
            assert (await b.receive(Introduce)).peer_mapping is Verdict.UNKNOWN


def guess_an_attach(tag: bytes) -> Attack:
    """Tries to attach an endpoint to a seat of this room."""
    return sending(lambda: frames(Attach(tag=tag, seat=secrets.token_bytes(16))))


def guess_a_probe(tag: bytes) -> Attack:
    """Tries to spoil what is known of the NAT of a seat of this room."""

    async def attack(coordinator: Running, source: str) -> str:
        async with await anyio.connect_tcp(*coordinator.probing, local_host=source) as stream:
            await stream.send(frames(Probe(tag=tag, seat=secrets.token_bytes(16))))
            return await last_word(stream)

    return attack


async def test_replays(coordinator: Running) -> None:
    """A join that was recorded is worth nothing after its introduction."""
    tag = new_tag()
    seats = [secrets.token_bytes(16) for _ in range(2)]
    async with (
        await coordinator.client("127.0.0.3") as a,
        await coordinator.client("127.0.0.3") as b,
    ):
        for client, seat in zip((a, b), seats, strict=True):
            await client.send(join(tag, seat))
            await client.receive(Welcome)
        for client in (a, b):
            await client.receive(Introduce)
        async with storm(coordinator, sending(frames(join(tag, seats[0])))) as got:
            await meetings(coordinator)
        assert got.keys() == {Code.STALE}
        for client in (a, b):
            await client.send(Result(round=1, outcome=Outcome.OK, elapsed=0.1))
            assert await client.ended()


async def test_results_of_others(coordinator: Running) -> None:
    """Who was not introduced has no results: exactly those of the members are counted."""
    before = await reports(coordinator)
    claims = [Result(round=number, outcome=Outcome.OK, elapsed=0) for number in range(1, 15)]

    async def claim(coordinator: Running, source: str) -> str:
        async with await coordinator.client(source) as client:
            await client.send(join(new_tag()), *claims, Leave())
            return await last_word(client.stream)

    async with storm(coordinator, claim) as got:
        await meetings(coordinator)
    assert got.keys() == {"welcome"}
    assert await reports(coordinator) - before == 2 * MEETINGS


async def reports(coordinator: Running) -> float:
    """How many results have been counted."""
    metrics = await coordinator.metrics()
    return sum(value for name, value in metrics.items() if name.startswith("meeting_seconds_count"))


# -- crowds ----------------------------------------------------------------------------------------


async def test_a_crowd_that_stays(coordinator: Running) -> None:
    """Each has one seat in one room, a bounded cost, and is gone with its connection."""
    await coordinator.emptied()
    coordinator.forget_peak()
    before = coordinator.memory()
    async with AsyncExitStack() as stack:
        for number in range(CROWD):
            client = await coordinator.client(f"127.0.9.{1 + number % 8}")
            await stack.enter_async_context(client)
            await client.send(join(new_tag()))
            await client.receive(Welcome)
        assert await coordinator.sizes() == (CROWD, CROWD, CROWD)
        await meetings(coordinator)
        assert coordinator.memory() - before < MOST_MEMORY
    await coordinator.emptied()


# -- the operator's port ---------------------------------------------------------------------------


@pytest.mark.parametrize("request_", HEALTH)
async def test_a_storm_on_the_health_port(coordinator: Running, request_: str) -> None:
    """It takes nothing from the members, and the operator is answered when it is over."""

    async def attack(coordinator: Running, source: str) -> str:
        async with await anyio.connect_tcp(*coordinator.health, local_host=source) as stream:
            await stream.send(HEALTH[request_])
            with anyio.move_on_after(1):
                async for _ in stream:
                    pass
        return NOTHING

    coordinator.forget_peak()
    before = coordinator.memory()
    async with storm(coordinator, attack):
        times = await meetings(coordinator)
    assert max(times) < LONGEST
    assert coordinator.memory() - before < MOST_MEMORY
    await coordinator.emptied()

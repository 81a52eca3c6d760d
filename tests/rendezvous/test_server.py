"""The coordinator as its clients see it, on every loop."""

from __future__ import annotations

import contextlib
import errno
import gc
import socket
import ssl
import struct
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute

from simopen import Endpoint, LocalBindError, UsageError
from simopen.net._addresses import endpoint_of
from simopen.rendezvous import _listener, _server, _session, _transport
from simopen.rendezvous._metrics import Metrics
from simopen.rendezvous._outbox import Outbox
from simopen.rendezvous._server import Coordinator
from simopen.rendezvous._session import Session
from simopen.rendezvous._tls_files import CertificateFiles
from simopen.rendezvous._transport import Transport
from simopen.rendezvous.protocol import (
    Attach,
    Bye,
    Code,
    CoordinatorLimits,
    Error,
    Family,
    Introduce,
    Outcome,
    Ping,
    Pong,
    Probe,
    Probed,
    Reject,
    Result,
    ServerConnection,
    Settled,
    Verdict,
    Welcome,
    _rooms,
)
from simopen.rendezvous.protocol._room import MemoryStore, Room
from tests.helpers import free_port, no_socket_left
from tests.rendezvous.certificates import client_context, write_certificate
from tests.rendezvous.clients import Client, join, new_tag, until

pytestmark = pytest.mark.anyio

LOOPBACK = "127.0.0.1:0"
QUICK = CoordinatorLimits(handshake=0.2, drain=0.2)
PROXIED = bytes.fromhex("0d0a0d0a000d0a515549540a2111000c") + bytes([203, 0, 113, 9, 192, 0, 2, 1])


def from_host(number: int) -> bytes:
    """The PROXY header of a client of that host."""
    host = bytes([203, 0, 113, number])
    return PROXIED[:16] + host + PROXIED[20:] + struct.pack("!HH", 40_001, 7337)


class Notes(Metrics):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def ended(self, ending: str) -> None:
        """Note how."""
        self.told.append(f"ended {ending}")

    def introduced(self, waited: float) -> None:
        """Note it."""
        assert waited >= 0
        self.told.append("introduced")

    def dismissed(self, code: str) -> None:
        """Note why."""
        self.told.append(f"dismissed {code}")

    def limit_hit(self, limit: str) -> None:
        """Note which."""
        self.told.append(f"hit {limit}")

    def reported(self, outcome: str, elapsed: float) -> None:
        """Note how."""
        assert elapsed >= 0
        self.told.append(f"reported {outcome}")


# -- the work --------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_two_members_are_introduced(host: str) -> None:
    """Each gets the other's endpoint as the coordinator sees it, and its offer."""
    with no_socket_left():
        async with Coordinator(f"{host}:0") as coordinator:
            (endpoint,) = coordinator.endpoints
            tag = new_tag()
            async with await Client.connect(endpoint) as a, await Client.connect(endpoint) as b:
                await a.send(join(tag))
                observed_a = (await a.receive(Welcome)).observed
                await b.send(join(tag))
                observed_b = (await b.receive(Welcome)).observed
                to_a, to_b = await a.receive(Introduce), await b.receive(Introduce)
                assert (to_a.observed, to_b.observed) == ((observed_b,), (observed_a,))
                sock = a.stream.extra(SocketAttribute.raw_socket)
                assert observed_a == str(endpoint_of(sock.getsockname()))
                assert min(to_a.delay, to_b.delay) == 0


async def test_an_introduction_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that cannot be sent to does not keep the other's introduction back by a turn."""
    stuck: set[int] = set()
    send_now = _transport.Transport.send_now

    def send_unless_stuck(self: _transport.Transport, data: bytes) -> int:
        return 0 if self.sock.getpeername()[1] in stuck else send_now(self, data)

    monkeypatch.setattr(_transport.Transport, "send_now", send_unless_stuck)
    async with Coordinator(LOOPBACK) as coordinator:
        (endpoint,) = coordinator.endpoints
        tag = new_tag()
        async with await Client.connect(endpoint) as a, await Client.connect(endpoint) as b:
            await a.send(join(tag))
            welcome = await a.receive(Welcome)
            stuck.add(int(welcome.observed.rpartition(":")[2]))
            await b.send(join(tag))
            await b.receive(Welcome)
            await b.receive(Introduce)
            stuck.clear()
            await a.receive(Introduce)


async def test_families_meet_over_two_connections() -> None:
    """A seat that attaches its other family is introduced with both endpoints."""
    async with Coordinator([LOOPBACK, "[::1]:0"]) as coordinator:
        ipv4, ipv6 = coordinator.endpoints
        tag = new_tag()
        async with (
            await Client.connect(ipv4) as a,
            await Client.connect(ipv6) as also_a,
            await Client.connect(ipv6) as b,
        ):
            joining = join(tag, families=(Family.IPV6,))
            await a.send(joining)
            await a.receive(Welcome)
            await also_a.send(Attach(tag=tag, seat=joining.seat))
            await also_a.receive(Welcome)
            await b.send(join(tag))
            await b.receive(Welcome)
            assert len((await b.receive(Introduce)).observed) == 2


async def test_a_probe_on_the_second_port() -> None:
    """It is answered and closed, and the verdict travels in the introduction."""
    async with Coordinator(LOOPBACK) as coordinator:
        (endpoint,) = coordinator.endpoints
        (probing,) = coordinator.probe_endpoints
        tag = new_tag()
        async with await Client.connect(endpoint) as a, await Client.connect(endpoint) as b:
            joining = join(tag)
            await a.send(joining)
            assert (await a.receive(Welcome)).probe == (probing.port,)
            async with await Client.connect(probing) as probe:
                await probe.send(Probe(tag=tag, seat=joining.seat))
                await probe.receive(Probed)
                assert await probe.ended()
            await b.send(join(tag))
            await b.receive(Welcome)
            assert (await b.receive(Introduce)).peer_mapping is Verdict.VARIES  # another port


async def test_a_family_that_never_comes() -> None:
    """Members without a family in common are introduced when the time for it is over."""
    limits = CoordinatorLimits(family_wait=0.1)
    async with Coordinator([LOOPBACK, "[::1]:0"], limits=limits) as coordinator:
        ipv4, ipv6 = coordinator.endpoints
        tag = new_tag()
        async with await Client.connect(ipv4) as a, await Client.connect(ipv6) as b:
            for client in (a, b):
                await client.send(join(tag, families=(Family.IPV4, Family.IPV6)))
                await client.receive(Welcome)
            for client in (a, b):
                await client.receive(Introduce)


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_lost_member_is_not_introduced(how: str) -> None:
    """Whoever closes, or is reset, has left the room; the next two meet."""
    notes = Notes()
    async with Coordinator(LOOPBACK, metrics=notes) as coordinator:
        (endpoint,) = coordinator.endpoints
        tag = new_tag()
        async with await Client.connect(endpoint) as lost:
            await lost.send(join(tag))
            await lost.receive(Welcome)
            if how == "reset":
                linger = struct.pack("@ii", 1, 0)
                sock = lost.stream.extra(SocketAttribute.raw_socket)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        await until(lambda: notes.told == ["ended left"])
        async with await Client.connect(endpoint) as a, await Client.connect(endpoint) as b:
            await a.send(join(tag))
            await a.receive(Welcome)
            await b.send(join(tag))
            await b.receive(Welcome)
            assert (await a.receive(Introduce)).round == 1
            await b.receive(Introduce)


# -- TLS and PROXY ---------------------------------------------------------------------------------


async def test_tls(tmp_path: Path) -> None:
    """Over TLS everything is the same, on both ports."""
    files = write_certificate(tmp_path)
    tls = client_context(files)
    with no_socket_left():
        async with Coordinator(LOOPBACK, certificate=CertificateFiles(*files)) as coordinator:
            (endpoint,) = coordinator.endpoints
            (probing,) = coordinator.probe_endpoints
            tag, joining = new_tag(), join(new_tag())
            joining = join(tag)
            async with (
                await Client.connect(endpoint, tls=tls) as a,
                await Client.connect(endpoint, tls=tls) as b,
            ):
                await a.send(joining)
                await a.receive(Welcome)
                async with await Client.connect(probing, tls=tls) as probe:
                    await probe.send(Probe(tag=tag, seat=joining.seat))
                    await probe.receive(Probed)
                await b.send(join(tag))
                await b.receive(Welcome)
                await b.receive(Introduce)
                await a.receive(Introduce)


async def test_a_renewed_certificate(tmp_path: Path) -> None:
    """After a reload new connections get the new certificate, and members keep their seats."""
    files = write_certificate(tmp_path)
    old = client_context(files)
    async with Coordinator(LOOPBACK, certificate=CertificateFiles(*files)) as coordinator:
        (endpoint,) = coordinator.endpoints
        tag = new_tag()
        async with await Client.connect(endpoint, tls=old) as a:
            await a.send(join(tag))
            await a.receive(Welcome)
            new = client_context(write_certificate(tmp_path))
            await coordinator.reload_certificate()
            with pytest.raises(ssl.SSLCertVerificationError):
                await Client.connect(endpoint, tls=old)
            async with await Client.connect(endpoint, tls=new) as b:
                await b.send(join(tag))
                await b.receive(Welcome)
                await b.receive(Introduce)
                await a.receive(Introduce)


async def test_behind_a_load_balancer() -> None:
    """The PROXY header says who the client is, and the round trip is measured by a ping."""
    async with Coordinator(LOOPBACK, proxy_protocol=True) as coordinator:
        (endpoint,) = coordinator.endpoints
        first = PROXIED + struct.pack("!HH", 40_001, 7337)
        tag = new_tag()
        async with (
            await Client.connect(endpoint, first=first) as a,
            await Client.connect(endpoint, first=first) as b,
        ):
            for client in (a, b):
                ping = await client.receive(Ping)
                await client.send(join(tag))
                await anyio.sleep(0 if client is a else 0.2)
                await client.send(Pong(number=ping.number))
                assert (await client.receive(Welcome)).observed == "203.0.113.9:40001"
            to_a, to_b = await a.receive(Introduce), await b.receive(Introduce)
            assert to_b.delay == 0
            assert 0.07 < to_a.delay < 1  # half of what b was slower


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n\r\n", PROXIED[:20]])
async def test_no_proxy_header(first: bytes) -> None:
    """Whoever comes without one, or stops in the midst of it, is closed without a word."""
    notes = Notes()
    async with Coordinator(
        LOOPBACK, proxy_protocol=True, limits=QUICK, metrics=notes
    ) as coordinator:
        async with await Client.connect(coordinator.endpoints[0], first=first) as client:
            assert await client.ended()
        await until(lambda: notes.told in (["ended proxy"], ["hit handshake", "ended slow"]))


# -- what it bears ---------------------------------------------------------------------------------


@pytest.mark.parametrize("proxied", [False, True])
@pytest.mark.parametrize("encrypted", [False, True])
async def test_the_handshake_has_an_absolute_end(
    tmp_path: Path, *, encrypted: bool, proxied: bool
) -> None:
    """A drip of bytes, into the header, TLS or a message, does not buy a second."""
    certificate = CertificateFiles(*write_certificate(tmp_path)) if encrypted else None
    async with (
        Coordinator(
            LOOPBACK, proxy_protocol=proxied, certificate=certificate, limits=QUICK
        ) as coordinator,
        await Client.connect(coordinator.endpoints[0]) as client,
    ):
        began = anyio.current_time()
        drip = b"\x16\x03\x01\x02\x00\x01" if encrypted else bytes(3) + b"\xff"
        drip = PROXIED if proxied else drip
        with contextlib.suppress(anyio.BrokenResourceError):
            while anyio.current_time() < began + 1:
                await client.stream.send(drip[:1])
                drip = drip[1:] or b"\x01"
                await anyio.sleep(0.04)
        with (
            contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError),
            anyio.fail_after(0.5),
        ):
            while await client.stream.receive():
                pass


async def test_silence_is_told_and_ended() -> None:
    """A connection without a first message gets an error and is closed."""
    async with (
        Coordinator(LOOPBACK, limits=QUICK) as coordinator,
        await Client.connect(coordinator.endpoints[0]) as client,
    ):
        assert (await client.receive(Error)).code is Code.TIMEOUT
        assert await client.ended()


async def test_garbage_is_told_and_ended() -> None:
    """What is no frame costs its sender the connection, and nobody else anything."""
    notes = Notes()
    async with Coordinator(LOOPBACK, metrics=notes) as coordinator:
        (endpoint,) = coordinator.endpoints
        async with await Client.connect(endpoint, first=b"GET / HTTP/1.1\r\n\r\n") as client:
            assert (await client.receive(Error)).code is Code.MALFORMED
            assert await client.ended()
        await until(lambda: notes.told == ["hit frame", "dismissed malformed", "ended hung_up"])
        async with await Client.connect(endpoint) as client:
            await client.send(join(new_tag()))
            await client.receive(Welcome)


async def test_too_many_connections_from_one_address() -> None:
    """They are told so; when one has closed, the next is taken."""
    limits = CoordinatorLimits(connections_per_address=2)
    async with Coordinator(LOOPBACK, limits=limits) as coordinator:
        (endpoint,) = coordinator.endpoints
        async with await Client.connect(endpoint) as a:
            await a.send(join(new_tag()))
            await a.receive(Welcome)
            async with await Client.connect(endpoint) as b:
                await b.send(join(new_tag()))
                await b.receive(Welcome)
                async with await Client.connect(endpoint) as c:
                    assert (await c.receive(Error)).code is Code.RATE
                    assert await c.ended()
            await until(lambda: coordinator.connections == 1)
            async with await Client.connect(endpoint) as d:
                await d.send(join(new_tag()))
                await d.receive(Welcome)


async def test_too_many_connections_in_a_second() -> None:
    """The burst is served; what comes on top of it at once is told so and closed."""
    limits = CoordinatorLimits(connection_rate=0.1, connection_burst=2)
    async with Coordinator(LOOPBACK, limits=limits) as coordinator:
        (endpoint,) = coordinator.endpoints
        for _ in range(2):
            async with await Client.connect(endpoint) as client:
                await client.send(join(new_tag()))
                await client.receive(Welcome)
        async with await Client.connect(endpoint) as client:
            assert (await client.receive(Error)).code is Code.RATE
            assert await client.ended()


async def test_too_many_members_from_one_address() -> None:
    """They are told so; the address is the PROXY header's where there is one."""
    limits = CoordinatorLimits(members_per_address=1)
    for proxied in (False, True):
        async with Coordinator(LOOPBACK, limits=limits, proxy_protocol=proxied) as coordinator:
            (endpoint,) = coordinator.endpoints
            headers = [from_host(host) if proxied else b"" for host in (9, 9, 10)]
            async with (
                await Client.connect(endpoint, first=headers[0]) as a,
                await Client.connect(endpoint, first=headers[1]) as b,
                await Client.connect(endpoint, first=headers[2]) as c,
            ):
                for client in (a, b, c):
                    if proxied:
                        await client.send(Pong(number=(await client.receive(Ping)).number))
                    await client.send(join(new_tag()))
                    if client is b or (client is c and not proxied):
                        assert (await client.receive(Error)).code is Code.RATE
                        assert await client.ended()
                    else:
                        await client.receive(Welcome)


async def test_a_meeting_that_never_ends() -> None:
    """Who stays and says nothing of it loses its seat, and the room is free for others."""
    limits = CoordinatorLimits(meeting=1)
    async with Coordinator(LOOPBACK, limits=limits) as coordinator:
        (endpoint,) = coordinator.endpoints
        tag = new_tag()
        for _ in range(2):
            async with await Client.connect(endpoint) as a, await Client.connect(endpoint) as b:
                for client in (a, b):
                    await client.send(join(tag))
                    await client.receive(Welcome)
                for client in (a, b):
                    await client.receive(Introduce)
                    assert (await client.receive(Error)).code is Code.TIMEOUT
                    assert await client.ended()


async def test_full() -> None:
    """A coordinator with as many connections as it may have says so to the next."""
    notes = Notes()
    limits = CoordinatorLimits(connections=1)
    async with Coordinator(LOOPBACK, limits=limits, metrics=notes) as coordinator:
        (endpoint,) = coordinator.endpoints
        async with await Client.connect(endpoint) as a, await Client.connect(endpoint) as b:
            assert (await b.receive(Reject)).code is Code.BUSY
            assert await b.ended()
            await a.send(join(new_tag()))
            await a.receive(Welcome)
        assert notes.told[:3] == ["hit connections", "dismissed busy", "ended refused"]


async def test_a_client_that_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for it is bounded; then it is given up."""
    notes = Notes()
    limits = CoordinatorLimits(outbox=1000, message_rate=1e6, message_burst=1_000_000)
    monkeypatch.setattr(_transport.Transport, "send_now", lambda *_: 0)
    monkeypatch.setattr(anyio, "wait_writable", lambda _: anyio.sleep_forever())
    async with Coordinator(LOOPBACK, limits=limits, metrics=notes) as coordinator:
        async with await Client.connect(coordinator.endpoints[0]) as client:
            await client.send(*(Ping(number=number) for number in range(100)))
            assert await client.ended()
        await until(lambda: notes.told == ["hit outbox", "ended unread"])


async def test_an_error_of_ours_costs_one_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug met by one client is logged; the others go on."""
    async with Coordinator(LOOPBACK) as coordinator:
        (endpoint,) = coordinator.endpoints
        tag = new_tag()
        async with await Client.connect(endpoint) as a:
            await a.send(join(tag))
            await a.receive(Welcome)
            with monkeypatch.context() as patch:
                patch.setattr(_session.Session, "path", lambda _: 1 / 0)
                async with await Client.connect(endpoint) as unlucky:
                    await unlucky.send(join(tag))
                    assert await unlucky.ended()
            assert "connection.crashed" in caplog.text
            async with await Client.connect(endpoint) as b:
                await b.send(join(tag))
                await b.receive(Welcome)
                await a.receive(Introduce)


class FailingMetrics(Metrics):
    """Raises whatever it is told."""

    def opened(self) -> None:
        """Fail."""
        raise ArithmeticError("no such number")

    def ended(self, ending: str) -> None:
        """Fail."""
        raise ArithmeticError(ending)

    def welcomed(self) -> None:
        """Fail."""
        raise ArithmeticError("no such number")

    def dismissed(self, code: str) -> None:
        """Fail."""
        raise ArithmeticError(code)

    def limit_hit(self, limit: str) -> None:
        """Fail."""
        raise ArithmeticError(limit)

    def introduced(self, waited: float) -> None:
        """Fail."""
        raise ArithmeticError(waited)

    def reported(self, outcome: str, elapsed: float) -> None:
        """Fail."""
        raise ArithmeticError(outcome, elapsed)


async def test_metrics_that_fail(caplog: pytest.LogCaptureFixture) -> None:
    """Members are taken, introduced, heard and dismissed all the same; the log has the error."""
    async with Coordinator(LOOPBACK, metrics=FailingMetrics()) as coordinator:
        (endpoint,) = coordinator.endpoints
        tag = new_tag()
        async with await Client.connect(endpoint) as a, await Client.connect(endpoint) as b:
            for client in (a, b):
                await client.send(join(tag))
                await client.receive(Welcome)
            async with await Client.connect(endpoint, first=b"\xff" * 4) as dismissed:
                await dismissed.receive(Error)
            for client in (a, b):
                introduction = await client.receive(Introduce)
                outcome = Result(round=introduction.round, outcome=Outcome.OK, elapsed=0.1)
                await client.send(outcome)
                assert await client.ended()
        await coordinator.drain()
    for each in ("opened", "ended", "welcomed", "dismissed", "introduced", "reported", "limit_hit"):
        assert caplog.text.count(f"in {each}\n") == 1  # and not once for each member


class FailingStore(MemoryStore):
    """Cannot be read while it is broken."""

    broken = False

    def get(self, tag: bytes) -> Room | None:
        """The room of that tag, or None."""
        if self.broken:
            raise ConnectionError("the store is away")
        return super().get(tag)


async def test_a_store_that_fails_when_somebody_asks(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """That costs the client that asked, and its seat once the store is back; others go on."""
    monkeypatch.setattr(_rooms, "STORE_RETRY", 0.1)
    store = FailingStore()
    async with Coordinator(LOOPBACK, store=store) as coordinator:
        (endpoint,) = coordinator.endpoints
        async with await Client.connect(endpoint) as lost:
            await lost.send(join(new_tag()))
            await lost.receive(Welcome)
            store.broken = True
            await lost.send(Settled())
            assert await lost.ended()
        await until(lambda: coordinator.connections == 0)
        assert "connection.crashed" in caplog.text
        store.broken = False
        await until(lambda: len(store) == 0)
        tag = new_tag()
        async with await Client.connect(endpoint) as a, await Client.connect(endpoint) as b:
            for client in (a, b):
                await client.send(join(tag))
                await client.receive(Welcome)
            for client in (a, b):
                await client.receive(Introduce)


async def test_a_store_that_is_away_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """Everybody who asks meanwhile is lost, and one line says so."""
    store = FailingStore()
    store.broken = True
    notes = Notes()
    async with Coordinator(LOOPBACK, store=store, metrics=notes) as coordinator:
        (endpoint,) = coordinator.endpoints
        for _ in range(3):
            async with await Client.connect(endpoint) as client:
                await client.send(join(new_tag()))
                assert await client.ended()
    assert caplog.text.count("connection.crashed") == 1


async def test_a_store_that_fails_at_a_deadline(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was due then is done when the store is back, and a stop has its end."""
    monkeypatch.setattr(_rooms, "STORE_RETRY", 0.1)
    store = FailingStore()
    limits = CoordinatorLimits(family_wait=0.1, drain=0.2)
    listen = [LOOPBACK, "[::1]:0"]
    async with Coordinator(listen, limits=limits, store=store) as coordinator:
        tag = new_tag()
        ipv4, ipv6 = coordinator.endpoints
        async with await Client.connect(ipv4) as a, await Client.connect(ipv6) as b:
            for client in (a, b):
                await client.send(join(tag, families=(Family.IPV4, Family.IPV6)))
                await client.receive(Welcome)
            store.broken = True
            await until(lambda: "the store is away" in caplog.text)
            await anyio.sleep(0.3)  # and once more
            assert caplog.text.count("store.failed") == 1
            store.broken = False
            await a.receive(Introduce)
            await b.receive(Introduce)
            store.broken = True
            with anyio.fail_after(limits.drain + _session.FAREWELL + 1):
                await coordinator.drain()
            assert coordinator.connections == 0


# -- beginning and end -----------------------------------------------------------------------------


async def test_a_clean_stop() -> None:
    """Who waits is dismissed, who comes is rejected, who meets may end; then all is closed."""
    notes = Notes()
    async with Coordinator(LOOPBACK, metrics=notes) as coordinator:
        (endpoint,) = coordinator.endpoints
        tag = new_tag()
        async with (
            await Client.connect(endpoint) as waiting,
            await Client.connect(endpoint) as a,
            await Client.connect(endpoint) as b,
            await Client.connect(endpoint) as late,
            anyio.create_task_group() as group,
        ):
            for client, room in ((waiting, new_tag()), (a, tag), (b, tag)):
                await client.send(join(room))
                await client.receive(Welcome)
            to_a, to_b = await a.receive(Introduce), await b.receive(Introduce)
            group.start_soon(coordinator.drain)
            await waiting.receive(Bye)
            assert await waiting.ended()
            await late.send(join(new_tag()))
            assert (await late.receive(Reject)).code is Code.SHUTTING_DOWN
            await a.send(Result(round=to_a.round, outcome=Outcome.OK, elapsed=0.1))
            await b.send(Result(round=to_b.round, outcome=Outcome.FAILED, elapsed=0.1))
            await b.receive(Bye)
            assert await a.ended()
        assert {
            "introduced",
            "reported ok",
            "reported failed",
            "dismissed shutting_down",
        } <= set(notes.told)


async def test_a_stop_does_not_wait_for_ever() -> None:
    """A meeting without an end is dismissed when the time for it is over."""
    notes, limits = Notes(), CoordinatorLimits(drain=0.2)
    async with Coordinator(LOOPBACK, limits=limits, metrics=notes) as coordinator:
        (endpoint,) = coordinator.endpoints
        tag = new_tag()
        async with (
            await Client.connect(endpoint) as a,
            await Client.connect(endpoint) as b,
            await Client.connect(endpoint),  # has not said a word
        ):
            for client in (a, b):
                await client.send(join(tag))
                await client.receive(Welcome)
            with anyio.fail_after(limits.drain + 1):
                await coordinator.drain()
            assert coordinator.connections == 0
            assert notes.told.count("hit drain") == 2
            for client in (a, b):
                await client.receive(Introduce)
                await client.receive(Bye)


async def test_cancelled_with_members() -> None:
    """Cancellation closes everything at once, whoever is still there."""
    with no_socket_left():
        clients = []
        with anyio.CancelScope() as scope:
            async with Coordinator(LOOPBACK, health_listen=LOOPBACK) as coordinator:
                for _ in range(3):
                    client = await Client.connect(coordinator.endpoints[0])
                    clients.append(client)
                    await client.send(join(new_tag()))
                    await client.receive(Welcome)
                scope.cancel()
                await anyio.sleep_forever()
        for client in clients:
            async with client:
                assert await client.ended()
        assert scope.cancelled_caught


@pytest.mark.parametrize("error", [KeyError("mine"), ExceptionGroup("mine", [KeyError("mine")])])
@pytest.mark.parametrize("cancelled", [False, True])
async def test_an_error_in_the_block_comes_out_as_it_is(
    error: Exception, *, cancelled: bool
) -> None:
    """Not in a group because tasks have run beside it, nor where it is raised while cancelled."""
    caught: BaseException | None = None
    with no_socket_left(), anyio.CancelScope() as scope:
        try:
            async with Coordinator(LOOPBACK) as coordinator:
                async with await Client.connect(coordinator.endpoints[0]) as client:
                    await client.send(join(new_tag()))
                    await client.receive(Welcome)
                if cancelled:
                    scope.cancel()
                raise error  # noqa: TRY301 - it has to leave the block
        except Exception as what:  # noqa: BLE001 - whatever it is
            caught = what
    assert caught is error


@pytest.mark.parametrize("error", [None, KeyError("mine")])
async def test_an_error_of_the_coordinators_own_comes_out(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the block, and is not lost beside the block's own."""
    lost = OSError(errno.EBADF, "the listener is lost")

    async def lose_the_listener(*_: object) -> None:
        await anyio.sleep(0.01)
        raise lost

    async def wait() -> None:
        async with Coordinator(LOOPBACK, probe_listen=None):
            try:
                await anyio.sleep_forever()
            finally:
                if error is not None:
                    raise error

    monkeypatch.setattr(_server, "accept_forever", lose_the_listener)
    with no_socket_left(), pytest.raises(ExceptionGroup) as caught:
        await wait()
    assert set(caught.value.exceptions) == {lost, error} - {None}


async def test_a_taken_port() -> None:
    """The error names it, and nothing of the coordinator is left."""
    with socket.create_server(("127.0.0.1", 0)) as other, no_socket_left():
        taken = Endpoint("127.0.0.1", other.getsockname()[1])
        with pytest.raises(LocalBindError, match=str(taken)):
            async with Coordinator([LOOPBACK, taken]):
                pytest.fail("it started")


async def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    """A coordinator does not start with it, and leaves nothing."""
    nothing = CertificateFiles(tmp_path / "none.pem")
    with no_socket_left(), pytest.raises(UsageError, match=r"none\.pem"):
        async with Coordinator(LOOPBACK, certificate=nothing):
            pytest.fail("it started")


async def test_starting_twice() -> None:
    """One object is one coordinator."""
    async with Coordinator(LOOPBACK) as coordinator:
        with pytest.raises(RuntimeError, match="once"):
            await coordinator.__aenter__()


async def test_not_started() -> None:
    """What needs a running coordinator says so."""
    with pytest.raises(RuntimeError, match="not been started"):
        await Coordinator(LOOPBACK).drain()


async def test_where_it_listens() -> None:
    """The second port is the next one, any free one, as asked for, or none."""
    endpoint = Endpoint("127.0.0.1", free_port())
    async with Coordinator(LOOPBACK, probe_listen=None) as coordinator:
        assert coordinator.probe_endpoints == ()
    async with Coordinator(endpoint) as coordinator:
        assert coordinator.endpoints == (endpoint,)
        assert coordinator.probe_endpoints == (Endpoint("127.0.0.1", endpoint.port + 1),)
    async with Coordinator(endpoint, probe_listen="127.0.0.2:0") as coordinator:
        assert coordinator.probe_endpoints[0].host == "127.0.0.2"


async def test_a_name_with_two_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes go to the next port of each of them, and of no other listener's."""
    resolve = _listener._resolve

    async def resolve_both(asked: Endpoint) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
        hosts = ("127.0.0.1", "127.0.0.2") if asked.host == "both.example" else (asked.host,)
        found = [await resolve(Endpoint(host, asked.port)) for host in hosts]
        return [each for answers in found for each in answers]

    monkeypatch.setattr(_listener, "_resolve", resolve_both)
    port = free_port()
    async with Coordinator([Endpoint("both.example", port), "127.0.0.3:0"]) as coordinator:
        *both, other = coordinator.probe_endpoints
        assert both == [Endpoint("127.0.0.1", port + 1), Endpoint("127.0.0.2", port + 1)]
        assert other.host == "127.0.0.3"


async def test_no_next_port() -> None:
    """The last port has no next one for probes: it is wrong use, unless probes go elsewhere."""
    last = Endpoint("127.0.0.1", 65_535)
    with no_socket_left(), pytest.raises(UsageError, match="no next port"):
        async with Coordinator(last):
            pytest.fail("it started")
    for elsewhere in (None, LOOPBACK):
        async with Coordinator(last, probe_listen=elsewhere) as coordinator:
            assert coordinator.endpoints == (last,)


async def test_as_many_ports_for_probes_as_a_welcome_has_room_for() -> None:
    """One more is wrong use: every client would take the welcome for malformed."""
    with no_socket_left(), pytest.raises(UsageError, match="4 ports for probes"):
        async with Coordinator([LOOPBACK] * 5):
            pytest.fail("it started")
    async with Coordinator([LOOPBACK] * 5, probe_listen=[LOOPBACK] * 4) as coordinator:
        (endpoint, *_) = coordinator.endpoints
        async with await Client.connect(endpoint) as client:
            await client.send(join(new_tag()))
            assert len((await client.receive(Welcome)).probe) == 4


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
async def test_a_connection_that_is_over_leaves_no_garbage(*, tls: bool, tmp_path: Path) -> None:
    """What it was made of is gone at once: the command has the collector look very seldom."""
    files = write_certificate(tmp_path) if tls else None
    certificate = None if files is None else CertificateFiles(*files)
    trust = None if files is None else client_context(files)
    parts = (Session, ServerConnection, Outbox, Transport)
    gc.collect()
    gc.disable()
    try:
        async with Coordinator(LOOPBACK, certificate=certificate) as coordinator:
            (endpoint,) = coordinator.endpoints
            tag = new_tag()
            async with (
                await Client.connect(endpoint, tls=trust) as one,
                await Client.connect(endpoint, tls=trust) as two,
            ):
                for each in (one, two):
                    await each.send(join(tag))
                    await each.receive(Welcome)
                assert any(isinstance(each, parts) for each in gc.get_objects())
                for each in (one, two):
                    met = await each.receive(Introduce)
                    await each.send(Result(round=met.round, outcome=Outcome.OK, elapsed=0.1))
            await until(lambda: not coordinator.connections)
            await until(lambda: not any(isinstance(each, parts) for each in gc.get_objects()))
    finally:
        gc.enable()

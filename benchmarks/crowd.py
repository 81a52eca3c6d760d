"""One driver of a load: a process that is many clients, of a coordinator or of a bare echo server.

It does one thing with all its clients and then the next, with blocking sockets and no loop, so
that it is cheap beside the server it drives. The same calls go to both kinds of server, and bytes
of the same length; only what is expected to come back differs (:data:`ANSWERS`), and every message
that does come is decoded and looked at. ``python -m benchmarks.crowd``

Waiting clients join rooms of their own. A partner then comes for one of them: it connects
(``arrive``), joins (``ask``), hears that it is welcome and who waits (``hear``; so does the one who
waited), says that it has met its peer and hangs up (``leave``). An echo server is sent the same
join, which comes back, and no word at the end.
"""

from __future__ import annotations

import itertools
import secrets
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any

import anyio

from benchmarks.common import LOOPS
from benchmarks.servers import HOST
from benchmarks.workers import Answer, serve
from simopen.rendezvous._files import allow_connections
from simopen.rendezvous.protocol import (
    CLIENT_MESSAGES,
    COORDINATOR_MESSAGES,
    FrameReader,
    Introduce,
    Join,
    Message,
    Outcome,
    Ping,
    Pong,
    Result,
    Welcome,
    encode_frame,
)

OFFER_BYTES = 32 + 2048 + 16
MOST = 19_000  # connections of one driver
PATIENCE = 30.0  # seconds for one answer
PING_INTERVAL = 20.0  # seconds; a coordinator hangs up after 50 without one
SOURCES = 4  # addresses of loopback that a driver comes from
RECEIVE = 65536
IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h: the port is chosen with the remote in view


@dataclass(frozen=True)
class Answers:
    """What a kind of server says.

    Attributes:
        decoder: Knows its messages.
        waiting: To a join, where nobody waits.
        partner: To a join, where somebody does.
        waited: To that one.
        ping: To a ping.
    """

    decoder: Any
    waiting: tuple[type, ...]
    partner: tuple[type, ...]
    waited: tuple[type, ...]
    ping: tuple[type, ...]


ANSWERS = {
    "coordinator": Answers(
        COORDINATOR_MESSAGES, (Welcome,), (Welcome, Introduce), (Introduce,), (Pong,)
    ),
    "echo": Answers(CLIENT_MESSAGES, (Join,), (Join,), (), (Ping,)),
}


class Client:
    """One connection.

    Attributes:
        join: What it asks for, or has asked for.
    """

    __slots__ = ("_reader", "_sock", "join")

    def __init__(self, sock: socket.socket, tag: bytes, decoder: Any) -> None:  # noqa: ANN401
        self._sock = sock
        self._reader: FrameReader[Message] = FrameReader(decoder)
        seat, offer = secrets.token_bytes(16), secrets.token_bytes(OFFER_BYTES)
        self.join = Join(tag=tag, seat=seat, offer=offer, round=1)

    def say(self, message: Message) -> None:
        """Send a message."""
        self._sock.sendall(encode_frame(message))

    def hear(self, kinds: tuple[type, ...]) -> list[Any]:
        """Receive messages, which must be of these kinds, and no more.

        Raises:
            ValueError: Others came.
        """
        heard: list[Message] = []
        while len(heard) < len(kinds):
            data = self._sock.recv(RECEIVE)
            heard += self._reader.feed(data)
            if not data:
                break
        if tuple(map(type, heard)) != kinds:
            raise ValueError(f"expected {kinds}, heard {heard}")
        return heard

    def close(self) -> None:
        """Hang up."""
        self._sock.close()


class Crowd:
    """All clients of one driver."""

    def __init__(self) -> None:
        self._waiting: list[Client] = []
        self._partners: list[tuple[Client, Client]] = []  # each with the one who waits for it
        self._met = 0  # of those who wait, how many have had their partners
        self._pinged_at = 0.0

    async def begin(self, kind: str, driver: int, port: int, certificate: str | None) -> Answer:
        """Say which server is driven.

        Args:
            kind: One of :data:`ANSWERS`.
            driver: Which one this is.
            port: The server's.
            certificate: The one to trust, for TLS.
        """
        self._answers = ANSWERS[kind]
        self._echoes = kind == "echo"
        self._port = port
        self._sources = itertools.cycle(f"127.0.{driver + 1}.{n + 1}" for n in range(SOURCES))
        self._tls = None
        if certificate is not None:
            self._tls = ssl.create_default_context(cafile=certificate)
        self._pinged_at = time.monotonic()
        return {}

    async def gather(self, count: int) -> Answer:
        """Bring so many more who wait."""
        for _ in range(count):
            client = self._connect(secrets.token_bytes(32))
            self._waiting.append(client)
            client.say(client.join)
            client.hear(self._answers.waiting)
        return {"join_bytes": len(encode_frame(self._waiting[-1].join))}

    async def arrive(self, count: int) -> Answer:
        """Connect the next partners."""
        for waiting in self._waiting[self._met : self._met + count]:
            self._partners.append((self._connect(waiting.join.tag), waiting))
        self._met += len(self._partners)
        return {"partners": len(self._partners)}

    async def ask(self) -> Answer:
        """Have them all join."""
        for partner, _ in self._partners:
            partner.say(partner.join)
        return {}

    async def hear(self) -> Answer:
        """Wait until all are introduced; looks whether it is to each other."""
        for partner, waiting in self._partners:
            told = partner.hear(self._answers.partner)[-1], *waiting.hear(self._answers.waited)
            expected = [partner.join] if self._echoes else [waiting.join, partner.join]
            if [each.offer for each in told] != [each.offer for each in expected]:
                raise ValueError("somebody was told another's offer")
        return {}

    async def leave(self) -> Answer:
        """Say that they have met, and hang up."""
        for partner, _ in self._partners:
            if not self._echoes:
                partner.say(Result(round=1, outcome=Outcome.OK, elapsed=0.1))
            partner.close()
        self._partners.clear()
        return {}

    async def rush(self, count: int) -> Answer:
        """All of that, for so many, without waiting for anybody else."""
        answer = await self.arrive(count)
        await self.ask()
        await self.hear()
        await self.leave()
        return answer

    async def beat(self) -> Answer:
        """Ping for all who wait, if it is time to."""
        if time.monotonic() > self._pinged_at + PING_INTERVAL:
            await self.idle(0.0)
        return {}

    async def idle(self, seconds: float) -> Answer:
        """Wait so long, and ping once for each who waits, evenly."""
        began = self._pinged_at = time.monotonic()
        for number, client in enumerate(self._waiting):
            time.sleep(max(0.0, began + seconds * number / len(self._waiting) - time.monotonic()))  # noqa: ASYNC251
            client.say(Ping(number=1))
            client.hear(self._answers.ping)
        return {}

    async def scatter(self) -> Answer:
        """Hang up for all who wait; who has met says so first, or its seat would rest a while."""
        for number, client in enumerate(self._waiting):
            if number < self._met and not self._echoes:
                client.say(Result(round=1, outcome=Outcome.OK, elapsed=0.1))
            client.close()
        self._waiting.clear()
        self._met = 0
        return {}

    def _connect(self, tag: bytes) -> Client:
        sock = socket.socket()
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((next(self._sources), 0))
        sock.connect((HOST, self._port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            sock = self._tls.wrap_socket(sock, server_hostname=HOST)
        return Client(sock, tag, self._answers.decoder)


def main() -> None:
    """Be a driver."""
    allow_connections(MOST)
    crowd = Crowd()
    handlers = (
        crowd.begin, crowd.gather, crowd.arrive, crowd.ask, crowd.hear, crowd.leave, crowd.rush,
        crowd.beat, crowd.idle, crowd.scatter,
    )  # fmt: skip
    anyio.run(serve, *handlers, **LOOPS["asyncio"])


if __name__ == "__main__":
    main()

"""py-libp2p (0.8.1): DCUtR's hole punch, ``DCUtRProtocol._perform_hole_punch``.

This is what its DCUtR does once the relay has carried the addresses and the SYNC: three rounds of
5 s with 2 s between, each dials every address from the port that it also listens on, and upgrades
to Noise and Yamux; one side is told to be the responder. A connection counts from the moment the
swarm says that it is there, not from when the punch's own look every 0.2 s finds it: then it is
encrypted, and a stream can be opened, which the proof does.

Given: the peer's identity and its endpoint as seen from outside, and its agreed moment, which it
takes from half a round trip through the relay: here the later start, by a clock that both share.
Settings: the defaults of ``new_host``, TCP; the sides take turns in being the responder. Spared:
the relay, identify, the exchange of addresses. Not given: the plain dial that DCUtR tries before it
punches; the line through the relay (`libp2p_relay`) has it.
"""

from __future__ import annotations

import time
from typing import Any

import trio
from libp2p import new_host
from libp2p.abc import INotifee
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.peer.id import ID
from libp2p.relay.circuit_v2.dcutr import DCUtRProtocol
from multiaddr import Multiaddr

from benchmarks.rivals.agent import LINGER, Answer, Trial, serve

PROTOCOL = "/simopen/proof/1"
PROOF_TIMEOUT = 5.0  # seconds


class Meeting(INotifee):  # type: ignore[misc]  # not installed where types are checked
    """One side's host, and what comes of it: the swarm tells it of connections."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.answer = Answer(trial.together)
        self.met = trio.Event()
        self.proven = trio.Event()
        self.peer: ID | None = None
        self.direct: list[Any] = []
        self.here = Multiaddr(f"/ip4/{trial.ip}/tcp/{trial.ports[0]}")
        self.host = new_host(key_pair=create_new_key_pair())
        self.host.get_network().register_notifee(self)
        self.host.set_stream_handler(PROTOCOL, self.prove)

    async def run(self) -> Answer:
        """Listen, punch, prove."""
        trial = self.trial
        ((seen, port),) = trial.look_up()
        async with self.host.run(listen_addrs=[self.here]), trio.open_nursery() as nursery:
            ours = {"peer": str(self.host.get_id()), "address": f"/ip4/{seen}/tcp/{port}"}
            theirs = trial.swap(ours)
            self.peer = ID.from_string(theirs["peer"])
            await trio.sleep(trial.together - time.monotonic())
            self.answer.began = time.monotonic()
            nursery.start_soon(self.punch, Multiaddr(theirs["address"]))
            await self.end()
            nursery.cancel_scope.cancel()
        return self.answer

    async def punch(self, address: Multiaddr) -> None:
        """Punch until it has given up, and say so."""
        punch = DCUtRProtocol(self.host)._perform_hole_punch  # noqa: SLF001  # the engine itself
        if not await punch(self.peer, [address], as_responder=self.trial.first):
            self.answer.words = "the hole punch gave up"
            self.met.set()

    async def end(self) -> None:
        """Wait for the connection, and prove it with a stream that one side opens."""
        self.answer.words = f"no connection within {self.trial.limit:g} s"
        with trio.move_on_after(self.trial.limit):
            await self.met.wait()
        if self.answer.usable is None:
            return
        self.answer.words = ""
        with trio.move_on_after(PROOF_TIMEOUT):
            if not self.trial.first:
                await self.prove(await self.host.new_stream(self.peer, [PROTOCOL]))
            await self.proven.wait()
            await trio.sleep(LINGER)

    async def prove(self, stream: Any) -> None:  # noqa: ANN401  # not installed where types are
        """Exchange proofs over a stream, which counts if it is not relayed."""
        await stream.write(self.trial.proof(ours=True))
        got = await stream.read(8)
        direct = stream.muxed_conn in self.direct
        self.answer.proven = direct and got == self.trial.proof(ours=False)
        self.proven.set()

    async def connected(self, _: object, conn: Any) -> None:  # noqa: ANN401  # as above
        """Note the moment of the first connection to the peer that is not relayed."""
        relayed = any("/p2p-circuit" in str(each) for each in conn.get_transport_addresses())
        if relayed or conn.muxed_conn.peer_id != self.peer:
            return
        self.direct.append(conn.muxed_conn)
        if self.answer.usable is None:
            self.answer.usable = self.answer.encrypted = time.monotonic()
            self.met.set()

    async def disconnected(self, *_: object) -> None:
        """Nothing."""

    async def opened_stream(self, *_: object) -> None:
        """Nothing."""

    async def closed_stream(self, *_: object) -> None:
        """Nothing."""

    async def listen(self, *_: object) -> None:
        """Nothing."""

    async def listen_close(self, *_: object) -> None:
        """Nothing."""


def run(trial: Trial) -> Answer:
    """One trial on a loop of its own."""
    return trio.run(Meeting(trial).run)


if __name__ == "__main__":
    serve(run, "libp2p")

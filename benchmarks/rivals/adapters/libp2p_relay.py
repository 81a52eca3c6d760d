"""py-libp2p (0.8.1) through a relay: circuit v2, then ``DCUtRProtocol.initiate_hole_punch``.

A relay of its own runs on the third host (this file with ``--relay``). The listener has reserved a
slot there before the start; then the dialer dials it through the relay and starts DCUtR, and both
wait for the first connection that is not relayed. What goes through the relay alone has failed.

Given: the relay's address and identity, the listener's identity. Settings: the defaults of
``new_host``, TCP; as the package's own ``examples/nat``, without that example's pauses. Spared: the
connections to the relay, identify there, the reservation. All else is in the time. One side, by
turns, is the dialer.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.relay.circuit_v2.config import RelayConfig, RelayRole
from libp2p.relay.circuit_v2.dcutr import DCUtRProtocol
from libp2p.relay.circuit_v2.protocol import PROTOCOL_ID, STOP_PROTOCOL_ID, CircuitV2Protocol
from libp2p.relay.circuit_v2.resources import RelayLimits
from libp2p.relay.circuit_v2.transport import CircuitV2Transport
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from benchmarks.rivals.adapters.libp2p import Meeting
from benchmarks.rivals.agent import Answer, Trial, serve
from benchmarks.rivals.catalogue import RELAY

LIMITS = RelayLimits(duration=3600, data=1 << 27, max_circuit_conns=100, max_reservations=1000)
ROLES = RelayRole.STOP | RelayRole.CLIENT
KEY = create_new_key_pair(bytes(range(32)))  # the relay's; the lab keeps no secrets
RELAY_ID = ID.from_pubkey(KEY.public_key)


def serve_relayed(host: Any, protocol: CircuitV2Protocol) -> None:  # noqa: ANN401  # no types here
    """Answer the relay's protocols, as the package's example does it."""
    host.set_stream_handler(PROTOCOL_ID, protocol._handle_hop_stream)  # noqa: SLF001
    host.set_stream_handler(STOP_PROTOCOL_ID, protocol._handle_stop_stream)  # noqa: SLF001


async def relay() -> None:
    """Be the relay."""
    host = new_host(key_pair=KEY)
    protocol = CircuitV2Protocol(host, limits=LIMITS, allow_hop=True)
    async with host.run(listen_addrs=[Multiaddr(f"/ip4/0.0.0.0/tcp/{RELAY}")]):
        serve_relayed(host, protocol)
        async with background_trio_service(protocol):
            CircuitV2Transport(host, protocol, RelayConfig(roles=RelayRole.HOP, limits=LIMITS))
            print("ready", flush=True)
            await trio.sleep_forever()


class RelayedMeeting(Meeting):
    """One side's host with a relay's client."""

    async def run(self) -> Answer:
        """Listen, go to the relay, meet there, punch, prove."""
        host = self.host
        protocol = CircuitV2Protocol(host, limits=LIMITS, allow_hop=False)
        transport = CircuitV2Transport(host, protocol, RelayConfig(roles=ROLES, limits=LIMITS))
        punch = DCUtRProtocol(host)
        async with host.run(listen_addrs=[self.here]), trio.open_nursery() as nursery:
            serve_relayed(host, protocol)
            async with background_trio_service(protocol), background_trio_service(punch):
                await self.meet(transport, punch, nursery)
                nursery.cancel_scope.cancel()
        return self.answer

    async def meet(
        self, transport: CircuitV2Transport, punch: DCUtRProtocol, nursery: trio.Nursery
    ) -> None:
        """Be ready at the relay, begin, and see what comes of it."""
        trial, host = self.trial, self.host
        there = f"/ip4/{trial.third}/tcp/{RELAY}/p2p/{RELAY_ID}"
        await host.connect(info_from_p2p_addr(Multiaddr(there)))
        if not trial.first:
            slot = await host.new_stream(RELAY_ID, [PROTOCOL_ID])
            await transport.reserve(slot, RELAY_ID, nursery)
        self.peer = ID.from_string(trial.swap({"peer": str(host.get_id())})["peer"])
        await trio.sleep(trial.at - time.monotonic())
        self.answer.began = time.monotonic()
        if trial.first:
            await transport.dial(Multiaddr(f"{there}/p2p-circuit/p2p/{self.peer}"))
            nursery.start_soon(punch.initiate_hole_punch, self.peer)
        await self.end()


def run(trial: Trial) -> Answer:
    """One trial on a loop of its own."""
    return trio.run(RelayedMeeting(trial).run)


if __name__ == "__main__":
    if "--relay" in sys.argv:
        trio.run(relay)
    else:
        serve(run, "libp2p")

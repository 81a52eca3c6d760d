"""aiortc (1.16.0): a WebRTC data channel over UDP, by its objects in the manner of ORTC.

ICE, then DTLS, then SCTP, then a channel that both sides have agreed on beforehand (which saves the
message that opens one). It is *usable* when the channel is open, and encrypted at the same time:
before that there is nothing that the caller could send on. The objects rather than
``RTCPeerConnection`` because with them both sides can begin at a moment of ours.

Given: the peer's candidates, ICE parameters and certificate's fingerprints, a STUN server, roles.
Settings: the defaults, and IPv4, as all others here: its IPv6 candidates are not told to the peer.
Spared: signalling, gathering, and the making of the certificate. Not given: a TURN server, which
would relay and not connect.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict

from aiortc import (
    RTCCertificate,
    RTCDataChannel,
    RTCDataChannelParameters,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    RTCIceCandidate,
    RTCIceGatherer,
    RTCIceParameters,
    RTCIceServer,
    RTCIceTransport,
    RTCSctpTransport,
)

from benchmarks.rivals.agent import LINGER, Answer, Trial, serve


class Peer:
    """One end of the data channel."""

    def __init__(self, trial: Trial) -> None:
        stun = RTCIceServer(f"stun:{trial.third}:{trial.observer}")
        self.gatherer = RTCIceGatherer(iceServers=[stun])
        self.ice = RTCIceTransport(self.gatherer)
        self.ice._connection.ice_controlling = trial.first  # noqa: SLF001  # it has no door to this
        self.dtls = RTCDtlsTransport(self.ice, [RTCCertificate.generateCertificate()])
        self.sctp = RTCSctpTransport(self.dtls)
        agreed = RTCDataChannelParameters(label="proof", negotiated=True, id=1)
        self.channel = RTCDataChannel(self.sctp, agreed)
        self.opened = asyncio.Event()
        self.got: asyncio.Queue[bytes] = asyncio.Queue()
        self.channel.on("open", self.opened.set)
        self.channel.on("message", self.got.put_nowait)

    async def introduce(self, trial: Trial) -> RTCDtlsParameters:
        """Gather, and exchange all that signalling carries; the peer's certificate."""
        await self.gatherer.gather()
        theirs = trial.swap(
            {
                "candidates": [
                    asdict(each)
                    for each in self.gatherer.getLocalCandidates()
                    if ":" not in each.ip  # the gatherer cannot be told to leave IPv6 out
                ],
                "ice": asdict(self.gatherer.getLocalParameters()),
                "dtls": asdict(self.dtls.getLocalParameters()),
            }
        )
        for each in theirs["candidates"]:
            await self.ice.addRemoteCandidate(RTCIceCandidate(**each))
        await self.ice.addRemoteCandidate(None)
        self.parameters = RTCIceParameters(**theirs["ice"])
        prints = [RTCDtlsFingerprint(**each) for each in theirs["dtls"]["fingerprints"]]
        return RTCDtlsParameters(fingerprints=prints)

    async def connect(self, certificate: RTCDtlsParameters) -> None:
        """Bring up one layer after the other, until the channel is open."""
        await self.ice.start(self.parameters)
        if self.ice.state == "failed":
            raise ConnectionError("ICE failed")
        await self.dtls.start(certificate)
        if self.dtls.state == "failed":
            raise ConnectionError("DTLS failed")
        await self.sctp.start(RTCSctpTransport.getCapabilities(), self.sctp.port)
        await self.opened.wait()

    async def close(self) -> None:
        """Bring all of it down."""
        await self.sctp.stop()
        if self.dtls.state in ("connecting", "connected"):
            await self.dtls.stop()
        await self.ice.stop()


async def connect(trial: Trial) -> Answer:
    """Connect and prove."""
    peer = Peer(trial)
    certificate = await peer.introduce(trial)
    await asyncio.sleep(trial.at - time.monotonic())
    answer = Answer(time.monotonic())
    try:
        await asyncio.wait_for(peer.connect(certificate), trial.limit)
        answer.usable = answer.encrypted = time.monotonic()
        peer.channel.send(trial.proof(ours=True))
        got = await asyncio.wait_for(peer.got.get(), trial.limit)
        answer.proven = got == trial.proof(ours=False)
        await asyncio.sleep(LINGER)
    except (OSError, TimeoutError) as error:
        return answer.failed(error)
    finally:
        await peer.close()
    return answer


def run(trial: Trial) -> Answer:
    """One trial on a loop of its own."""
    return asyncio.run(connect(trial))


if __name__ == "__main__":
    serve(run, "aiortc", "aioice")

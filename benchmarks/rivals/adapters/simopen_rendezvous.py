"""simopen through its coordinator: ``simopen.connect_peer(rendezvous=..., secret=...)``.

Given: the coordinator's address and an invite. Settings: the defaults, on asyncio, IPv4. Nothing is
spared: the time has the join, the look-up of the endpoints, the introduction, the punch, the key
exchange and the proof in it; the stream is encrypted as soon as it is there.
"""

from __future__ import annotations

import time

import anyio

import simopen
from benchmarks.rivals.agent import LINGER, Answer, Trial, serve
from benchmarks.rivals.catalogue import COORDINATOR


async def connect(trial: Trial) -> Answer:
    """Meet and prove."""
    ours = simopen.Invite.new("rivals").reveal()
    theirs = trial.swap({"invite": ours})["invite"]
    await anyio.sleep(trial.at - time.monotonic())
    answer = Answer(time.monotonic())
    try:
        stream = await simopen.connect_peer(
            rendezvous=f"tcp://{trial.third}:{COORDINATOR}",
            secret=ours if trial.first else theirs,
            local=(trial.ip, 0),
            timeout=trial.limit,
        )
        answer.usable = answer.encrypted = time.monotonic()
        async with stream:
            with anyio.fail_after(trial.limit):
                await stream.send(trial.proof(ours=True))
                answer.proven = await stream.receive() == trial.proof(ours=False)
                await anyio.sleep(LINGER)
    except (simopen.SimopenError, anyio.BrokenResourceError, OSError) as error:
        return answer.failed(error)
    return answer


def run(trial: Trial) -> Answer:
    """One trial on a loop of its own."""
    return anyio.run(connect, trial)


if __name__ == "__main__":
    serve(run, "simopen")

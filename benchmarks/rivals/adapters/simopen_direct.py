"""simopen with endpoints: ``simopen.connect_peer(remote, local=...)``, then ``secure_stream``.

Given: the peer's endpoint as seen from outside, and a secret. Settings: the defaults, on asyncio.
The plain stream is what is usable; encrypted and proven is what ``secure_stream`` makes of it. (One
call with ``secret=`` does both; it is taken apart here to have both times.)
"""

from __future__ import annotations

import time

import anyio

import simopen
from benchmarks.rivals.agent import LINGER, Answer, Trial, serve

SECRET = b"a secret of both, 32 bytes long."


async def connect(trial: Trial) -> Answer:
    """Connect, encrypt, prove."""
    ours = trial.look_up()
    ((host, port),) = trial.swap({"seen": ours})["seen"]
    await anyio.sleep(trial.at - time.monotonic())
    answer = Answer(time.monotonic())
    try:
        with anyio.fail_after(trial.limit + 1):
            stream = await simopen.connect_peer(
                (host, port), local=(trial.ip, trial.ports[0]), timeout=trial.limit
            )
            answer.usable = time.monotonic()
            secured = await simopen.secure_stream(stream, secret=SECRET)
            answer.encrypted = time.monotonic()
            async with secured:
                await secured.send(trial.proof(ours=True))
                answer.proven = await secured.receive() == trial.proof(ours=False)
                await anyio.sleep(LINGER)
    except (simopen.SimopenError, anyio.BrokenResourceError, OSError) as error:
        return answer.failed(error)
    return answer


def run(trial: Trial) -> Answer:
    """One trial on a loop of its own."""
    return anyio.run(connect, trial)


if __name__ == "__main__":
    serve(run, "simopen")

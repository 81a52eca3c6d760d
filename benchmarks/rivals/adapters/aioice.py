"""aioice (0.13.0, with aiortc 1.16.0): ICE over UDP, ``aioice.Connection``.

What one gets is a path for datagrams: no stream, no order, no repetition, no encryption. It is
*usable* when ``connect`` returns.

Given: the peer's candidates, user name and password, and a STUN server. Settings: IPv4, as all
others here; the rest are the defaults. Spared: signalling, and the gathering of candidates, which
is over before the start. Not given: a TURN server, which would relay and not connect.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from aioice import Candidate, Connection

from benchmarks.rivals.agent import LINGER, Answer, Trial, serve

REPEAT = 0.2  # seconds from one datagram with the proof to the next: none need arrive


async def connect(trial: Trial) -> Answer:
    """Gather, connect, prove."""
    stun = trial.third, trial.observer
    connection = Connection(ice_controlling=trial.first, stun_server=stun, use_ipv6=False)
    try:
        await connection.gather_candidates()
        theirs = trial.swap(
            {
                "candidates": [each.to_sdp() for each in connection.local_candidates],
                "username": connection.local_username,
                "password": connection.local_password,
            }
        )
        connection.remote_username = theirs["username"]
        connection.remote_password = theirs["password"]
        for each in theirs["candidates"]:
            await connection.add_remote_candidate(Candidate.from_sdp(each))
        await connection.add_remote_candidate(None)
        return await asyncio.wait_for(meet(trial, connection), trial.limit + 1)
    finally:
        await connection.close()


async def meet(trial: Trial, connection: Connection) -> Answer:
    """Connect and prove."""
    await asyncio.sleep(trial.at - time.monotonic())
    answer = Answer(time.monotonic())
    try:
        await asyncio.wait_for(connection.connect(), trial.limit)
        answer.usable = time.monotonic()
        await asyncio.wait_for(prove(trial, connection, answer), trial.limit)
    except (OSError, TimeoutError) as error:
        return answer.failed(error)
    return answer


async def prove(trial: Trial, connection: Connection, answer: Answer) -> None:
    """Send the proof until the peer's has come, and once more."""
    while not answer.proven:
        await connection.send(trial.proof(ours=True))
        with contextlib.suppress(TimeoutError):
            got = await asyncio.wait_for(connection.recv(), REPEAT)
            answer.proven = got == trial.proof(ours=False)
    await connection.send(trial.proof(ours=True))
    await asyncio.sleep(LINGER)


def run(trial: Trial) -> Answer:
    """One trial on a loop of its own."""
    return asyncio.run(connect(trial))


if __name__ == "__main__":
    serve(run, "aioice")

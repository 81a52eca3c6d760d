"""warpgate (4.0.14): its TCP punch engine, ``tcp_punch_engine.tcp_selector_punch_engine``.

As the package's own plugin does: a `PunchClient` with ``FAST_PUNCH_PARAMS``, 16 sockets
(``NUM_PORTS``), each side's ports and the other's known in pairs, the outside addresses to decide
who is master, ``run_engine`` in place of the process that bridges its socket over the loopback.

Given: the endpoints as seen from outside of all 16 of the peer's ports, which it would have
predicted or looked up by STUN; and its agreed moment, which it takes from a clock that is set by
NTP and an offset of 1 to 3 s for signalling: here the later start, by a clock that both share.
Spared: MQTT, NTP, STUN, names and servers of the public network, that offset, and the bridge.
Not given: encryption, which it has none of.
"""

from __future__ import annotations

import time

from warpgate.traversal.plugins.tcp_punch.boundary_lib import FAST_PUNCH_PARAMS, NUM_PORTS
from warpgate.traversal.plugins.tcp_punch.punch_client import PunchClient
from warpgate.traversal.plugins.tcp_punch.punch_defs import PortAlloc
from warpgate.traversal.plugins.tcp_punch.tcp_punch_engine import tcp_selector_punch_engine

from benchmarks.rivals.agent import Answer, Trial, serve


def run(trial: Trial) -> Answer:
    """Punch, once, as its plugin does."""
    ours = trial.look_up(NUM_PORTS)
    theirs = trial.swap({"seen": ours})["seen"]
    client = PunchClient(theirs[0][0], trial.ip, ours[0][0], params=FAST_PUNCH_PARAMS)
    ports = zip(trial.ports, theirs, strict=False)
    client.port_allocs = [PortAlloc(local, remote) for local, (_, remote) in ports]
    began: list[Answer] = []
    client.sleep_until = lambda: began.append(trial.wait(together=True))
    sock = client.run_engine(tcp_selector_punch_engine)
    held, answer = time.monotonic(), began[0]
    if sock is None:
        answer.words = "the engine gave no socket"
        return answer
    answer.usable = held
    return trial.prove(sock, answer)


if __name__ == "__main__":
    serve(run, "warpgate", "aionetiface")

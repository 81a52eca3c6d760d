"""The naive loop: bind, connect, and once more until it works. What most people write first.

Given: the peer's endpoint as seen from outside. Not given: signalling, encryption.
"""

from __future__ import annotations

import socket
import time

from benchmarks.rivals.agent import Answer, Trial, serve


def run(trial: Trial) -> Answer:
    """Connect, over and over."""
    ours = trial.look_up()
    ((host, port),) = trial.swap({"seen": ours})["seen"]
    answer = trial.wait()
    while (left := answer.began + trial.limit - time.monotonic()) > 0:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((trial.ip, trial.ports[0]))
        sock.settimeout(left)
        try:
            sock.connect((host, port))
        except OSError as error:
            answer.failed(error)
            sock.close()
            continue
        answer.usable = time.monotonic()
        answer.words = ""
        return trial.prove(sock, answer)
    return answer


if __name__ == "__main__":
    serve(run)

"""punchhole (0.0.2): its command, ``python -m punchhole.tcp``, and its T-STUN server.

The command is all that the package has: it asks the server, on a connection from the port that it
is going to punch from, for the endpoint of whoever brings the same key, connects there once, and
then copies between the connection and its standard streams. *Usable* is when it says "Connected!".

Given: the server's address and a key. Settings: IPv4; the rest has no settings. Spared: the start
of the interpreter; time runs from the command's first line. Nothing else is: the server's part is
in the time. Not given: encryption, which it has none of.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
import time

from benchmarks.rivals.agent import LINGER, Answer, Trial, serve
from benchmarks.rivals.catalogue import TSTUN


def run(trial: Trial) -> Answer:
    """Run the command until it has proven itself, failed or had its time."""
    trial.swap({})
    key = f"{trial.number}"
    command = [sys.executable, "-m", "punchhole.tcp", "-4", "-T", trial.third, "-P", str(TSTUN)]
    trial.wait()
    with subprocess.Popen(
        [*command, "-H", trial.ip, key],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            return watch(trial, process)
        finally:
            process.kill()


def watch(trial: Trial, process: subprocess.Popen[bytes]) -> Answer:
    """Read what it says and what comes through it."""
    assert process.stdin and process.stdout and process.stderr  # noqa: S101, PT018  # pipes
    answer = Answer(time.monotonic())
    said, got = b"", b""
    ends = time.monotonic() + trial.limit
    with selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map() and (left := ends - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                now, text = time.monotonic(), os.read(key.fd, 4096)
                if not text:
                    selector.unregister(key.fileobj)
                elif key.fileobj is process.stdout:
                    got += text
                else:
                    answer.began = answer.began if said else now
                    said += text
                    if b"Connected!" in text:
                        answer.usable = now
                        send(process, trial.proof(ours=True))
            if got == trial.proof(ours=False):
                answer.proven = True
                time.sleep(LINGER)
                return answer
        silent = bool(selector.get_map())
    last = said.decode(errors="replace").strip().rpartition("\n")[2]
    answer.words = f"killed after {trial.limit:g} s; last said: {last}" if silent else last
    return answer


def send(process: subprocess.Popen[bytes], proof: bytes) -> None:
    """Hand it what it is to send, if it still lives."""
    assert process.stdin  # noqa: S101  # a pipe, as asked for
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(proof)
        process.stdin.flush()


if __name__ == "__main__":
    serve(run, "punchhole")

"""What all adapters share: the runner's lines, the view from outside, the proof.

An adapter gives `serve` a function that runs one trial. The runner's order comes as a line of JSON
on standard input; the function says what the peer has to know (`Trial.swap`), hears the same of the
peer together with the moment to begin, and returns an `Answer`, which goes out as a line.

This runs on every rival's Python with the standard library alone, and imports nothing of ours.
"""

from __future__ import annotations

import functools
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, TextIO, TypeAlias

LOOK_UP_TIMEOUT = 5.0  # seconds
LINGER = 0.1  # seconds a stream is kept after its proof, so that nobody closes under the other

Endpoint: TypeAlias = tuple[str, int]


@dataclass
class Answer:
    """What came of a trial at one side. Moments are on the monotonic clock, in seconds.

    Attributes:
        began: When it began.
        usable: When it held what can be sent on; None: never.
        encrypted: When it held that encrypted; None: never, or it has no encryption.
        proven: Whether the peer's bytes came through.
        words: Why not, in the rival's own words.
    """

    began: float
    usable: float | None = None
    encrypted: float | None = None
    proven: bool = False
    words: str = ""

    def failed(self, error: BaseException) -> Answer:
        """The same with what an error says."""
        self.words = f"{type(error).__name__}: {error}".rstrip(": ")
        return self


@dataclass
class Trial:
    """One side of a trial, as ordered.

    Attributes:
        number: The same at both sides, and nowhere else in this network.
        first: Whether this is the first of the two sides, where roles have to differ; by turns.
        ip: This host's own address.
        ports: Local ports that nobody has used yet.
        third: Address of the third host.
        observer: Port of its observer, TCP and UDP.
        limit: Seconds it may take.
        at: When to begin; known after `swap`.
        together: When the later side begins; known after `swap`.
        looked_up: Connections to the observer, which keep the NAT's mappings.
    """

    number: int
    first: bool
    ip: str
    ports: list[int]
    third: str
    observer: int
    limit: float
    at: float = 0.0
    together: float = 0.0
    looked_up: list[socket.socket] = field(default_factory=list)

    def swap(self, ours: dict[str, Any]) -> dict[str, Any]:
        """Tell the peer what it has to know, and hear the same of it."""
        say({"ours": ours})
        heard = json.loads(sys.stdin.readline())
        self.at, self.together = heard["at"], heard["together"]
        theirs: dict[str, Any] = heard["theirs"]
        return theirs

    def look_up(self, count: int = 1) -> list[Endpoint]:
        """From which endpoints the first `count` of our ports are seen outside."""
        return [self._seen(port) for port in self.ports[:count]]

    def _seen(self, port: int) -> Endpoint:
        sock = socket.socket()
        self.looked_up.append(sock)
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        sock.settimeout(LOOK_UP_TIMEOUT)
        sock.bind((self.ip, port))
        sock.connect((self.third, self.observer))
        host, _, seen = sock.recv(64).decode().rpartition(":")
        return host, int(seen)

    def wait(self, *, together: bool = False) -> Answer:
        """Sleep until it begins; an answer with that moment in it."""
        time.sleep(max(0.0, (self.together if together else self.at) - time.monotonic()))
        return Answer(time.monotonic())

    def proof(self, *, ours: bool) -> bytes:
        """The eight bytes that one side sends."""
        return self.number.to_bytes(7, "big") + bytes([self.first == ours])

    def prove(self, sock: socket.socket, answer: Answer) -> Answer:
        """Exchange proofs over a connected socket."""
        with sock:
            try:
                sock.settimeout(self.limit)
                sock.sendall(self.proof(ours=True))
                got = b""
                while len(got) < len(self.proof(ours=False)):
                    if not (more := sock.recv(8 - len(got))):
                        break
                    got += more
                answer.proven = got == self.proof(ours=False)
                time.sleep(LINGER)
            except OSError as error:
                return answer.failed(error)
        return answer

    def close(self) -> None:
        """Forget what was looked up."""
        for sock in self.looked_up:
            sock.close()


def say(what: dict[str, Any]) -> None:
    """Write a line to the runner."""
    out = _way_out()
    out.write(json.dumps(what) + "\n")
    out.flush()


@functools.cache
def _way_out() -> TextIO:
    """A rival may print what it likes; the runner's lines go out by a way of their own."""
    return os.fdopen(os.dup(sys.stdout.fileno()), "w")


def serve(run: Callable[[Trial], Answer], *packages: str) -> None:
    """Be an adapter: run trials as they are ordered, until there are no more.

    Args:
        run: Runs one trial.
        packages: Of which the version is told.
    """
    from importlib.metadata import version  # noqa: PLC0415  # slow, and not for the trials

    _way_out()  # is kept from before standard output goes where errors go
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    say({"versions": {name: version(name) for name in packages}})
    while line := sys.stdin.readline():
        trial = Trial(**json.loads(line))
        try:
            answer = run(trial)
        except Exception as error:  # noqa: BLE001  # whatever a rival raises is its answer
            answer = Answer(time.monotonic()).failed(error)
        finally:
            trial.close()
        say(asdict(answer))

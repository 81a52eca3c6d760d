"""Two homes and a coordinator between them, and the examples as programs of people there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import simopen
from simopen import lab

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
PATIENCE = 40  # seconds for what takes about one: the machine may be busy
PORT = 7337


class Running:
    """A program whose output is read as it comes."""

    def __init__(self, command: list[str], folder: Path, *, terminal: bool) -> None:
        """Start it.

        Args:
            command: As for Popen.
            folder: Where it runs.
            terminal: Give it a terminal; otherwise pipes, error and output together.
        """
        ours, theirs = os.openpty() if terminal else os.pipe()
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=theirs if terminal else subprocess.PIPE,
            stdout=theirs,
            stderr=theirs,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        os.close(theirs)
        self._ours = ours
        self._terminal = terminal
        self._said = b""
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def said(self) -> str:
        """All it has said, lines ended as in text."""
        return self._said.decode(errors="replace").replace("\r\n", "\n")

    def until(self, pattern: str) -> re.Match[str]:
        """Wait until it has said something."""
        with self._news:
            self._news.wait_for(lambda: re.search(pattern, self.said), PATIENCE)
        found = re.search(pattern, self.said)
        assert found, f"{pattern!r} is not in {self.said!r}"
        return found

    def type(self, text: str) -> None:
        """Type something; what is no terminal takes it from a pipe."""
        pipe = self._ours if self._terminal else self._stdin()
        os.write(pipe, text.encode())

    def end(self) -> tuple[int, str]:
        """Wait for its end; return its exit code and all that it has said."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code, self.said

    def kill(self) -> None:
        """End it without letting it do anything more."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """Leave nothing of it."""
        self.kill()
        self._reader.join()
        os.close(self._ours)
        if self.process.stdin:
            self.process.stdin.close()

    def _stdin(self) -> int:
        assert self.process.stdin is not None
        return self.process.stdin.fileno()

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._ours, 65_536)
            except OSError:  # how a terminal ends
                chunk = b""
            with self._news:
                self._said += chunk
                self._news.notify_all()
            if not chunk:
                return


class Homes:
    """The hosts of a network, and a folder with an invite.

    Attributes:
        url: The coordinator's.
        folder: Where the programs run; ``tea.invite`` is there.
    """

    def __init__(self, net: lab.Network, folder: Path, stack: ExitStack) -> None:
        """Begin without programs; the stack ends those that come."""
        self.url = f"tcp://{net['server'].ipv4}:{PORT}"
        self.folder = folder
        self._net = net
        self._stack = stack
        (folder / "tea.invite").write_text(simopen.Invite.new("tea").reveal() + "\n")

    def start(self, host: str, *command: str, terminal: bool = False) -> Running:
        """Start a program of this Python in a host: a script's path or ``-m``, and arguments."""
        argv = self._net[host].command([sys.executable, *command])
        running = Running(argv, self.folder, terminal=terminal)
        self._stack.callback(running.close)
        return running

    def example(
        self, host: str, example: str, *arguments: str, role: str = "", terminal: bool = False
    ) -> Running:
        """Start an example as its header has it: a role, the URL, the invite's file, arguments."""
        words = [*([role] if role else []), self.url, "tea.invite", *arguments]
        return self.start(host, str(EXAMPLES / example), *words, terminal=terminal)

    def serve(self) -> Running:
        """Start the coordinator, and wait until it listens."""
        running = self.start(
            "server", "-m", "simopen", "coordinator", "--listen", f"0.0.0.0:{PORT}"
        )
        running.until("tcp://")
        return running

    def wait_for_port(self, host: str, port: int) -> None:
        """Wait until somebody listens on a port of a host."""
        end = time.monotonic() + PATIENCE
        while all(each.port != port for each in self._net[host].listeners()):
            assert time.monotonic() < end, f"nobody listens on {port} of {host}"
            time.sleep(0.05)


def header(example: str) -> str:
    """What an example says of itself."""
    return (EXAMPLES / example).read_text().split('"""')[1]


def shape(text: str) -> list[str]:
    """The lines of a text, in which it makes no difference which way and how fast it went."""
    text = re.sub(r"\S+ <-> \S+, (IPv4|IPv6|local network), [\d.]+ m?s", "ends", text)
    text = re.sub(r", of \d+ pairs|, \d+ refresh(es)?|, \d+ rounds", "", text)
    text = re.sub(r"(SYN|refusal)s?", r"\1", text)
    return [re.sub(r"\d+([.,:]\d+)*", "0", line).strip() for line in text.splitlines()]


def as_shown(example: str, said: str) -> bool:
    """Whether every line that was said is in the example's header."""
    return bool(said) and set(shape(said)) <= set(shape(header(example)))


def homes(net: lab.Network, folder: Path) -> Iterator[Homes]:
    """The hosts of a network with a coordinator that listens."""
    with ExitStack() as stack:
        found = Homes(net, folder, stack)
        found.serve()
        yield found

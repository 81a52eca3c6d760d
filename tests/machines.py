"""Machines on which a page is followed to the letter: a terminal, a disk and a home for each.

The commands of a page stand in blocks of `console`. What is before the `$` of a prompt says where
a command is typed: nothing, on any machine; a name, on the host of that name in a network of the
lab. What follows a command until the next prompt is what it shows. A file that a person is to
carry from one host to another is announced to us, where the text tells the reader:

    <!-- by hand: tea.invite from one to two -->

Every machine is a shell that somebody types into, on a terminal of its own. It begins with an
empty home, this machine's programs and nothing of ours. What is done on *any* machine is done
once, before the others are there: each host then starts as a copy of that machine, its disk
bound to the same path in a mount namespace of its own, with the shell's folder and environment.

The commands of a block are typed in order; one waits for those before it on its own machine, and
at the end of a block all have to be over, but for what the coordinator is told: that goes on, and
what it shows has to be there before anything else is typed.
"""

from __future__ import annotations

import base64
import fcntl
import os
import re
import shutil
import signal
import struct
import subprocess
import sysconfig
import termios
import threading
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from simopen import lab

SERVER = "coordinator"
PATIENCE = 100  # seconds for a command; the longest installs packages
ROWS, COLUMNS = 50, 200
PROMPT = re.compile(r"<(\d+)>\Z")  # the exit code of what was before
BLOCK = re.compile(
    r"^```console\n(?P<block>.*?)^```"
    r"|^<!-- by hand: (?P<file>\S+) from (?P<giver>\w+) to (?P<taker>\w+) -->",
    re.DOTALL | re.MULTILINE,
)
KEPT = ("PIP_", "SSL_", "REQUESTS_", "HTTP_", "HTTPS_", "NO_PROXY", "ALL_PROXY")
SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# In namespaces of its own: take a name, have a disk where the machine's is, go where that one was.
BECOME = (
    'echo "$0" > /proc/sys/kernel/hostname; mount --bind "$1" "$2"; cd "$3"; shift 3; exec "$@"'
)


@dataclass(frozen=True)
class Command:
    """A command on a page.

    Attributes:
        where: The host it is typed on; empty for any machine.
        typed: What is typed, line ends included.
        shown: What the page has below it.
    """

    where: str
    typed: str
    shown: tuple[str, ...]


@dataclass(frozen=True)
class Errand:
    """A file that a person carries from one host to another."""

    file: str
    giver: str
    taker: str


@dataclass(frozen=True)
class Done:
    """What came of a command; no code where it goes on."""

    command: Command
    said: str
    code: int | None


def parse(page: str) -> Iterator[list[Command] | Errand]:
    """The blocks of commands of a page and the errands between them, in order."""
    for found in BLOCK.finditer(page):
        if found["block"] is None:
            yield Errand(found["file"], found["giver"], found["taker"])
        else:
            yield list(commands(found["block"]))


def commands(block: str) -> Iterator[Command]:
    """The commands of a block."""
    words = re.split(r"^(\w*)\$ ", block, flags=re.MULTILINE)
    if words[0]:
        raise ValueError(f"a block has to begin with a prompt: {words[0]!r}")
    for where, text in zip(words[1::2], words[2::2], strict=True):
        found = re.match(r"(?:.*\\\n)*.*\n", text)
        assert found
        yield Command(where, found[0].rstrip("\n"), tuple(text[found.end() :].splitlines()))


def environment(home: Path) -> dict[str, str]:
    """What a new user has: a home, the system's programs, and where packages come from."""
    python = sysconfig.get_config_var("BINDIR")  # of the interpreter, not of our environment
    kept = {name: word for name, word in os.environ.items() if name.upper().startswith(KEPT)}
    settings = Path.home() / ".config" / "pip" / "pip.conf"
    if settings.exists():
        kept.setdefault("PIP_CONFIG_FILE", str(settings))
    return {
        "PIP_CACHE_DIR": str(Path.home() / ".cache" / "pip"),
        **kept,
        "HOME": str(home),
        "PATH": f"{python}:{SYSTEM}",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "VIRTUAL_ENV_DISABLE_PROMPT": "1",  # or it would stand before our prompt
    }


class Shell:
    """A shell on a terminal, into which commands are typed one after the other."""

    def __init__(self, argv: list[str], folder: Path, env: dict[str, str]) -> None:
        """Start it, and wait for its first prompt."""
        self._ours, theirs = os.openpty()
        settings = termios.tcgetattr(theirs)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(theirs, termios.TCSANOW, settings)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", ROWS, COLUMNS, 0, 0))
        self._process = subprocess.Popen(
            [*argv, "setsid", "--ctty", "bash", "--noprofile", "--norc", "--noediting", "-i"],
            cwd=folder,
            env={**env, "PS1": "<$?>", "PS2": ""},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self._said = ""
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.wait()

    def type(self, text: str) -> None:
        """Type a line, or several; what was said before is forgotten."""
        with self._news:
            self._said = ""
        os.write(self._ours, f"{text}\n".encode())

    def wait(self) -> tuple[str, int]:
        """Wait until the command has ended; what it said, and its exit code."""
        said = self.until(PROMPT.search)
        found = PROMPT.search(said)
        assert found, f"no end within {PATIENCE} s:\n{said}"
        return said[: found.start()], int(found[1])

    def until(self, is_there: Callable[[str], object]) -> str:
        """Wait until something is in what has been said, or patience is at its end."""
        with self._news:
            self._news.wait_for(lambda: is_there(self._said), PATIENCE)
            return self._said

    def close(self) -> None:
        """Stop what runs there, as somebody would who closes the window."""
        os.write(self._ours, b"\x03")
        self._process.send_signal(signal.SIGHUP)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        os.close(self._ours)

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._ours, 65_536)
            except OSError:  # how a terminal ends
                return
            with self._news:
                self._said += chunk.decode(errors="replace").replace("\r\n", "\n")
                self._news.notify_all()


class Walk:
    """A page that is followed: the machine all begins on, and the hosts once they are named."""

    def __init__(self, net: lab.Network, folder: Path, repository: Path, stack: ExitStack) -> None:
        """Begin with one empty machine.

        Args:
            net: Has a host for each name on the page.
            folder: Where all disks are.
            repository: What `<this repository>` stands for.
            stack: Ends the shells.
        """
        self.done: list[Done] = []
        self._net = net
        self._folder = folder
        self._repository = repository
        self._stack = stack
        self._disk = folder / "machine"
        self._disk.mkdir()
        self._env = environment(self._disk)
        self._shells = {"": self._enter([], self._disk, self._env)}

    def follow(self, page: str, skipped: Container[str] = ()) -> None:
        """Do all that a page says but for some commands; `done` has what came of it."""
        for part in parse(page):
            if isinstance(part, Errand):
                self._carry(part)
            else:
                self._block([each for each in part if each.typed not in skipped])

    def _block(self, block: list[Command]) -> None:
        running: dict[str, Command] = {}
        for command in block:
            self._finish(running, command.where)
            shell = self._shell(command.where)
            shell.type(command.typed.replace("<this repository>", str(self._repository)))
            if command.where == SERVER:
                said = shell.until(partial(all_there, command.shown))
                self.done.append(Done(command, said, None))
            else:
                running[command.where] = command
        for where in list(running):
            self._finish(running, where)

    def _finish(self, running: dict[str, Command], where: str) -> None:
        if command := running.pop(where, None):
            self.done.append(Done(command, *self._shells[where].wait()))

    def _carry(self, errand: Errand) -> None:
        """Copy a file between the folders in which the two shells are."""
        giver, taker = (self._place(name) for name in (errand.giver, errand.taker))
        shutil.copy(giver / errand.file, taker / errand.file)

    def _place(self, name: str) -> Path:
        """The folder in which a host's shell is, seen from here."""
        self._shell(name).type("pwd")
        said, _ = self._shell(name).wait()
        return self._folder / name / Path(said.strip()).relative_to(self._disk)

    def _shell(self, name: str) -> Shell:
        if name not in self._shells:
            self._shells[name] = self._host(name)
        return self._shells[name]

    def _host(self, name: str) -> Shell:
        """Make a host like the machine, with a disk and a name of its own."""
        disk = self._folder / name
        # Linked and not copied, which is fast: what is written later is a file of the host's own.
        subprocess.run(["cp", "--archive", "--link", self._disk, disk], check=True)
        first = self._shells[""]
        first.type("pwd; env --null | base64 --wrap=0; echo")
        where, coded = first.wait()[0].splitlines()
        pairs = base64.b64decode(coded).decode().split("\0")
        env = dict(pair.split("=", 1) for pair in pairs if pair)
        argv = ["unshare", "--mount", "--uts", "sh", "-ec", BECOME, name, disk, self._disk, where]
        return self._enter(self._net[name].command([str(word) for word in argv]), self._disk, env)

    def _enter(self, argv: list[str], folder: Path, env: dict[str, str]) -> Shell:
        shell = Shell(argv, folder, env)
        self._stack.callback(shell.close)
        return shell


def in_shape(line: str) -> str:
    """A line without what differs from run to run: numbers, addresses, and what depends on them."""
    line = re.sub(r"\[[\da-f:]+\]:\d+|\b\d+(\.\d+){3}:\d+", "ADDRESS", line)
    line = re.sub(r", of \d+ pairs", "", line)
    line = re.sub(r"\d[\d,.]*( [kM]?B\b)?", "0", line)
    line = re.sub(r"\bIPv0\b", "IP", line)
    return re.sub(r"\b0 (SYN|refusal|byte)s?\b", r"0 \1s", line).rstrip()


def all_there(shown: Sequence[str], said: str) -> bool:
    """Whether all that a page shows has been said."""
    return not missing(said, shown)


def missing(said: str, shown: Sequence[str]) -> list[str]:
    """The lines a page shows that have not been said, or not in this order."""
    lines = iter([in_shape(line) for line in said.splitlines()])
    return [line for line in shown if line != "…" and in_shape(line) not in lines]

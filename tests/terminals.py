"""Terminals as the pages have them: commands typed on a host, some at the same time.

A page shows commands in blocks of `console`, after `$`, or after `one$`, `two$` and `coordinator$`
where they are typed in terminals or hosts of their own. What the coordinator is told goes on until
`^C`, or the end of the page; a command of `one` that one of `two` follows runs beside it; any other
runs by itself. The lines under a command are among what it says. `<!-- file: NAME -->` before a
block is a file.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.helpers import free_neighbours, free_port, on_cpu

ROOT = Path(__file__).parent.parent
SETTING_UP = ("pip install", "git clone", "make ")
PATIENCE = 60  # seconds for a command
COORDINATOR = "7337"
DIRECT = ("40000", "40001")
HOST = "teahouse"  # as the pages call this machine


class Terminals:
    """A folder with the examples, and free ports in the place of those on the pages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_neighbours()
        self.ports = {COORDINATOR: str(self.port)}
        (folder / "examples").symlink_to(ROOT / "examples")

    def start(self, command: str, *, cpu: int | None = 0) -> subprocess.Popen[str]:
        """Run a command line as typed, but for the ports, with this Python's programs."""
        for shown, own in self.ports.items():
            command = command.replace(shown, own)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        simple = not re.search(r"^\(|[|;&]", command)
        return subprocess.Popen(
            [*([] if cpu is None else on_cpu(cpu)), "sh", "-c", "exec " * simple + command],
            cwd=self.folder,
            env=os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *commands: str) -> list[str]:
        """Run commands at once; what each printed and complained of."""
        alone = len(commands) == 1
        running = [
            self.start(command, cpu=None if alone else cpu) for cpu, command in enumerate(commands)
        ]
        try:
            return ["".join(each.communicate(timeout=PATIENCE)) for each in running]
        finally:
            for each in running:
                with suppress(ProcessLookupError):
                    os.killpg(each.pid, signal.SIGKILL)  # what the shell has started as well
                each.communicate()

    @contextmanager
    def serving(self, command: str) -> Iterator[None]:
        """Have a coordinator from when it has said that it listens."""
        process = self.start(command)
        with process:
            try:
                said = process.stderr if "simopen coordinator" in command else process.stdout
                assert said is not None
                for line in said:
                    if "tcp://" in line:
                        break
                yield
            finally:
                process.terminate()
                process.communicate()


@dataclass(frozen=True)
class Step:
    """A command on a page.

    Attributes:
        terminal: Where it is typed; empty where there is but one.
        command: What is typed, without line ends.
        shown: What the page shows of its answer.
    """

    terminal: str
    command: str
    shown: tuple[str, ...]


def steps(page: str) -> Iterator[Step]:
    """The commands of a page, in order."""
    for block in re.findall(r"^```console\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        typed = re.split(r"^(\w*)\$ ", block.replace("\\\n", ""), flags=re.MULTILINE)[1:]
        for terminal, text in zip(typed[::2], typed[1::2], strict=True):
            command, *shown = text.splitlines()
            if not command.startswith(SETTING_UP):
                yield Step(terminal, command, tuple(shown))


def files(page: str) -> dict[str, str]:
    """The files that a page tells to save."""
    found = re.findall(r"^<!-- file: (\S+) -->\n```\w+\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    return dict(found)


def play(page: str, folder: Path) -> list[tuple[Step, str]]:
    """Do all that a page says; each command and what came of it."""
    terminals = Terminals(folder)
    terminals.ports |= {shown: str(free_port()) for shown in DIRECT}
    for name, text in files(page).items():
        (folder / name).write_text(text)
    done: list[tuple[Step, str]] = []
    waiting = list(steps(page))
    with ExitStack() as serving:
        while waiting:
            step = waiting.pop(0)
            if step.command == "^C":
                serving.close()
                continue
            if step.terminal == "coordinator":
                serving.enter_context(terminals.serving(step.command))
                continue
            together = [step]
            if step.terminal == "one" and waiting and waiting[0].terminal == "two":
                together.append(waiting.pop(0))
            said = terminals.run(*(each.command for each in together))
            done += zip(together, said, strict=True)
    return done


def plain(text: str) -> str:
    """A text in which numbers, this machine's name and the width of columns make no difference."""
    text = text.replace(socket.gethostname(), HOST)
    return re.sub(r" +", " ", re.sub(r"[\d.]+", "0", text)).strip()


def missing(done: Sequence[tuple[Step, str]]) -> list[str]:
    """What pages show and the commands have not said, beside what they did."""
    return [
        f"{step.command}: {line!r} is not in\n{said}"
        for step, said in done
        for line in step.shown
        if plain(line) not in plain(said)
    ]

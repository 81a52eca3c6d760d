"""The programs of ``simopen lab``: started, listened to, and ended, whatever comes.

Theory of operation
-------------------
A program that is alone has our terminal and our streams, and the terminal's Ctrl-C reaches it
without us. Several run in sessions of their own, where no terminal reaches them, and what they say
is told line by line.

A signal that would end us ends nothing halfway: it becomes a byte in a pipe, and the wait for the
programs is a wait for that byte as well. It is passed on to the programs, they have a moment to end
by themselves, then they are killed; and whatever they have started dies with the network. Only
after that are the last lines waited for, when nobody is left who could hold a pipe open.
"""

from __future__ import annotations

import itertools
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rich.console import Console

from simopen.cli import _exit
from simopen.cli._display import write_line
from simopen.cli._pipes import STDOUT

GRACE = 2.0  # seconds a program has to end after it was asked to
CHUNK = 65_536  # bytes a read, all that a pipe holds, and the longest line that is kept whole
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STDERR = 2  # its descriptor
COLOURS = (36, 35, 32, 33, 34, 31)  # ANSI: cyan, magenta, green, yellow, blue, red


@dataclass(frozen=True)
class Program:
    """What to run.

    Attributes:
        host: Name of the host.
        command: The command line that runs it there.
        environment: All of its environment.
    """

    host: str
    command: Sequence[str]
    environment: Mapping[str, str]


def run_alone(
    program: Program, *, farewell: signal.Signals | None = None, pass_fds: Sequence[int] = ()
) -> int:
    """Run a program with our terminal and streams; return its exit code.

    Args:
        program: What to run.
        farewell: How to ask it to end, in place of the signal that has asked us.
        pass_fds: Descriptors to leave open for it.
    """
    with _signals() as signals:
        process = subprocess.Popen(  # noqa: S603 - the user's own
            program.command, env=program.environment, pass_fds=pass_fds
        )
        number = _wait([process], signals, spare_ctrl_c=True)
        if number is None:
            return _shell_code(process.wait())
        process.send_signal(farewell or number)
        _wait([process], signals, GRACE)
        process.kill()
        process.wait()
    return _shell_code(-number)


class Together:
    """Several programs at once; `run` them inside the network, and `finish` when it has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[threading.Thread] = []
        self._unwritable: OSError | None = None
        self._number: int | None = None
        self._codes: list[int] = []

    def run(self, programs: Sequence[Program], until: str | None) -> None:
        """Run programs until all of them, or those of the host `until`, have ended."""
        hosts = [program.host for program in programs]
        out, err = _prefixes(hosts, Console()), _prefixes(hosts, Console(stderr=True))
        processes: list[subprocess.Popen[bytes]] = []
        with _signals() as signals:
            try:
                for program in programs:
                    process = _start(program)
                    processes.append(process)
                    self._listen(process.stdout, STDOUT, out[program.host])
                    self._listen(process.stderr, STDERR, err[program.host])
                awaited = [
                    process
                    for program, process in zip(programs, processes, strict=True)
                    if until in (None, program.host)
                ]
                self._number = _wait(awaited, signals)
                for process in processes:
                    if process.poll() is None:
                        os.killpg(process.pid, self._number or signal.SIGTERM)
                _wait(processes, signals, GRACE)
            finally:
                for process in processes:
                    process.kill()
                    process.wait()
        self._codes = [process.returncode for process in awaited]

    def finish(self) -> int:
        """Wait for the last lines; return the first exit code that is not 0.

        After a signal it does not wait long: perhaps nobody reads them.
        """
        for listener in self._listeners:
            listener.join(None if self._number is None else GRACE / len(self._listeners))
        if self._number is not None:
            return _shell_code(-self._number)
        if code := next(filter(None, self._codes), 0):
            return _shell_code(code)
        return _exit.OK if self._unwritable is None else _exit.FAILED

    def _listen(self, stream: IO[bytes] | None, fd: int, prefix: bytes) -> None:
        assert stream is not None  # noqa: S101 - a pipe, as asked for
        listener = threading.Thread(target=self._tell, args=(stream, fd, prefix), daemon=True)
        listener.start()
        self._listeners.append(listener)

    def _tell(self, stream: IO[bytes], fd: int, prefix: bytes) -> None:
        """Write what a program says.

        Where nobody takes it the pipe is closed, and the program told, as in a pipeline.
        """
        with stream:
            try:
                for lines in _lines(iter(lambda: stream.read(CHUNK), b"")):
                    text = b"".join(prefix + line + b"\n" for line in lines)
                    with self._lock:
                        _write(fd, text)
            except OSError as error:
                if self._unwritable is None and not isinstance(error, BrokenPipeError):
                    write_line(sys.stderr, f"simopen: output cannot be written: {error.strerror}")
                self._unwritable = error


def _prefixes(hosts: Sequence[str], console: Console) -> dict[str, bytes]:
    """Return what stands before the lines of each host, in colour where there are colours."""
    width = max(map(len, hosts))
    plain = {host: f"{host:{width}} | " for host in hosts}
    if console.color_system is None or console.no_color:
        return {host: text.encode() for host, text in plain.items()}
    coloured = zip(plain.items(), itertools.cycle(COLOURS), strict=False)
    return {host: f"\x1b[{colour}m{text}\x1b[0m".encode() for (host, text), colour in coloured}


def _lines(chunks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield whole lines, as many as there are at a time; one that has no end is cut."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) >= CHUNK:
            lines, rest = [*lines, rest], b""
        yield lines
    if rest:
        yield [rest]


def _write(fd: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:  # whoever shares the descriptor has made it non-blocking
            select.select([], [fd], [])


def _start(program: Program) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - the user's own
        program.command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env=program.environment,
        start_new_session=True,
    )


@contextmanager
def _signals() -> Iterator[int]:
    """Have the signals that would end us as bytes to read."""
    reader, writer = os.pipe()
    before = {
        number: handler
        for number in ENDING
        if (handler := signal.getsignal(number)) is not signal.SIG_IGN  # as nohup leaves it
    }
    for number in before:
        signal.signal(number, lambda number, _: os.write(writer, bytes([number])))
    try:
        yield reader
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def _wait(
    processes: Sequence[subprocess.Popen[bytes]],
    signals: int,
    patience: float | None = None,
    *,
    spare_ctrl_c: bool = False,
) -> int | None:
    """Wait until all have ended, or a signal comes, which is returned.

    Args:
        processes: What to wait for.
        signals: Where signals are read from.
        patience: Seconds after which to give up when nothing happens.
        spare_ctrl_c: Leave a Ctrl-C of our terminal to the processes, which have it as well.
    """
    with ExitStack() as stack:
        poller = select.poll()
        poller.register(signals, select.POLLIN)
        left = set()
        for process in processes:
            if process.poll() is None:
                end = os.pidfd_open(process.pid)
                stack.callback(os.close, end)
                poller.register(end, select.POLLIN)
                left.add(end)
        while left:
            happened = [fd for fd, _ in poller.poll(patience and patience * 1000)]
            if not happened:
                break
            if signals in happened:
                number = os.read(signals, 1)[0]
                if not (spare_ctrl_c and number == signal.SIGINT and _in_front()):
                    return number
            for end in left.intersection(happened):
                poller.unregister(end)
                left.remove(end)
    return None


def _in_front() -> bool:
    """Return whether a terminal's Ctrl-C is for us, and so for what we run."""
    try:
        with Path("/dev/tty").open("rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


def _shell_code(code: int) -> int:
    """Return an exit code as shells count it: 128 and the number of the signal."""
    return code if code >= 0 else 128 - code

"""The command as a user runs it, two processes on loopback."""

from __future__ import annotations

import json
import os
import pty
import select
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import free_port, on_cpu

SIMOPEN = [sys.executable, "-m", "simopen", "connect"]


def commands(*more: str) -> tuple[list[str], list[str]]:
    """The command and its mirror image."""
    a, b = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    one, two = [*on_cpu(0), *SIMOPEN], [*on_cpu(1), *SIMOPEN]
    return [*one, b, "--local", a, *more], [*two, a, "--local", b, *more]


def start(command: list[str], **files: Any) -> subprocess.Popen[bytes]:
    """Start one side with pipes where nothing else is said."""
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, **{**pipes, **files})


def test_bytes_both_ways_and_half_close(tmp_path: Path) -> None:
    """Each side's input arrives whole at the other, and the end of input half-closes."""
    one, two = commands()
    source = tmp_path / "source"
    source.write_bytes(os.urandom(2_000_000))
    with source.open("rb") as stdin, start(one, stdin=stdin) as a, start(two) as b:
        assert b.stdout
        assert b.stdout.read() == source.read_bytes()  # to its end, though b's input is open
        assert b.stdin
        b.stdin.write(b"answer after the end of yours")
        b.stdin.close()
        assert a.stdout
        assert a.stdout.read() == b"answer after the end of yours"
        assert b.stderr
        assert b"simopen: connected 127.0.0.1:" in b.stderr.read()
    assert (a.returncode, b.returncode) == (0, 0)


def test_could_not_connect_is_exit_code_1() -> None:
    """The diagnosis goes to standard error, a line for each of its parts."""
    one, _ = commands("--timeout", "0.3")
    done = subprocess.run(one, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert done.stdout == b""
    for part in (b"tried:", b"came back:", b"likely:", b"next:"):
        assert part in done.stderr


def test_json_and_trace(tmp_path: Path) -> None:
    """Standard error is JSON lines, and the trace has every attempt."""
    trace = tmp_path / "trace.jsonl"
    one, _ = commands("--timeout", "0.2", "--json", "--trace", str(trace))
    done = subprocess.run(one, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [events[0]["event"], events[-1]["event"]] == ["punch.started", "punch.failed"]
    traced = [json.loads(line)["event"] for line in trace.read_text().splitlines()]
    assert traced.count("punch.attempt") == events[-1]["report"]["attempts"]


def test_a_broken_stream_is_exit_code_3(tmp_path: Path) -> None:
    """The peer is killed in mid-stream: its kernel resets, and we say so."""
    one, two = commands()
    source = tmp_path / "source"
    source.write_bytes(bytes(50_000_000))  # more than all buffers on the way hold
    with source.open("rb") as stdin, start(one, stdin=stdin) as a, start(two) as b:
        assert b.stdout
        b.stdout.read(1)
        b.kill()
        assert a.wait(timeout=30) == 3
        assert a.stderr
        assert b"the connection broke" in a.stderr.read()


def test_closed_output_is_exit_code_3() -> None:
    """``simopen connect | head -c1`` ends the command, with words and no traceback."""
    one, two = commands()
    with start(one) as a, start(two) as b:
        assert a.stdout
        a.stdout.close()
        _, err = b.communicate(b"x" * 100_000, timeout=30)
        assert a.stderr
        words = a.stderr.read()
        a.wait(timeout=30)
    assert a.returncode == 3
    assert b"its reader has gone" in words
    assert b"Traceback" not in words + err


@pytest.mark.parametrize("connected", [False, True])
def test_interrupt(*, connected: bool) -> None:
    """Ctrl-C ends it at once, whether it is still trying or waiting for input."""
    one, two = commands()
    with start(one) as a, start(two if connected else ["true"]) as b:
        assert a.stderr
        lines = [a.stderr.readline() for _ in range(2 if connected else 1)]
        assert lines[0].startswith(b"simopen: connecting")
        a.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert a.wait(timeout=30) == 130
        assert time.monotonic() - began < 5
        assert b"Traceback" not in a.stderr.read()
        b.kill()


def read_until(fd: int, words: bytes) -> bytes:
    """What a terminal shows until it shows these words."""
    shown = b""
    end = time.monotonic() + 30
    while words not in shown and time.monotonic() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                shown += os.read(fd, 4096)
            except OSError:
                break  # the program at the other end has gone
    assert words in shown
    return shown


def test_a_receiver_at_a_terminal_ends_with_the_peer(tmp_path: Path) -> None:
    """``simopen connect > file`` typed at a terminal: done when the peer has sent everything."""
    one, two = commands()
    master, slave = pty.openpty()
    target = tmp_path / "got"
    try:
        with (
            target.open("wb") as out,
            start(one, stdin=slave, stdout=out, stderr=slave) as a,
            start(two) as b,
        ):
            os.close(slave)
            _, err = b.communicate(b"all of it", timeout=30)
            shown = read_until(master, b"done")
            a.wait(timeout=30)
    finally:
        os.close(master)
    assert (a.returncode, b.returncode) == (0, 0), err
    assert target.read_bytes() == b"all of it"
    assert b"nobody listening" in shown


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_closed_standard_descriptors(closed: str) -> None:
    """No socket becomes standard input or output; what cannot be written is an error."""
    one, two = commands("--timeout", "20")
    line = f"exec {shlex.join(one)} {closed}"
    with start(["bash", "-c", line], stdin=subprocess.DEVNULL) as a, start(two) as b:
        out, _ = b.communicate(b"hello", timeout=30)
        assert a.wait(timeout=30) == (3 if closed == ">&-" else 0)
        assert a.stdout
        assert a.stdout.read() == (b"" if closed == ">&-" else b"hello")
    assert out == b""


def test_words_that_nobody_can_read_do_not_end_the_transfer() -> None:
    """A full disk under the log or the trace is no reason to stop."""
    one, two = commands()
    with (
        Path("/dev/full").open("wb") as full,
        start([*one, "--trace", "/dev/full"], stdin=subprocess.DEVNULL, stderr=full) as a,
        start(two) as b,
    ):
        b.communicate(b"hello", timeout=30)
        assert a.communicate(timeout=30)[0] == b"hello"
    assert (a.returncode, b.returncode) == (0, 0)


def test_interrupt_while_nobody_reads_our_output() -> None:
    """The thread that is stuck in the write does not hold the command."""
    one, two = commands()
    with start(one) as a, start(two) as b:
        assert b.stdin
        b.stdin.write(b"x" * 300_000)
        b.stdin.flush()
        assert a.stderr
        while b"connected" not in a.stderr.readline():
            pass
        time.sleep(0.3)  # until the pipe is full and the write is stuck
        a.send_signal(signal.SIGINT)
        assert a.wait(timeout=10) == 130
        b.kill()

from __future__ import annotations

import os
import threading
from pathlib import Path

import anyio
import pytest

from simopen.cli._pipes import PipeError, end_output, is_terminal, read_chunks, write_all
from tests.net.conformance import reset, tcp_pair

pytestmark = pytest.mark.anyio


async def collect(fd: int) -> bytes:
    """All that is read from a descriptor."""
    return b"".join([chunk async for chunk in read_chunks(fd)])


async def test_reads_a_file(tmp_path: Path) -> None:
    """A file cannot be polled and is read all the same."""
    path = tmp_path / "data"
    path.write_bytes(b"x" * 1_000_000)
    with path.open("rb") as file:
        assert await collect(file.fileno()) == b"x" * 1_000_000


async def test_reads_a_pipe_until_its_end() -> None:
    """What comes late is waited for."""
    reader, writer = os.pipe()

    def write() -> None:
        os.write(writer, b"late")
        os.close(writer)

    timer = threading.Timer(0.05, write)
    timer.start()
    try:
        assert await collect(reader) == b"late"
    finally:
        os.close(reader)


async def test_devnull_is_empty() -> None:
    """``</dev/null`` means: nothing to send."""
    null = os.open(os.devnull, os.O_RDONLY)
    try:
        assert await collect(null) == b""
        assert not is_terminal(null)
    finally:
        os.close(null)


async def test_an_input_that_breaks() -> None:
    """A socket as standard input can be reset: an error of its own."""
    ours, theirs = tcp_pair()
    with ours:
        reset(theirs)
        with pytest.raises(PipeError, match="standard input cannot be read"):
            await collect(ours.fileno())


async def test_waiting_for_a_pipe_can_be_cancelled() -> None:
    """No thread stays behind in a read that nobody ends."""
    reader, writer = os.pipe()
    try:
        with anyio.move_on_after(0.05) as scope:
            await collect(reader)
        assert scope.cancelled_caught
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("blocking", [True, False])
async def test_writes_more_than_a_pipe_holds(*, blocking: bool) -> None:
    """A slow reader gets all, also where a sharer has made the descriptor non-blocking."""
    reader, writer = os.pipe()
    os.set_blocking(writer, blocking)
    data = os.urandom(1_000_000)
    got = bytearray()

    def read() -> None:
        while len(got) < len(data):
            got.extend(os.read(reader, 10_000))

    thread = threading.Timer(0.05, read)
    thread.start()
    try:
        await write_all(data, writer)
        thread.join()
        assert got == data
    finally:
        os.close(reader)
        os.close(writer)


async def test_the_end_of_output_is_seen_by_its_reader() -> None:
    """The reader gets the end, and the descriptor stays taken."""
    reader, writer = os.pipe()
    try:
        end_output(writer)
        assert os.read(reader, 1) == b""
        await write_all(b"into nothing", writer)
    finally:
        os.close(reader)
        os.close(writer)


async def test_a_reader_that_has_gone() -> None:
    """``| head`` closes our output: an error of its own."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        with pytest.raises(PipeError, match="its reader has gone"):
            await write_all(b"x", writer)
    finally:
        os.close(writer)

"""The clients that drive a server."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from benchmarks.coordinator import command_of
from benchmarks.crowd import Crowd
from benchmarks.servers import free_port, running, write_certificate
from simopen.rendezvous.protocol import WireError


async def play(crowd: Crowd, kind: str, port: int, certificate: Path | None) -> None:
    """Bring four, and partners for three of them."""
    trusted = None if certificate is None else str(certificate)
    await crowd.begin(kind, 0, port, trusted)
    try:
        await crowd.gather(4)
        assert await crowd.arrive(1) == {"partners": 1}
        await crowd.ask()
        await crowd.hear()
        await crowd.leave()
        assert await crowd.rush(2) == {"partners": 2}
        await crowd.idle(0.01)
    finally:
        await crowd.scatter()


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("kind", ["coordinator", "echo"])
def test_partners_come_for_those_who_wait(tmp_path: Path, kind: str, *, tls: bool) -> None:
    """Step by step and in a rush, to the real servers."""
    files = write_certificate(tmp_path) if tls else ()
    port = free_port()
    with running(command_of(kind, port, files, members=100), port):
        anyio.run(play, Crowd(), kind, port, files[0] if files else None)


def test_an_answer_that_is_not_expected_is_an_error() -> None:
    """An echo server is not taken for a coordinator."""
    port = free_port()
    with (
        running(command_of("echo", port, (), members=100), port),
        pytest.raises(WireError),
    ):
        anyio.run(play, Crowd(), "coordinator", port, None)

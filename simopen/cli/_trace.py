"""``simopen trace``: one connection, whose handshake is shown.

To a peer it is the call of ``simopen connect``, to a listener or to oneself a plain connect; both
are traced alike. The trace goes to standard output and to files, the rest to standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

import simopen
from simopen._endpoints import Candidate, parse_endpoints
from simopen.capture import picture
from simopen.cli import _exit
from simopen.cli._connect import fastest_loop, peer_ends
from simopen.cli._display import FAILURES, failure_lines, write_line
from simopen.cli._secret import Sources, find_secret
from simopen.trace.recording import dial

# Connects and closes; says on failure why, a line each.
_Attempt = Callable[[simopen.HandshakeTrace], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line says."""

    remote: str | None
    local: str | None
    rendezvous: str | None
    room: str | None
    invite_file: Path | None
    secret_file: Path | None
    timeout: float
    svg: Path | None
    pcapng: Path | None


def show(settings: Settings) -> int:
    """Run the command; returns its exit code."""
    if not settings.timeout > 0:
        raise simopen.UsageError(f"--timeout must be more than 0, not {settings.timeout:g}")
    attempt = _attempt(settings)
    for option, path in (("--svg", settings.svg), ("--pcapng", settings.pcapng)):
        if path is not None:
            _write(option, path, b"")  # what cannot be written is said before anything is sent
    trace = simopen.HandshakeTrace()
    failure = anyio.run(attempt, trace, **fastest_loop())
    _print(trace)
    if settings.svg is not None:
        _write("--svg", settings.svg, trace.svg().encode())
    if settings.pcapng is not None:
        _write("--pcapng", settings.pcapng, trace.pcapng())
    for line in failure:
        write_line(sys.stderr, f"simopen: {line}")
    return _exit.FAILED if failure else _exit.OK


def _attempt(settings: Settings) -> _Attempt:
    """What is to be connected.

    Raises:
        UsageError: The options do not go together.
    """
    if settings.remote is not None and settings.rendezvous is None:
        remote = parse_endpoints(settings.remote.split(","), role="remote")
        ours = settings.local and parse_endpoints(settings.local.split(","), role="local")
        if not ours or ours == remote:
            return _plain(remote, settings, from_itself=bool(ours))
    return _peer(settings)


def _plain(remotes: Sequence[Candidate], settings: Settings, *, from_itself: bool) -> _Attempt:
    for option in ("room", "invite_file", "secret_file"):
        if getattr(settings, option) is not None:
            name = option.replace("_", "-")
            raise simopen.UsageError(f"--{name} is for a peer: give --local, or --rendezvous URL")
    if len(remotes) > 1 or len(remotes[0]) > 1:
        raise simopen.UsageError(f"REMOTE {settings.remote} is several endpoints: give one")
    ((remote,),) = remotes

    async def connect(trace: simopen.HandshakeTrace) -> list[str]:
        try:
            with anyio.move_on_after(settings.timeout):
                sock = await dial(remote, trace, from_itself=from_itself)
                sock.close()
                return []
        except OSError as error:  # the kernel's own timeout, after two minutes, among them
            return [f"could not connect to {remote}: {error.strerror}"]
        return [f"no connection to {remote} in {settings.timeout:g} s"]

    return connect


def _peer(settings: Settings) -> _Attempt:
    ends = peer_ends(settings)
    sources = Sources(
        invite_file=settings.invite_file,
        secret_file=settings.secret_file,
        room=settings.room,
        rendezvous=settings.rendezvous is not None,
    )
    found = find_secret(sources)
    if found.warning is not None:
        write_line(sys.stderr, f"simopen: {found.warning}")

    async def connect(trace: simopen.HandshakeTrace) -> list[str]:
        peer = simopen.PeerConnectable(
            **ends, secret=found.secret, timeout=settings.timeout, trace=trace
        )
        try:
            stream = await peer.connect()
        except FAILURES as error:
            return failure_lines(error)
        await stream.aclose()
        return []

    return connect


def _print(trace: simopen.HandshakeTrace) -> None:
    if ladder := trace.ladder(ascii_only=not picture.can_show(sys.stdout)):
        sys.stdout.write(f"{ladder}\n")
    sys.stdout.write(f"{trace}\n")
    sys.stdout.flush()


def _write(option: str, path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise simopen.UsageError(f"{option}: {error}") from None

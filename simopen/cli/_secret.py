"""Where ``simopen connect`` has its secret from: a file, the environment, or the terminal.

Theory of operation. Standard input is data, and a command line can be read by every user of the
machine (``ps``), so a secret comes by neither. What is looked at, first match wins:

1. the option ``--invite-file`` or ``--secret-file``; both are a contradiction;
2. the environment: ``SIMOPEN_INVITE`` or ``SIMOPEN_SECRET``, likewise; set and empty is a mistake
   in a script, and not the same as not set, which could mean a connection without a secret;
3. with ``--rendezvous`` and no ``--room``, the terminal is asked for an invite, without echo.

A secret file loses one trailing newline. What is left counts as text where it is UTF-8, and is
then stretched as a text that people think of has to be; otherwise as bytes. An invite in it is
an invite.

Invariants:

- No error or warning here contains any part of what was read.
- The terminal is as it was, however the question ends or is stopped, SIGKILL and SIGSTOP apart.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simopen import Invite, SecretLike, UsageError

INVITE_VARIABLE = "SIMOPEN_INVITE"
SECRET_VARIABLE = "SIMOPEN_SECRET"  # noqa: S105 - its name
TERMINAL = "/dev/tty"  # whatever standard input is
LONGEST = 65_536  # bytes of a secret; more is some other file
LINE = 4096  # bytes; a terminal hands over no longer line
OTHERS_READ = stat.S_IRGRP | stat.S_IROTH  # bits of a mode that a secret's file should lack

_LOOKS_LIKE_AN_INVITE = re.compile(r"simopen\d+-[a-z2-7]{40}", re.IGNORECASE)
_WAYS = f"--invite-file FILE, {INVITE_VARIABLE}, or --room NAME with --secret-file FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the command line says about the secret.

    Attributes:
        invite_file: ``--invite-file``.
        secret_file: ``--secret-file``.
        room: ``--room``.
        rendezvous: Whether the peer is found by a coordinator, which takes a secret.
    """

    invite_file: Path | None
    secret_file: Path | None
    room: str | None
    rendezvous: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A secret that can be used.

    Attributes:
        secret: None for a direct connection without one.
        warning: What is wrong with the place it was in, or None.
    """

    secret: SecretLike | None = field(repr=False)
    warning: str | None = None


def find_secret(sources: Sources) -> Found:
    """Read the secret from where it is.

    Raises:
        UsageError: There is none, there are two, or it cannot be used.
    """
    found = _read(sources)
    if sources.rendezvous and sources.room is None and not isinstance(found.secret, Invite):
        raise UsageError("this secret names no room: give --room NAME, the same on both sides")
    return found


def refuse_on_command_line(arguments: Sequence[str]) -> None:
    """Refuse an invite where every user of the machine can read it, and the shell writes it down.

    Raises:
        UsageError: There is one.
    """
    if any(map(_LOOKS_LIKE_AN_INVITE.search, arguments)):
        raise UsageError(
            "an invite on the command line can be read by others (ps) and is now in the shell's "
            f"history: make a new one, and give it by {_WAYS}"
        )


def _read(sources: Sources) -> Found:
    if sources.invite_file and sources.secret_file:
        raise UsageError("--invite-file and --secret-file: give one of them")
    if sources.invite_file:
        data, warning = _file(sources.invite_file, "--invite-file")
        return Found(_invite(data, f"--invite-file {sources.invite_file}"), warning)
    if sources.secret_file:
        data, warning = _file(sources.secret_file, "--secret-file")
        return Found(
            _secret(data.removesuffix(b"\n"), f"--secret-file {sources.secret_file}"), warning
        )
    invite, secret = os.environ.get(INVITE_VARIABLE), os.environ.get(SECRET_VARIABLE)
    if invite is not None and secret is not None:
        raise UsageError(f"{INVITE_VARIABLE} and {SECRET_VARIABLE} are both set: unset one")
    if invite is not None:
        return Found(_invite(os.fsencode(invite), INVITE_VARIABLE))
    if secret is not None:
        return Found(_secret(os.fsencode(secret), SECRET_VARIABLE))
    if not sources.rendezvous:
        return Found(None)
    if sources.room is not None:
        raise UsageError(
            f"--room names no secret: give --secret-file FILE or {SECRET_VARIABLE}, "
            "or an invite, which names its room"
        )
    return Found(_invite(_ask(), "the invite"))


def _file(path: Path, option: str) -> tuple[bytes, str | None]:
    """What is in a file, and a warning where others may read it too."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(LONGEST + 1)
    except OSError as error:
        raise UsageError(f"{option} {path}: {error.strerror}") from None
    if len(data) > LONGEST:
        raise UsageError(f"{option} {path}: more than {LONGEST:,} bytes are no secret")
    if stat.S_ISREG(mode) and mode & OTHERS_READ:
        return data, f"other users can read {path}: chmod 600 it"
    return data, None


def _invite(data: bytes, where: str) -> Invite:
    try:
        return Invite.parse(data.decode(errors="replace"))
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None


def _secret(data: bytes, where: str) -> SecretLike:
    """Text, bytes or an invite; whether it is long enough, connect_peer says."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data
    return _invite(data, where) if _LOOKS_LIKE_AN_INVITE.match(text) else text


def _ask() -> bytes:
    """Ask the person at the terminal for one line."""
    try:
        terminal = os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY)
    except OSError:
        text = f"no invite, and no terminal to ask for one: give {_WAYS}"
        raise UsageError(text) from None
    try:
        os.write(terminal, b"simopen: invite (not shown): ")
        with _without_echo(terminal):
            line = os.read(terminal, LINE)  # starts over when a signal has been obeyed
        os.write(terminal, b"\n")
    finally:
        os.close(terminal)
    if not line.strip():
        raise UsageError(f"no invite was given; type or paste one, or give {_WAYS}")
    return line


@contextlib.contextmanager
def _without_echo(terminal: int) -> Iterator[None]:
    import termios  # noqa: PLC0415 - where there is a TERMINAL

    before = termios.tcgetattr(terminal)
    silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    put = functools.partial(termios.tcsetattr, terminal, termios.TCSAFLUSH)

    def obey(number: int, _: object) -> None:
        """Do what the signal asks for with the terminal as it was; whoever lives on asks on."""
        with contextlib.suppress(termios.error):  # SIGHUP: the terminal has gone
            put(before)
        signal.signal(number, usual[signal.Signals(number)])
        signal.raise_signal(number)
        signal.signal(number, obey)
        put(wanted)

    wanted = silent
    endings = (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP)
    usual = {number: signal.getsignal(number) for number in endings}
    try:
        for number in endings:
            signal.signal(number, obey)
        put(silent)
        yield
    finally:
        wanted = before  # for a signal that comes even now
        put(before)
        for number, handler in usual.items():
            signal.signal(number, handler)

from __future__ import annotations

import contextlib
import io
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simopen import Invite, UsageError
from simopen.cli import _secret
from simopen.cli._secret import Found, Sources, find_secret

INVITE = Invite.new("kitchen", entropy=bytes(range(20)))
PATIENCE = 5  # seconds
TEXT = "twenty characters and more"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret of whoever runs the tests, and no terminal."""
    for name in (_secret.INVITE_VARIABLE, _secret.SECRET_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_secret, "TERMINAL", "/nowhere/tty")


def find(
    *,
    invite_file: Path | None = None,
    secret_file: Path | None = None,
    room: str | None = None,
    rendezvous: bool = True,
) -> Found:
    """What is found for these options."""
    return find_secret(
        Sources(invite_file=invite_file, secret_file=secret_file, room=room, rendezvous=rendezvous)
    )


def written(path: Path, data: bytes, mode: int = 0o600) -> Path:
    """A file with a secret."""
    path.write_bytes(data)
    path.chmod(mode)
    return path


def test_an_invite_file(tmp_path: Path) -> None:
    """As ``simopen invite`` writes it, line end included."""
    path = written(tmp_path / "invite", INVITE.reveal().encode() + b"\n")
    found = find(invite_file=path)
    assert found.secret == INVITE
    assert found.warning is None


@pytest.mark.parametrize(
    ("data", "secret"),
    [
        (TEXT.encode(), TEXT),
        (TEXT.encode() + b"\n", TEXT),
        (TEXT.encode() + b"\n\n", TEXT + "\n"),
        (b"\xff" * 16 + b"\n", b"\xff" * 16),
        (INVITE.reveal().encode() + b"\n", INVITE),
    ],
)
def test_a_secret_file(data: bytes, secret: object, tmp_path: Path) -> None:
    """It loses one trailing newline; UTF-8 is text, anything else bytes, an invite an invite."""
    path = written(tmp_path / "secret", data)
    assert find(secret_file=path, room="kitchen").secret == secret


@pytest.mark.parametrize(("mode", "warns"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_file_that_others_can_read(mode: int, tmp_path: Path, *, warns: bool) -> None:
    """It is used, with a warning that says what to do."""
    found = find(invite_file=written(tmp_path / "invite", INVITE.reveal().encode(), mode))
    assert found.secret == INVITE
    assert (found.warning is not None) == warns
    assert not warns or "chmod 600" in str(found.warning)


def test_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Either variable, in either mode; a file that was named goes before it."""
    monkeypatch.setenv("SIMOPEN_SECRET", TEXT)
    assert find(rendezvous=False).secret == TEXT
    assert find(room="kitchen").secret == TEXT
    path = written(tmp_path / "invite", INVITE.reveal().encode())
    assert find(invite_file=path).secret == INVITE
    monkeypatch.delenv("SIMOPEN_SECRET")
    monkeypatch.setenv("SIMOPEN_INVITE", INVITE.reveal())
    assert find().secret == INVITE
    assert find(rendezvous=False).secret == INVITE


def test_a_direct_connection_needs_none() -> None:
    """Without a secret it is as it was."""
    assert find(rendezvous=False).secret is None


def test_too_many_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two files, or both variables, contradict each other."""
    path = written(tmp_path / "invite", INVITE.reveal().encode())
    with pytest.raises(UsageError, match="one of them"):
        find(invite_file=path, secret_file=path)
    monkeypatch.setenv("SIMOPEN_SECRET", TEXT)
    monkeypatch.setenv("SIMOPEN_INVITE", INVITE.reveal())
    with pytest.raises(UsageError, match="unset one"):
        find()


def test_set_and_empty_is_not_the_same_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that failed to read its secret must not connect without one."""
    monkeypatch.setenv("SIMOPEN_SECRET", "")
    assert find(rendezvous=False).secret == ""  # which connect_peer refuses
    monkeypatch.delenv("SIMOPEN_SECRET")
    monkeypatch.setenv("SIMOPEN_INVITE", "")
    with pytest.raises(UsageError, match="SIMOPEN_INVITE"):
        find(rendezvous=False)


@pytest.mark.parametrize(
    ("invite_file", "secret_file", "room", "words"),
    [
        (None, None, None, "no terminal"),
        (None, None, "kitchen", "--secret-file"),
        (None, "secret", None, "--room"),
        ("secret", None, None, "--invite-file"),
        ("endless", None, None, "no secret"),
        (None, "missing", None, "No such file"),
    ],
)
def test_what_is_missing_is_named(
    invite_file: str | None, secret_file: str | None, room: str | None, words: str, tmp_path: Path
) -> None:
    """And nothing of the secret is."""
    written(tmp_path / "secret", TEXT.encode())
    (tmp_path / "endless").symlink_to("/dev/zero")
    with pytest.raises(UsageError, match=words) as caught:
        find(
            invite_file=tmp_path / invite_file if invite_file else None,
            secret_file=tmp_path / secret_file if secret_file else None,
            room=room,
        )
    assert TEXT not in str(caught.value)


def test_a_secret_is_in_no_repr(tmp_path: Path) -> None:
    """Of what was found."""
    path = written(tmp_path / "secret", TEXT.encode())
    assert TEXT not in repr(find(secret_file=path, room="kitchen"))


class Terminal:
    """A terminal that somebody types at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.master, self._slave = pty.openpty()
        monkeypatch.setattr(_secret, "TERMINAL", os.ttyname(self._slave))

    def type(self, text: bytes) -> threading.Thread:
        """Answer the question, once it has been asked."""

        def answer() -> None:
            self.shown = os.read(self.master, 4096)
            end = time.monotonic() + PATIENCE
            while self.echoes and time.monotonic() < end:  # until the question has turned it off
                time.sleep(0.001)
            os.write(self.master, text)

        thread = threading.Thread(target=answer)
        thread.start()
        return thread

    @property
    def echoes(self) -> bool:
        """Whether it shows what is typed."""
        return bool(termios.tcgetattr(self._slave)[3] & termios.ECHO)

    def rest(self) -> bytes:
        """What it has shown after the question."""
        os.set_blocking(self.master, False)
        return os.read(self.master, 4096)


def test_the_terminal_is_asked_without_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not standard input, which is data; afterwards it echoes again."""
    monkeypatch.setattr("sys.stdin", io.StringIO("data\n"))
    terminal = Terminal(monkeypatch)
    typing = terminal.type(INVITE.reveal().encode() + b"\n")
    assert find().secret == INVITE
    typing.join()
    assert b"invite" in terminal.shown
    assert terminal.echoes
    assert INVITE.reveal().encode() not in terminal.shown + terminal.rest()


@pytest.mark.parametrize("typed", [b"\n", b"\x04"])
def test_no_answer(typed: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty line or the end of input is wrong use; the terminal echoes again."""
    terminal = Terminal(monkeypatch)
    typing = terminal.type(typed)
    with pytest.raises(UsageError, match="no invite was given"):
        find()
    typing.join()
    assert terminal.echoes


@contextlib.contextmanager
def asking(terminal: Terminal) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that asks at this terminal, once it does not echo any more."""
    program = "import sys; from simopen.cli import _secret; _secret.TERMINAL = sys.argv[1]; "
    program += "print(_secret._ask())"
    with subprocess.Popen(
        [sys.executable, "-c", program, _secret.TERMINAL],
        stdout=subprocess.PIPE,
        process_group=0,  # one without a parent outside could not be stopped
    ) as process:
        try:
            wait_until(lambda: not terminal.echoes)
            yield process
        finally:
            process.kill()


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM])
def test_a_signal_that_ends_the_question(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies of it, as it would have otherwise, and the terminal echoes again."""
    terminal = Terminal(monkeypatch)
    with asking(terminal) as process:
        process.send_signal(number)
        assert process.wait(PATIENCE) == -number
    assert terminal.echoes


def test_a_question_that_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has the terminal meanwhile sees what they type; afterwards the question goes on."""
    terminal = Terminal(monkeypatch)
    with asking(terminal) as process:
        for _ in range(2):
            process.send_signal(signal.SIGTSTP)
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            assert terminal.echoes
            process.send_signal(signal.SIGCONT)
            wait_until(lambda: not terminal.echoes)
        os.write(terminal.master, b"an invite\n")
        assert process.communicate(timeout=PATIENCE)[0] == b"b'an invite\\n'\n"
    assert terminal.echoes


def test_the_question_leaves_the_handlers_of_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Afterwards they are what they were before."""
    numbers = (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP)
    before = [signal.getsignal(number) for number in numbers]
    terminal = Terminal(monkeypatch)
    typing = terminal.type(INVITE.reveal().encode() + b"\n")
    find()
    typing.join()
    assert [signal.getsignal(number) for number in numbers] == before

"""``simopen lab`` as a user runs it."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from simopen import lab
from simopen.cli._app import run
from simopen.cli._lab_programs import _prefixes

SIMOPEN = [sys.executable, "-m", "simopen", "lab"]
ENVIRONMENT = {
    "SHELL": "/bin/bash",
    "TERM": "xterm",
    "COLUMNS": "80",
    "NO_COLOR": "1",
    "FORCE_COLOR": "",
}
PATIENCE = 60  # seconds for what takes about one

# Prints a command's status and its largest resident memory in KB, its own children's included. A
# program begins with the mark of the process that starts it: this one is small, pytest is not.
HIGH_WATER = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:])
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
"""

CONTRADICTION = """
[[sites]]
name = "home"
hosts = ["alice"]
gateway = "no-such-router"
"""

LETTERS = """
summary = "Zürich"
[[sites]]
name = "home"
hosts = ["alice", { name = "bob", link = { loss = 0.01 } }]
gateway = { kind = "nat" }
link = { latency = 0.010, jitter = 0.005, rate = 5e6, duplication = 0.02, reordering = 0.03 }
downlink = { latency = 0.010, rate = 50e6 }
"""


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What every process here lives in, whatever the tests are run in."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def simopen(
    *arguments: str, env: dict[str, str] | None = None, **files: Any
) -> subprocess.CompletedProcess[bytes]:
    """The command, run to its end, with pipes where nothing else is said."""
    return subprocess.run(
        [*SIMOPEN, *arguments],
        check=False,
        timeout=PATIENCE,
        env={**os.environ, **(env or {})},
        **{"capture_output": True, "stdin": subprocess.DEVNULL, **files},
    )


class Terminal:
    """The command at a terminal of its own."""

    def __init__(self, *arguments: str, **more: str) -> None:
        self._shown = b""
        self._fd, other = pty.openpty()
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *SIMOPEN, *arguments],
            stdin=other,
            stdout=other,
            stderr=other,
            env={**os.environ, **more},
        )
        os.close(other)

    def until(self, words: str) -> str:
        """What it shows next, up to these words."""
        end = time.monotonic() + PATIENCE
        while words.encode() not in self._shown:
            assert time.monotonic() < end, self._shown
            assert self._read(), self._shown
        shown, _, self._shown = self._shown.partition(words.encode())
        return shown.decode().replace("\r\n", "\n")

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._fd, text.encode())

    def close(self) -> None:
        """Close its window."""
        os.close(self._fd)

    def ended(self) -> tuple[int, str]:
        """Its exit code, and what it has shown at the end."""
        while self._read():
            pass
        self.close()
        return self.process.wait(PATIENCE), self._shown.decode().replace("\r\n", "\n")

    def _read(self) -> bool:
        """Whether there was more, or may be."""
        if select.select([self._fd], [], [], PATIENCE)[0]:
            try:
                self._shown += os.read(self._fd, 65_536)
            except OSError:  # nobody has it open any more
                return False
        return True


@pytest.fixture
def leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails if a process is left of those that the test has started."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv("SIMOPEN_TEST", mark)
    yield
    end = time.monotonic() + PATIENCE / 4
    while (left := list(_marked(mark.encode()))) and time.monotonic() < end:
        time.sleep(0.02)
    assert left == []


def _marked(mark: bytes) -> Iterator[bytes]:
    for process in Path("/proc").glob("[1-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                yield (process / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended


# --- without a network ----------------------------------------------------------------------------


def test_the_list_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Three columns with tabs between, whole, for every topology and preset."""
    assert run(["lab"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert {(kind, name) for kind, name, _ in rows} == {
        *(("topology", name) for name in lab.built_in()),
        *(("preset", name) for name in lab.PRESETS),
    }
    assert ["preset", "open", lab.PRESETS["open"].resembles] in rows


def test_the_list_at_a_terminal() -> None:
    """A line each, no wider than the terminal, and where to read on."""
    code, shown = Terminal().ended()
    assert code == 0
    assert max(len(re.sub(r"\x1b.*?m", "", line)) for line in shown.splitlines()) <= 80
    assert "two-homes " in shown
    assert "linux-masquerade-random" in shown
    assert "simopen lab show NAME" in shown


def test_a_topology_as_a_tree(tmp_path: Path) -> None:
    """Sites, gateways, links both ways and hosts; in a pipe no line is cut."""
    file = tmp_path / "city.toml"
    file.write_text(LETTERS, encoding="utf-8")
    shown = simopen("show", str(file), env={"PYTHONIOENCODING": "utf-8"}).stdout.decode()
    assert "Zürich" in shown
    up = "10 ms + up to 5 ms, duplication 2 %, reordering 3 %, 5 Mbit/s"
    assert f"home  nat  up {up}; down 10 ms, 50 Mbit/s\n" in shown
    assert "bob  0 ms, loss 1 %\n" in shown


@pytest.mark.parametrize("arguments", [[], ["show", "city.toml"], ["show", "cellular"]])
def test_a_terminal_without_unicode_gets_ascii(arguments: list[str], tmp_path: Path) -> None:
    """No letter breaks it, not even one of the user's."""
    (tmp_path / "city.toml").write_text(LETTERS, encoding="utf-8")
    done = simopen(*arguments, env={"PYTHONIOENCODING": "ascii"}, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.isascii()


def test_a_preset_with_its_axes(capsys: pytest.CaptureFixture[str]) -> None:
    """All of them, in words."""
    assert run(["lab", "show", "cellular"]) == 0
    shown = re.sub(" +", " ", capsys.readouterr().out)
    for line in ("kind nat", "established_timeout 900 s", "crossing_syn yes", "hairpinning none"):
        assert f" {line}\n" in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no-such-command"], "no-such-command"),
        (["show", "no-such-thing"], "two-homes"),
        (["show", "no-such-file.toml"], "no-such-file.toml: No such file"),
        (["show", "/"], "/: Is a directory"),
        (["shell", "two-homes", "nobody"], "there are: alice, bob, server"),
        (["run", "two-homes"], "nothing to run"),
        (["run", "two-homes", "--", "alice:"], "nothing to run"),
        (["run", "two-homes", "--", "nobody:", "true"], "there are: alice, bob, server"),
        (["run", "two-homes", "--", "alice:", "no-such-program"], "'no-such-program'"),
        (["run", "two-homes", "--bogus", "--", "true"], "--bogus"),
        (["run", "two-homes", "--", "echo", "{nobody.ipv4}"], "no host is called 'nobody'"),
        (["run", "two-homes", "--until", "bob", "--", "alice:", "true"], "--until bob"),
        (["run", "two-homes", "--seed", "x", "--", "true"], "--seed"),
        (["run", "two-homes", "--capture", "/nowhere/x", "--", "true"], "--capture"),
        (["ladder", "/nowhere/x"], "/nowhere/x: No such file"),
        (["ladder", __file__], "is no capture"),
    ],
)
def test_wrong_use_is_exit_code_2(
    arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is wrong and where to look, before anything has been set up."""
    assert run(["lab", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert words in err
    command = arguments[0] if arguments[0] in ("show", "shell", "run", "ladder") else ""
    assert f"try: simopen lab {command} --help\n".replace("  ", " ") in err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sites = [", "end of document"),
        ("[[sites]]\nname = 'a'\nhosts = ['b']\nlatency = 1", "latency"),
        (CONTRADICTION, "no-such-router"),
    ],
)
@pytest.mark.parametrize("command", [["show"], ["run"]])
def test_a_wrong_file(
    command: list[str], text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named, and what is wrong with it."""
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    assert run(["lab", *command, str(file)]) == 2
    err = capsys.readouterr().err
    assert str(file) in err
    assert words in err


def test_no_lab_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what is missing."""
    program = tmp_path / "program"
    program.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["lab", "run", "two-homes", "--", "alice:", "program"]) == 1
    assert "no lab here: nsenter" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["show", "shell", "run", "ladder"])
def test_help_says_all(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What it does, in lines that fit a terminal."""
    assert run(["lab", command, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"simopen lab {command}" in out
    assert max(map(len, out.splitlines())) <= 80


def test_the_colours_of_hosts() -> None:
    """Each has its own where there are colours, and none where the user wants none."""
    console = Console(force_terminal=True, color_system="standard", no_color=False)
    assert _prefixes(["a", "bob", "a"], console) == {
        "a": b"\x1b[36ma   | \x1b[0m",
        "bob": b"\x1b[35mbob | \x1b[0m",
    }
    console.no_color = True
    assert _prefixes(["a", "bob", "a"], console) == {"a": b"a   | ", "bob": b"bob | "}


TELLS_SIGNALS = """
import os, signal, sys, time
def tell(number, _):
    os.write(1, signal.Signals(number).name.encode() + b"\\n")  # print() may be under way
    time.sleep(0.2)  # for a second one, which would be wrong
    sys.exit()
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, tell)
print("up", flush=True)
while True:
    time.sleep(1)
"""


# --- programs -------------------------------------------------------------------------------------

in_the_lab = pytest.mark.usefixtures("require_lab", "leaves_nothing")


@pytest.mark.lab
@in_the_lab
@pytest.mark.skipif(shutil.which("curl") is None, reason="the example is curl's")
def test_the_example_can_be_copied() -> None:
    """The lines in the help do what they say, as they stand."""
    text = simopen("run", "--help").stdout.decode()
    example = text[text.index("    simopen lab run") :].partition("\n\n")[0]
    alias = f'simopen() {{ {shlex.join(SIMOPEN[:-1])} "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-c", alias + example], capture_output=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr.decode()
    assert "alice  | </html>" in done.stdout.decode()


@pytest.mark.lab
@in_the_lab
def test_one_program_has_our_streams() -> None:
    """Its input is ours, its output comes as it is, and its exit code is ours."""
    words = ["--", "alice:", "sh", "-c", "cat; exit 7"]
    done = simopen("run", "two-homes", *words, stdin=None, input=b"\xff no end of line")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"\xff no end of line", b"")


@pytest.mark.lab
@in_the_lab
def test_a_program_in_every_host() -> None:
    """Each knows where it is and all addresses; each line says whose it is."""
    told = "echo $LAB_HOST {bob.public} $LAB_BOB_PUBLIC {alice.ipv6} {no placeholder}"
    done = simopen("run", "two-homes", "--", "sh", "-c", told)
    with lab.network(lab.load("two-homes")) as net:
        public, ipv6 = net["bob"].public_ipv4, net["alice"].ipv6
    assert sorted(done.stdout.decode().splitlines()) == [
        f"{host:6} | {host} {public} {public} {ipv6} {{no placeholder}}"
        for host in ("alice", "bob", "server")
    ]
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.lab
@in_the_lab
def test_what_programs_say() -> None:
    """Any bytes, a line without end, words to standard error, and nothing from a closed output."""
    done = simopen(
        *("run", "two-homes", "--", "alice:", "sh", "-c", r"printf 'a\377\nno end'; exec >&-"),
        *("--", "bob:", "sh", "-c", "echo oh >&2; kill -9 $$"),
    )
    assert done.stdout == b"alice | a\xff\nalice | no end\n"
    assert done.stderr == b"bob   | oh\n"
    assert done.returncode == 137  # as a shell counts SIGKILL


@pytest.mark.lab
@in_the_lab
def test_until_ends_the_others() -> None:
    """They are asked to end, and their last words are told; the exit code is that host's."""
    done = simopen(
        *("run", "two-homes", "--until", "alice", "--", "alice:", "sleep", "1"),
        *("--", "server:", sys.executable, "-c", TELLS_SIGNALS),
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"server | up\nserver | SIGTERM\n"


@pytest.mark.lab
@in_the_lab
def test_what_programs_have_started_ends_with_them() -> None:
    """A grandchild in a session of its own, with the pipe open, holds nothing up."""
    left_behind = "setsid sleep 1000 & echo $!"
    done = simopen("run", "two-homes", "--", "sh", "-c", left_behind)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 3


@pytest.mark.lab
@in_the_lab
def test_a_flood(tmp_path: Path) -> None:
    """Megabytes without an end of line, to a file: nothing is kept in memory, nothing is lost."""
    with (tmp_path / "out").open("w+b") as out:
        words = ["--", "alice:", "head", "-c", "64000000", "/dev/zero", "--", "bob:", "true"]
        command = [sys.executable, "-c", HIGH_WATER, *SIMOPEN, "run", "two-homes", *words]
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, check=True)
        out.seek(0)
        received = sum(chunk.count(0) for chunk in iter(lambda: out.read(1 << 20), b""))
    status, high_water = (int(word) for word in done.stderr.split())
    assert (status, received) == (0, 64_000_000)
    assert high_water < 100_000


@pytest.mark.lab
@in_the_lab
def test_a_reader_that_has_gone() -> None:
    """``| head -1`` ends programs that go on talking, as it does without us."""
    command = shlex.join([*SIMOPEN, "run", "two-homes", "--", "yes"])
    line = f"set -o pipefail; {command} | head -1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=False, timeout=PATIENCE)
    assert done.stdout.endswith(b" | y\n")
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.lab
@in_the_lab
def test_a_full_disk() -> None:
    """What could not be written is a failure, and said."""
    with Path("/dev/full").open("wb") as full:
        done = simopen(
            *("run", "two-homes", "--", "alice:", "echo", "hi", "--", "bob:", "true"),
            capture_output=False,
            stdout=full,
            stderr=subprocess.PIPE,
        )
    assert (done.returncode, done.stderr.count(b"No space left")) == (1, 1)


@pytest.mark.lab
@in_the_lab
def test_a_capture_that_fills_the_disk() -> None:
    """The network breaks down, in one line."""
    done = simopen("run", "two-homes", "--capture", "/dev/full", "--", "alice:", "sleep", "2")
    assert done.returncode == 1
    assert b"simopen: the network broke down: OSError: [Errno 28]" in done.stderr
    assert b"Traceback" not in done.stderr


# --- interruptions --------------------------------------------------------------------------------


@pytest.mark.lab
@in_the_lab
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("hosts", [("alice",), ("alice", "bob")])
def test_signals_are_passed_on(
    number: signal.Signals, hosts: tuple[str, ...], tmp_path: Path
) -> None:
    """Each program is told once and may say its last words; then everything is gone."""
    capture = tmp_path / "wire.pcapng"
    words = ["run", "two-homes", "--capture", str(capture)]
    for host in hosts:
        words += ["--", f"{host}:", sys.executable, "-c", TELLS_SIGNALS]
    with subprocess.Popen(
        [*SIMOPEN, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # no terminal that would tell them as well
    ) as process:
        assert process.stdout
        up = [process.stdout.readline() for _ in hosts]
        assert all(line.endswith(b"up\n") for line in up)
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number
    said = [line.split()[-1] for line in out.decode().splitlines()]
    assert said == [number.name] * len(hosts), err.decode()
    assert f"simopen lab ladder {capture}" in err.decode()


@pytest.mark.lab
@in_the_lab
def test_ctrl_c_at_a_terminal() -> None:
    """Several programs hear it once, from us, and nothing but them says anything."""
    program = [sys.executable, "-c", TELLS_SIGNALS]
    terminal = Terminal("run", "two-hosts", "--", *program)
    terminal.until("up")
    terminal.until("up")
    terminal.type("\x03")
    code, shown = terminal.ended()
    assert code == 130
    assert sorted(shown.replace("^C", "").split("\n")) == ["", "", "a | SIGINT", "b | SIGINT"]


@pytest.mark.lab
@in_the_lab
def test_ctrl_c_belongs_to_a_program_that_is_alone() -> None:
    """It is the one at the terminal: what it makes of it is its affair."""
    program = "trap 'echo ouch' INT; echo up; read line; echo $line; exit 5"
    terminal = Terminal("run", "two-homes", "--", "alice:", "bash", "-c", program)
    terminal.until("up")
    terminal.type("\x03")
    terminal.until("ouch")
    terminal.type("go on\n")
    code, shown = terminal.ended()
    assert (code, shown.splitlines()[-1]) == (5, "go on")


@pytest.mark.lab
@in_the_lab
@pytest.mark.parametrize("hosts", [["alice:"], []])
def test_programs_that_do_not_listen(hosts: list[str]) -> None:
    """They are killed after a moment, or at once when the user insists."""
    deaf = "trap '' INT TERM; echo up; while :; do sleep 1; done"
    with subprocess.Popen(
        [*SIMOPEN, "run", "two-homes", "--", *hosts, "sh", "-c", deaf],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout
        for _ in hosts or range(3):
            process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        if not hosts:
            time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 143


@pytest.mark.lab
@in_the_lab
def test_nobody_reads() -> None:
    """Programs stuck in a full pipe, and we behind them, still end when told to."""
    with subprocess.Popen(
        [*SIMOPEN, "run", "two-homes", "--", "yes"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        process.stdout.read(1)
        time.sleep(0.3)  # until the pipe is full and the write is stuck
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130


@pytest.mark.lab
@in_the_lab
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_while_setting_up(number: signal.Signals, tmp_path: Path) -> None:
    """Nothing is left of a network that was half there."""
    capture = tmp_path / "wire.pcapng"
    with subprocess.Popen(
        [*SIMOPEN, "run", "carrier", "--capture", str(capture), "--", "sleep", "1000"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while not capture.exists():  # the last thing before it
            time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(PATIENCE) != 0


@pytest.mark.lab
@in_the_lab
def test_nohup() -> None:
    """Who was started deaf to a signal stays so."""
    words = ["run", "two-homes", "--", "alice:", "sh", "-c", "echo up; sleep 0.5; echo done"]
    with subprocess.Popen(
        ["nohup", *SIMOPEN, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        out, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (0, b"done\n")


# --- shells ---------------------------------------------------------------------------------------


@pytest.mark.lab
@in_the_lab
@pytest.mark.parametrize("program", ["/bin/bash", "/bin/sh", "/no/such/shell"])
def test_a_shell(program: str) -> None:
    """Its prompt says where it is, Ctrl-C reaches what runs in it, and its exit code is ours."""
    terminal = Terminal("shell", "two-homes", "alice", SHELL=program)
    assert "server" in terminal.until("(alice) ")
    terminal.type("echo $LAB_HOST $LAB_SERVER_IPV4, $LAB_BOB_PUBLIC\n")
    assert re.search(r"alice [\d.]+, [\d.]+\n", terminal.until("(alice) "))
    terminal.type("echo now; sleep 1000\n")
    terminal.until("now\r\n")
    time.sleep(0.2)  # until it sleeps
    terminal.type("\x03")
    terminal.until("(alice) ")
    terminal.type("exit 7\n")
    assert terminal.ended()[0] == 7


@pytest.mark.lab
@in_the_lab
def test_another_terminal() -> None:
    """The lines that are shown lead into the other hosts; a closed window ends all of it."""
    terminal = Terminal("shell", "two-homes", "alice", COLUMNS="500")
    shown = terminal.until("(alice) ")
    found = re.search(r"bob  +([\d.]+).*\n.*another terminal: (.+)\n", shown)
    assert found
    address, command = found.groups()
    done = subprocess.run(
        shlex.split(command),
        input=b"cat /proc/net/fib_trie; sleep 1000 >&2 &",
        stdout=subprocess.PIPE,
        check=True,
        timeout=PATIENCE,
    )
    assert address in done.stdout.decode()
    terminal.close()
    terminal.process.wait(PATIENCE)


@pytest.mark.lab
@in_the_lab
def test_a_shell_told_to_end() -> None:
    """An interactive shell that would not hear a SIGTERM hangs up."""
    terminal = Terminal("shell", "two-homes", "alice")
    terminal.until("(alice) ")
    terminal.process.terminate()
    assert terminal.ended()[0] == 143


@pytest.mark.lab
@in_the_lab
def test_a_script() -> None:
    """Without a terminal it reads commands from its input."""
    done = simopen("shell", "two-homes", "bob", stdin=None, input=b"echo $LAB_HOST; exit 3")
    assert (done.returncode, done.stdout) == (3, b"bob\n")


# --- captures -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def capture(require_lab: None, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001
    """What two refused connections look like."""
    path = tmp_path_factory.mktemp("capture") / "the wire.pcapng"
    knock = "exec 3<>/dev/tcp/{server.ipv4}/9"
    again = f"({knock}); {knock}"
    simopen("run", "two-homes", "--capture", str(path), "--", "alice:", "bash", "-c", again)
    return path


@pytest.mark.lab
def test_a_ladder(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The picture is data; that there are more conversations is said beside it."""
    assert run(["lab", "ladder", str(capture), "--conversation", "2"]) == 0
    out, err = capsys.readouterr()
    assert "SYN" in out
    assert "RST" in out
    assert "alice" in out
    assert "conversation 2 of 2" in err


@pytest.mark.lab
def test_a_ladder_as_svg(capture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It goes into the file alone."""
    file = tmp_path / "ladder.svg"
    assert run(["lab", "ladder", str(capture), "--svg", str(file)]) == 0
    assert capsys.readouterr().out == ""
    assert file.read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.lab
@pytest.mark.parametrize(
    ("options", "words"),
    [(["--conversation", "3"], "has 2 TCP conversations"), (["--svg", "/nowhere/x"], "--svg")],
)
def test_a_ladder_that_cannot_be(
    capture: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says why."""
    assert run(["lab", "ladder", str(capture), *options]) == 2
    assert words in capsys.readouterr().err

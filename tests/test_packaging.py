"""What is installed is what is tested; all of the package is in it, and no more is needed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import simopen
from tests.helpers import free_port, on_cpu

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WHERE = "import simopen; print(simopen.__file__)"
LONGEST_IMPORT = 0.15  # seconds

# The package alone: that it is quiet, changes nothing, and what it has loaded.
QUIET = """\
import logging, signal, sys, warnings
before = [signal.getsignal(number) for number in signal.valid_signals()], warnings.filters[:]
import simopen
assert before == ([signal.getsignal(number) for number in signal.valid_signals()],
                  warnings.filters[:])
assert not logging.getLogger().handlers
for name, logger in logging.root.manager.loggerDict.items():
    assert all(type(each) is logging.NullHandler for each in getattr(logger, "handlers", [])), name
loaded = {name.partition(".")[0] for name in sys.modules}
assert not loaded & set(sys.argv[1:]), loaded & set(sys.argv[1:])
"""


def names(requirements: list[str]) -> set[str]:
    """The distributions that requirements name."""
    return {re.split(r"[^\w-]", each)[0] for each in requirements}


EXTRAS = {extra: names(needed) for extra, needed in PROJECT["optional-dependencies"].items()}
ALL_EXTRAS = set[str]().union(*EXTRAS.values())


def test_a_wheel_is_tested_and_not_the_checkout() -> None:
    """Where a wheel has to be tested, no simopen is imported from the folder of the tests."""
    if "SIMOPEN_REQUIRE_WHEEL" not in os.environ:
        pytest.skip("the checkout is tested, as always but in .ci/run")
    assert not Path(simopen.__file__).is_relative_to(ROOT / "simopen")


def test_a_process_that_a_test_starts_tests_the_same_package() -> None:
    """Not the one in the folder where it starts, which would be the checkout's."""
    command = [sys.executable, "-c", WHERE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    assert done.stdout.strip() == simopen.__file__


def build(folder: Path, *arguments: str) -> list[Path]:
    """What ``python -m build`` makes, in ``folder``, with what is installed here."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*command, *arguments, str(ROOT)], capture_output=True, check=True)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is made of the source distribution."""
    made, _ = build(tmp_path_factory.mktemp("dist"))
    return made


def test_the_source_distribution_makes_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """A wheel of the checkout is equal to it, byte for byte, and has every file of the package."""
    [direct] = build(tmp_path, "--wheel")
    assert wheel.read_bytes() == direct.read_bytes()
    sources = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "simopen").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert "simopen/py.typed" in packed
    assert packed == sources


def test_extras_pull_what_they_name(wheel: Path) -> None:
    """The wheel needs what pyproject.toml says, with no extra only what is for everybody."""
    with zipfile.ZipFile(wheel) as archive:
        [path] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        needs = re.findall(r"^Requires-Dist: (.*)$", archive.read(path).decode(), re.MULTILINE)
    found: dict[str, list[str]] = {}
    for need in needs:
        extra = re.search(r"extra == '(\w+)'", need)
        found.setdefault(extra[1] if extra else "", []).append(need)
    assert {extra: names(listed) for extra, listed in found.items()} == {
        "": names(PROJECT["dependencies"]),
        **EXTRAS,
    }


# -- in an environment of its own, with no extra ---------------------------------------------------


@pytest.fixture(scope="module")
def alone(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment that has ``pip install simopen`` and nothing else."""
    folder = tmp_path_factory.mktemp("alone") / "venv"
    venv.create(folder)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--quiet"]
    done = subprocess.run(
        [*pip, "install", "--disable-pip-version-check", str(wheel)],
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode and "SIMOPEN_REQUIRE_WHEEL" not in os.environ:
        pytest.skip(f"this needs a package index: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    return python


def modules(distributions: set[str]) -> list[str]:
    """How distributions are called when they are imported."""
    return sorted(name.replace("-", "_") for name in distributions)


def test_no_extra_is_installed(alone: Path) -> None:
    """What only an extra needs does not come with simopen."""
    program = (
        "import sys; from importlib.util import find_spec;"
        "print(*(name for name in sys.argv[1:] if find_spec(name)))"
    )
    command = [str(alone), "-c", program, *modules(ALL_EXTRAS), "simopen"]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert done.stdout.split() == ["simopen"]


def test_importing_it_is_quiet(alone: Path) -> None:
    """It prints nothing, warns of nothing, and sets up no logging, signal or filter."""
    done = subprocess.run(
        [alone, "-W", "error", "-c", QUIET, *modules(ALL_EXTRAS)], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_importing_it_takes_no_extra_that_is_there() -> None:
    """Here all extras are installed, and none of them is loaded."""
    command = [sys.executable, "-c", QUIET, *modules(ALL_EXTRAS)]
    subprocess.run(command, check=True)


def processor_time(python: Path, program: str) -> float:
    """Seconds of processor time that a program takes; the least of several runs.

    Time on the clock is also that of everything else on the machine, and so is some of what a
    processor takes that is shared.
    """
    times = []
    for _ in range(7):
        with subprocess.Popen([python, "-c", program]) as process:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        times.append(used.ru_utime + used.ru_stime)
    return min(times)


def test_importing_it_is_quick(alone: Path) -> None:
    """Beyond the interpreter's own start, and with its bytecode there, as after the first time."""
    subprocess.run([alone, "-c", "import simopen"], check=True)
    took = processor_time(alone, "import simopen") - processor_time(alone, "")
    assert took < LONGEST_IMPORT


def test_two_processes_connect(alone: Path) -> None:
    """The README's first program, with no extra."""
    a, b = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    hello = [str(alone), str(ROOT / "examples" / "hello.py")]
    with (
        subprocess.Popen([*on_cpu(0), *hello, b, a], stdout=subprocess.PIPE) as one,
        subprocess.Popen([*on_cpu(1), *hello, a, b], stdout=subprocess.PIPE) as two,
    ):
        for said in (one.communicate()[0], two.communicate()[0]):
            assert said.startswith(b"hello from ")


LAB = "from simopen import lab\nwith lab.two_hosts(): pass"

# What is not there without an extra, and how it is asked for.
WITHOUT = {
    "the command": (["-m", "simopen"], "cli"),
    "a command": (["-m", "simopen", "connect", "--help"], "cli"),
    "a lab": (["-c", LAB], "lab"),
}


@pytest.mark.parametrize("asked", WITHOUT)
def test_what_is_missing_names_its_extra(alone: Path, asked: str) -> None:
    """The last line says what to install."""
    arguments, extra = WITHOUT[asked]
    done = subprocess.run([alone, *arguments], capture_output=True, check=False, text=True)
    assert done.returncode == 1
    assert f"pip install 'simopen[{extra}]'" in done.stderr.splitlines()[-1]
    assert done.stdout == ""


# The command without each of the other extras. A command to come that needs one belongs here.
RUN_WITHOUT = """\
import sys
from simopen.cli import main
for name in sys.argv.pop(1).split(","):
    sys.modules[name] = None
main()
"""
COMMANDS = {
    "lab run two-homes -- alice: true": "lab",
    "lab shell two-homes alice": "lab",
    "coordinator --listen 127.0.0.1:0 --metrics 0": "server",
    f"report {ROOT / 'benchmarks' / 'results' / 'grid.jsonl'}": "plot",
}


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_names_the_extra_it_lacks(line: str) -> None:
    """One line, no traceback, nothing on standard output."""
    extra = COMMANDS[line]
    without = ",".join(modules(EXTRAS[extra]))
    done = subprocess.run(
        [sys.executable, "-c", RUN_WITHOUT, without, *line.split()],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode in (1, 2)
    assert f"pip install 'simopen[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""

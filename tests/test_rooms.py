"""The rooms of the package and which of them may know which."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import simopen

ROOT = Path(simopen.__file__).parent

# The words all rooms share: values and errors without I/O. They know only each other.
COMMON = {"_version", "_endpoints", "_errors", "_report", "_diagnosis", "_events"}

# room -> rooms it may import from. The door is simopen/__init__.py and what stands beside it.
MAY_KNOW = {
    "common": {"common"},
    "punch": {"punch"},
    "net": {"net", "punch", "trace", "common"},
    "rendezvous.protocol": {"rendezvous.protocol"},
    "rendezvous": {"rendezvous", "rendezvous.protocol", "net", "punch", "common"},
    "raw": {"raw", "net", "common"},
    "security": {"security"},
    "capture": {"capture"},
    "trace": {"trace", "capture", "common"},
    "trace.recording": {"trace.recording", "trace", "capture", "net", "common"},
    "lab": {"lab", "capture"},
    "door": {
        *("door", "rendezvous", "rendezvous.protocol", "security", "net", "punch", "common"),
        *("trace", "trace.recording"),
    },
    "measure": {"measure", "door", "common"},
    "figures": {"figures", "measure", "common"},
    "doctor": {"doctor", "rendezvous", "rendezvous.protocol", "net", "punch", "common"},
    "cli": {
        *("cli", "door", "rendezvous", "rendezvous.protocol", "lab", "capture"),
        *("measure", "figures", "common", "doctor", "trace", "trace.recording", "raw"),
    },
}

# What a pure room may import from outside: nothing with a socket, a clock, randomness or a loop.
LANGUAGE = {"__future__", "collections", "dataclasses", "enum", "math", "types", "typing"}
PURE_IMPORTS = {
    "trace": LANGUAGE | {"ipaddress", "struct", "textwrap"},
    "punch": LANGUAGE,
    "rendezvous.protocol": LANGUAGE | {"base64", "functools", "ipaddress", "msgspec", "struct"},
}

# Captures, and what is pure inside the lab: that draws chance from a source it is given, or from a
# seed.
PURE_LAB = ("simopen.lab.wire", "simopen.capture", "simopen.lab.nat", "simopen.lab._planning")
WORLDLY = {"anyio", "asyncio", "os", "select", "subprocess", "threading", "time"}

# What is pure in the instrument: all but what runs the trials and looks at this host.
PURE_MEASURE = tuple(
    f"simopen.measure.{name}"
    for name in ("_records", "_statistics", "_timetable", "_talk", "_pairing", "_summary")
)

# What is pure in raw: bytes, the state machine, and the table of half-open connections.
PURE_RAW = tuple(
    f"simopen.raw.{name}" for name in ("_segments", "_handshake", "_half_open", "_filter")
)

# What is pure in the doctor: all but what reads, visits and knocks.
PURE_DOCTOR = tuple(
    f"simopen.doctor.{name}"
    for name in ("_facts", "_findings", "_machine_looks", "_syn_schedule", "_icmp", "_json", *(
        f"_{subject}_findings" for subject in ("machine", "port", "coordinator", "remote")
    ))
)  # fmt: skip

# All figures are: the same files give the same bytes; one module writes them.
PURE_FIGURES = "simopen.figures."
WRITES_FIGURES = {"simopen.figures._report"}


def room_of(module: str) -> str:
    """The room of ``simopen.a.b``."""
    parts = module.split(".")[1:]
    if not parts:
        return "door"
    if (inner := ".".join(parts[:2])) in MAY_KNOW:
        return inner
    if parts[0] in MAY_KNOW:
        return parts[0]
    if parts[0] == "__main__":
        return "cli"
    return "common" if parts[0] in COMMON else "door"


@cache
def modules() -> list[tuple[str, Path]]:
    """Every module of the package with its dotted name."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = ["simopen", *path.relative_to(ROOT).with_suffix("").parts]
        found.append((".".join(parts).removesuffix(".__init__"), path))
    return found


@cache
def imports(name: str, path: Path) -> frozenset[str]:
    """The absolute names of all modules that ``path`` imports, function-level ones included."""
    package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            known = dict(modules())
            found |= {
                full if (full := f"{module}.{alias.name}") in known else module
                for alias in node.names
            }
    return frozenset(found)


@pytest.mark.parametrize(("name", "path"), modules(), ids=lambda value: str(value)[-40:])
def test_a_room_knows_only_the_rooms_below_it(name: str, path: Path) -> None:
    """Dependencies go one way, downwards."""
    allowed = MAY_KNOW[room_of(name)]
    for imported in imports(name, path):
        if imported.split(".")[0] == "simopen":
            assert room_of(imported) in allowed, f"{name} must not import {imported}"


@pytest.mark.parametrize(
    ("name", "path"),
    [(name, path) for name, path in modules() if room_of(name) in PURE_IMPORTS],
    ids=lambda value: str(value)[-40:],
)
def test_a_pure_room_has_no_io_clock_or_randomness(name: str, path: Path) -> None:
    """A pure core imports nothing it could look at the world with."""
    outside = {module.split(".")[0] for module in imports(name, path)} - {"simopen"}
    assert outside <= PURE_IMPORTS[room_of(name)]


@pytest.mark.parametrize(
    ("name", "path"),
    [(name, path) for name, path in modules() if name.startswith(PURE_LAB)],
    ids=lambda value: str(value)[-40:],
)
def test_the_labs_models_and_pictures_are_pure(name: str, path: Path) -> None:
    """The wire's models and the captures' readers touch no clock, process or file."""
    outside = {module.split(".")[0] for module in imports(name, path)}
    assert not outside & WORLDLY


@pytest.mark.parametrize(
    ("name", "path"),
    [(name, path) for name, path in modules() if name in PURE_MEASURE + PURE_RAW],
    ids=lambda value: str(value)[-40:],
)
def test_the_instruments_arithmetic_is_pure(name: str, path: Path) -> None:
    """What is said, written and reckoned touches no clock, socket or file."""
    outside = {module.split(".")[0] for module in imports(name, path)}
    assert not outside & (WORLDLY | {"random", "secrets", "socket"})


@pytest.mark.parametrize(
    ("name", "path"),
    [(name, path) for name, path in modules() if name.startswith(PURE_FIGURES)],
    ids=lambda value: str(value)[-40:],
)
def test_figures_are_made_of_what_they_are_given(name: str, path: Path) -> None:
    """No figure looks at a clock, at chance or at a file; one module writes files."""
    outside = {module.split(".")[0] for module in imports(name, path)}
    files = set() if name in WRITES_FIGURES else {"pathlib", "tempfile"}
    assert not outside & (WORLDLY | {"random", "secrets", "socket", "datetime"} | files)


@pytest.mark.parametrize(
    ("name", "path"),
    [(name, path) for name, path in modules() if name in PURE_DOCTOR],
    ids=lambda value: str(value)[-40:],
)
def test_what_the_doctor_judges_by_is_pure(name: str, path: Path) -> None:
    """The same facts give the same findings: no clock, socket or file is asked."""
    outside = {module.split(".")[0] for module in imports(name, path)}
    assert not outside & {*WORLDLY, "socket", "random", "pathlib"}


@pytest.mark.parametrize(
    ("name", "path"),
    [(name, path) for name, path in modules() if ".lab." in name],
    ids=lambda value: str(value)[-40:],
)
def test_only_the_supervisor_knows_itself(name: str, path: Path) -> None:
    """What runs in the supervisor's process is imported by nothing outside it."""
    if not name.startswith("simopen.lab.supervisor"):
        assert not any(each.startswith("simopen.lab.supervisor") for each in imports(name, path))


def test_every_public_name_has_a_docstring() -> None:
    """``help(simopen.X)`` says something for every X."""
    for name in simopen.__all__:
        thing = getattr(simopen, name)
        if name not in ("__version__", "OnEvent"):
            assert (thing.__doc__ or "").strip(), name

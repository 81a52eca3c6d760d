"""Every number, with its unit, its default and where it comes from.

Two kinds. The fields of the options and limits say it in their docstrings: what it is, `Default`
and the value, and after a colon the reason. The constants of the modules say it in a comment behind
them or above them, or in the docstring below.
"""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import simopen
from docs.tables import meanings, sentence, table, told

ROOT = Path(simopen.__file__).parent
DRAWING = ("figures", "lab/capture", "capture")
"""Rooms whose constants are where things stand in a picture."""

UNITS = {  # the one that a text names first; of two at once, the upper one
    r"SYNs per second": "SYNs/s",
    r"[Mm]essages per second": "messages/s",
    r"[Cc]onnections per second": "connections/s",
    r"[Bb]ytes": "bytes",
    r"[Ff]actor": "factor",
    r"[Ff]raction|[Ss]hare": "fraction",
    r"that many round trips|in round trips": "round trips",
    r"SYNs": "SYNs",
    r"[Ss]econds": "s",
    r"Introductions": "rounds",
    r"[Cc]onnections|Open at once": "connections",
    r"Messages": "messages",
    r"Seats": "seats",
    r"Addresses": "addresses",
    r"At once": "rooms",
    r"Newcomers": "members",
    r"Whether": "yes or no",
}


DEFAULT = re.compile(r" Default (.+?)(?:[:.] |\.$)")
ROLE = re.compile(r":\w+:`([^`]+)`")


class Constant(NamedTuple):
    """A constant of a module."""

    name: str
    value: str
    words: str
    module: str


def unit(words: str) -> str:
    """The unit that a text names first."""
    found = [(match.start(), UNITS[each]) for each in UNITS if (match := re.search(each, words))]
    return min(found, key=lambda each: each[0])[1] if found else ""


def options(kind: type) -> str:
    """The fields of a dataclass of numbers."""
    says = meanings(kind)

    def rows() -> Iterator[list[str]]:
        for field in dataclasses.fields(kind):
            meaning, value, why = DEFAULT.split(ROLE.sub(r"`\1`", says[field.name]))
            if "/" not in value:
                value = told(field.default) if value == "False" else f"{field.default:,g}"
            yield [f"`{field.name}`", value, unit(meaning), meaning, sentence(why)]

    return table(["name", "default", "unit", "what it is", "why"], rows())


def is_number(value: object) -> bool:
    """Whether a constant's value is a number, or some."""
    if isinstance(value, tuple):
        return bool(value) and all(map(is_number, value))
    return type(value) in (int, float)  # neither a truth nor a member of an enumeration


def shown(value: object) -> str:
    """A constant's value."""
    if isinstance(value, tuple):
        return ", ".join(map(shown, value))
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def words_of(lines: list[str], node: ast.stmt, following: ast.stmt | None) -> str:
    """What is said of a constant: behind it, below it, or above it."""
    assert node.end_lineno is not None  # noqa: S101 - parsed from a text
    behind = lines[node.end_lineno - 1][node.end_col_offset or 0 :].partition("#")[2]
    if behind:
        return behind.strip()
    if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
        return " ".join(str(following.value.value).split()).rstrip(".")
    above: list[str] = []
    for line in reversed(lines[: node.lineno - 1]):
        if not line.startswith("#"):
            break
        above.insert(0, line.removeprefix("#").strip())
    return " ".join(above).rstrip(".")


def constants_of(path: Path) -> Iterator[Constant]:
    """The numbers that a module names."""
    text = path.read_text()
    body = ast.parse(text).body
    module = ".".join(("simopen", *path.relative_to(ROOT).with_suffix("").parts))
    for node, following in zip(body, [*body[1:], None], strict=True):
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        target = node.target if isinstance(node, ast.AnnAssign) else target
        if not isinstance(target, ast.Name) or not re.fullmatch(r"[A-Z][A-Z0-9_]*", target.id):
            continue
        value = getattr(import_module(module), target.id)
        if is_number(value):
            words = words_of(text.splitlines(), node, following)
            yield Constant(target.id, shown(value), words, module)


def rooms() -> dict[str, list[Path]]:
    """The modules of each room, those of the door first."""
    found: dict[str, list[Path]] = {}
    for path in sorted(ROOT.rglob("*.py"), key=lambda path: (len(path.parts), path)):
        room = str(path.relative_to(ROOT).parent)
        if not room.startswith(DRAWING) and not path.name.startswith("__"):
            found.setdefault(room, []).append(path)
    return found


def constants() -> str:
    """All of them, room by room."""
    parts = []
    for room, paths in rooms().items():
        found = [each for path in paths for each in constants_of(path)]
        if found:
            rows = (
                [f"`{each.name}`", each.value, sentence(each.words), f"`{each.module}`"]
                for each in found
            )
            name = "simopen" if room == "." else f"simopen/{room}"
            parts.append(f"### {name}\n\n" + table(["name", "value", "what it is", "in"], rows))
    return "\n".join(parts)


PARTS: dict[str, Callable[[], str]] = {
    "options of a punch": partial(options, simopen.PunchOptions),
    "limits of a coordinator in short": partial(options, simopen.CoordinatorLimits),
    "constants": constants,
}

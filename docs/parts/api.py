"""The public names, by what they are; autodoc says the rest."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

import simopen

INSIDE = ("capture", "cli", "figures", "measure", "net", "punch", "rendezvous", "security")
"""Modules that programs do not import."""

DOORS = (
    "simopen",
    *(
        f"simopen.{found.name}"
        for found in iter_modules(simopen.__path__)
        if not found.name.startswith("_") and found.name not in INSIDE
    ),
)
"""The modules that programs import."""

OWN_PLACE = ("simopen", "simopen.asyncio", "simopen.lab")
"""Those that are not on the page of the others."""

FOREIGN = (
    *("anyio", "asyncio", "benchmarks", "collections", "enum", "ipaddress", "msgspec", "os"),
    *("pathlib", "socket", "ssl", "structlog", "subprocess", "trio", r"tuple\[", "types", "typing"),
    *(r"[a-z_]+$", r"[A-Z][A-Za-z]*$"),  # built in, or named in words
)
"""How the names of others begin."""

COORDINATOR = ("Coordinator", "CoordinatorLimits", "CertificateFiles")


def names(module: ModuleType) -> list[str]:
    """What a module shows to the world."""
    return sorted(module.__all__)


def aliases() -> dict[str, str]:
    """Where the names are documented that are defined in modules of their own."""
    found: dict[str, str] = {}
    for door in DOORS:
        module = import_module(door)
        for name in names(module):
            home = getattr(getattr(module, name), "__module__", door)
            found.setdefault(f"{home}.{name}", f"{door}.{name}")
    return found


def own_names(door: str) -> list[str]:
    """The public names of a module but for those that ``simopen`` itself has as well."""
    module = import_module(door)
    return [
        name
        for name in names(module)
        if door == "simopen" or getattr(simopen, name, None) is not getattr(module, name)
    ]


def kind_of(name: str, value: object) -> str:
    """Which group a public name of ``simopen`` is in."""
    if name in COORDINATOR:
        return "coordinator"
    if not inspect.isclass(value):
        return "functions" if inspect.isroutine(value) else "values"
    if issubclass(value, Exception):
        return "errors"
    return "events" if issubclass(value, simopen.Event) else "classes"


def grouped(module: ModuleType) -> dict[str, list[str]]:
    """The public names of a module in their groups."""
    groups: dict[str, list[str]] = {}
    for name in own_names(module.__name__):
        groups.setdefault(kind_of(name, getattr(module, name)), []).append(name)
    return groups


def directive(path: str, value: object) -> str:
    """The directive that documents one name."""
    if inspect.isclass(value):
        more = "\n   :show-inheritance:" if issubclass(value, BaseException) else ""
        more += "\n   :undoc-members:" if issubclass(value, enum.Enum) else ""
        if hasattr(value, "_fields"):  # a named tuple's own docstrings say nothing
            more += f"\n   :exclude-members: {', '.join(value._fields)}\n   :class-doc-from: class"
        return f".. autoclass:: {path}\n   :members:{more}\n"
    kind = "function" if inspect.isroutine(value) else "data"
    return f".. auto{kind}:: {path}\n"


def documented(door: str, chosen: Iterable[str]) -> str:
    """Directives for some names of a module."""
    module = import_module(door)
    found = (directive(f"{door}.{name}", getattr(module, name)) for name in chosen)
    return "```{eval-rst}\n" + "\n".join(found) + "```\n"


def group(kind: str) -> str:
    """A group of ``simopen``'s names."""
    return documented("simopen", grouped(simopen)[kind])


def whole(door: str, level: str = "##") -> str:
    """All groups of another module, one after the other, under headings if they are several."""
    groups = grouped(import_module(door))
    parts = [f"```{{eval-rst}}\n.. module:: {door}\n```\n"]
    for kind in ("functions", "classes", "values", "errors"):
        if kind in groups:
            head = f"{level} {kind.capitalize()}\n\n" if len(groups) > 1 else ""
            parts.append(head + documented(door, groups[kind]))
    return "\n".join(parts)


def others() -> str:
    """The modules without a page of their own."""
    doors = [door for door in DOORS if door not in OWN_PLACE]
    return "\n".join(
        f"## {door}\n\n{summary(door)}\n\n{also_at_the_first(door)}{whole(door, '###')}"
        for door in doors
    )


def also_at_the_first(door: str) -> str:
    """Which of a module's names are those of ``simopen``, in a sentence."""
    known = [name for name in names(import_module(door)) if name not in own_names(door)]
    links = ", ".join(f"{{py:obj}}`~simopen.{name}`" for name in known)
    return f"It has these of `simopen`: {links}.\n\n" if known else ""


def summary(door: str) -> str:
    """What a module says of itself in its first line."""
    return (import_module(door).__doc__ or "").partition("\n")[0]


def errors_tree() -> str:
    """The tree of errors as the head of its module draws it."""
    text = inspect.getdoc(inspect.getmodule(simopen.SimopenError)) or ""
    drawn = inspect.cleandoc(text.partition("::\n\n")[2].partition("\n\n")[0])
    return f"```text\n{drawn}\n```\n"


PARTS: dict[str, Callable[[], str]] = {
    **{
        f"api {kind}": partial(group, kind)
        for kind in ("functions", "classes", "coordinator", "values", "errors", "events")
    },
    **{f"api of {door}": partial(whole, door) for door in OWN_PLACE[1:]},
    "api of the others": others,
    "tree of errors": errors_tree,
}

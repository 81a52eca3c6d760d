"""Topologies as TOML files: read from a path, or by the name of one that comes with the package.

A file says what `Topology` says, field by field:

    summary = "a home and a server"
    seed = 1

    [[sites]]
    name = "home"
    hosts = ["alice"]
    gateway = "home-router"        # a preset, or a table: { kind = "nat", ports = "random" }
    link = { latency = 0.010, loss = 0.01 }

    [[sites]]
    name = "net"
    hosts = ["server"]
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import msgspec

from simopen.lab._errors import TopologyError
from simopen.lab.topology import Topology

_FOLDER = Path(__file__).parent / "topologies"
_SUFFIX = ".toml"


def built_in() -> dict[str, Topology]:
    """Return the topologies that come with the package, by name."""
    return {name: _read(_FOLDER / f"{name}{_SUFFIX}") for name in _names()}


def load(topology: str | os.PathLike[str]) -> Topology:
    """Return a topology by its name, or from a TOML file.

    Args:
        topology: One of `built_in()`, or the path of a file, known by its "/" or ".toml".

    Raises:
        TopologyError: There is none of that name, or the file is wrong; the text says where.
        OSError: The file cannot be read.
    """
    name = os.fspath(topology)
    if os.sep in name or name.endswith(_SUFFIX):
        return _read(Path(name))
    if not (path := _FOLDER / f"{name}{_SUFFIX}").exists():
        known = ", ".join(_names())
        raise TopologyError(f"no topology is called {name!r}; there are {known}, or a .toml file")
    return _read(path)


def _names() -> list[str]:
    return sorted(path.stem for path in _FOLDER.glob(f"*{_SUFFIX}"))


def _read(path: Path) -> Topology:
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Topology)
    except (ValueError, RecursionError) as error:  # nesting; numbers too long for Python to read
        raise TopologyError(f"{path}: {error}") from error

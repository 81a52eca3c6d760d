"""What is fuzzed: the modules of this package that have no underscore in front."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
CORPUS = FOLDER / "corpus"
LONGEST = 256  # bytes of an input, where a target has no reason for another number


@dataclass(frozen=True, slots=True)
class Target:
    """One decoder and what must hold for it.

    Attributes:
        name: The module's.
        invariant: The first sentence of its docstring.
        check: Raises where the invariant is broken.
        seeds: Inputs to begin with.
        longest: Bytes of the longest input worth trying.
    """

    name: str
    invariant: str
    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    longest: int

    @property
    def folder(self) -> Path:
        """Where its corpus is."""
        return CORPUS / self.name

    def corpus(self) -> list[Path]:
        """The inputs that were kept, in a fixed order."""
        return sorted(self.folder.glob("*"))


def names() -> list[str]:
    """All targets."""
    return sorted(path.stem for path in FOLDER.glob("[!_]*.py"))


def load(name: str) -> Target:
    """Import one target."""
    module = importlib.import_module(f"fuzz.{name}")
    text = inspect.getdoc(module) or ""
    return Target(
        name=name,
        invariant=" ".join(text.partition("\n\n")[0].split()),
        check=module.check,
        seeds=getattr(module, "SEEDS", ()),
        longest=getattr(module, "LONGEST", LONGEST),
    )

"""The events at a glance."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields

import simopen
from docs.tables import meanings, table

from .api import grouped


def events() -> str:
    """Each event by its name, when it comes, and what it carries besides the time."""

    def rows() -> Iterator[list[str]]:
        for name in grouped(simopen)["events"]:
            kind = getattr(simopen, name)
            if kind is simopen.Event:
                continue
            says = meanings(kind)
            own = [field.name for field in fields(kind) if field.name in says]
            summary = (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("``", "`")
            carried = ", ".join(f"`{field}`" for field in own)
            yield [f"`{kind.name}`", f"{{py:class}}`~simopen.{name}`", summary, carried]

    return table(["name", "class", "when", "carries"], iter(sorted(rows())))


PARTS: dict[str, Callable[[], str]] = {"events": events}

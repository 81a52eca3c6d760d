"""The pages, in four kinds; a page that nobody has placed is among the how-to guides."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

DOCS = Path(__file__).parent.parent
HOME = "index"
ROOT_PAGES = {
    "CHANGELOG.md": "changelog",
    "CONTRIBUTING.md": "contributing",
    "SECURITY.md": "vulnerabilities",
}
"""Files beside `docs/`, and the pages that have their text."""

PROGRAM = re.compile(r"^The program: \[examples/(\S+)\]\(\.\./examples/\1\)$", re.MULTILINE)

KINDS: dict[str, tuple[str, ...]] = {
    "tutorials": ("first_connection", "first_meeting", "your_application"),
    "how-to": (
        *("two_hosts", "asyncio_streams", "trio", "own_tls", "http", "examples", "testing"),
        *("containers", "operating", "doctor", "tracing", "measuring", "reporting", "lab"),
    ),
    "explanation": (
        *("kernel", "nats", "punching", "timing", "rendezvous", "security", "no_listener"),
        *("self_connection", "raw", "when_not"),
    ),
    "reference": (
        *("api", "errors", "events", "lab_api", "other_api", "commands", "protocol"),
        *("constants", "support", "benchmarks", *ROOT_PAGES.values()),
    ),
}


def placed(kind: str) -> list[str]:
    """The pages of a kind, in order."""
    if kind != "how-to":
        return list(KINDS[kind])
    known = {HOME, *(name for names in KINDS.values() for name in names)}
    others = sorted(page.stem for page in DOCS.glob("*.md") if page.stem not in known)
    return [*KINDS[kind], *others]


def toctree(kind: str) -> str:
    """The table of contents of a kind."""
    head = f"```{{toctree}}\n:caption: {kind.capitalize()}\n:maxdepth: 1\n\n"
    return head + "\n".join(placed(kind)) + "\n```\n"


def at_home(text: str) -> str:
    """A text with its links to files beside `docs/` as links to their pages."""
    for name, page in ROOT_PAGES.items():
        text = text.replace(f"](../{name}", f"]({page}.md")
    return text


def with_programs(text: str) -> str:
    """A text with the programs of `examples/` in the place of links to them."""
    return PROGRAM.sub(lambda found: program(found[1]), text)


def program(name: str) -> str:
    """A program without what it says of itself."""
    head = ast.parse((DOCS.parent / "examples" / name).read_text()).body[0]
    first = (head.end_lineno or 0) + 2
    return f"```{{literalinclude}} ../examples/{name}\n:language: python\n:lines: {first}-\n```"


def root_page(name: str) -> str:
    """The text of a file beside `docs/`, with its links as seen from here."""
    text = (DOCS.parent / name).read_text()
    text = re.sub(r"\]\((?![a-z]+:|#)", "](../", text)
    return at_home(text.replace("](../docs/", "]("))


PARTS: dict[str, Callable[[], str]] = {
    **{f"pages {kind}": partial(toctree, kind) for kind in KINDS},
    **{f"file {name}": partial(root_page, name) for name in ROOT_PAGES},
}

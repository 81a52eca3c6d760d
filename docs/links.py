"""Sees that every link within the built site leads to a page, and to a place that is on it.

    python -m docs.links docs/_build/html

Sphinx checks what is written as a reference; this checks what the reader gets.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page links to, and where it can be linked to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.places: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of an element's own name and of what it leads to."""
        said = dict(attrs)
        self.places |= {name for name in (said.get("id"), said.get("name")) if name}
        where = said.get("href") if tag in ("a", "link") else said.get("src")
        if where:
            self.links.add(where)


def lost(site: Path) -> list[str]:
    """Each link that leads nowhere, with its page."""
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = unquote(parts.fragment)
            known = pages[there].places if there in pages else set()
            if not there.exists() or (place and there in pages and place not in known):
                found.append(f"{path.relative_to(site.resolve())}: {link}")
    return found


def main() -> None:
    """Tell of all of them."""
    found = lost(Path(sys.argv[1]))
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()

"""The report as one HTML page that needs nothing else: no script, no font, no other file.

Light or dark as the reader's system is, and light on paper: the pictures' colours are variables
(`_palette`). What files say is escaped, and a policy in the page's head forbids whatever would
still be a script or would fetch something.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from simopen.figures._canvas import Picture
from simopen.figures._palette import PAPER, themed, variables
from simopen.figures._tables import Table

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_DARK_PAPER = "#0d1117"
_STYLE = """
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 62rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
figure { margin: 1.5rem 0 2.5rem; break-inside: avoid; }
figure > div, .wide { overflow-x: auto; }
figure svg { display: block; max-width: 100%; height: auto; min-width: 34rem; }
figcaption, .faint { color: var(--faint); font-size: .875rem; max-width: 46rem; }
.note { border-left: 4px solid var(--vermilion); padding-left: .75rem; }
table { border-collapse: collapse; margin: 1rem 0 2rem; font-variant-numeric: tabular-nums;
  font-size: .875rem; }
caption { text-align: left; font-weight: 600; padding-bottom: .4rem; font-size: 1rem; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--hair); text-align: right;
  white-space: nowrap; }
th:first-child { text-align: left; font-weight: normal; padding-left: 0; white-space: normal; }
thead th, thead th:first-child { font-weight: 600; vertical-align: bottom; }
@media print { body { max-width: none; padding: 0; font-size: 12px; }
  table { font-size: 9px; } th, td { padding: .15rem .4rem; } figure svg { min-width: 0; } }
"""
_OUTSIDE = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>", re.DOTALL)
_IDS = re.compile(r'(\bid="|url\(#|href="#)')
_SIZE = re.compile(r'(<svg\b[^>]*? width="[\d.]+pt") height="[\d.]+pt"')


def page(
    title: str,
    *,
    about: Iterable[str],
    notes: Iterable[str],
    tables: Iterable[Table],
    pictures: Iterable[Picture],
) -> str:
    """Make the page.

    Args:
        title: Of the page.
        about: What its files are, a paragraph for each.
        notes: What a reader has to know first.
        tables: The numbers.
        pictures: The figures.
    """
    light, dark = variables(dark=False), variables(dark=True)
    style = (
        f":root{{color-scheme:light dark;--paper:{PAPER};{light}}}\n"
        f"@media screen and (prefers-color-scheme:dark)"
        f"{{:root{{--paper:{_DARK_PAPER};{dark}}}}}{_STYLE}"
    )
    body = [
        f"<h1>{html.escape(title)}</h1>",
        *(f'<p class="faint">{html.escape(each)}</p>' for each in about),
        *(f'<p class="note">{html.escape(each)}</p>' for each in notes),
        "<h2>In numbers</h2>",
        *(table.html() for table in tables),
        "<h2>In pictures</h2>",
        *(_figure(picture) for picture in pictures),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _figure(picture: Picture) -> str:
    caption = html.escape(f"{picture.title}. {picture.words}")
    svg = inline(picture.svg, picture.name)
    return (
        f'<figure id="{picture.name}">\n<div>{svg}</div>\n'
        f"<figcaption>{caption}</figcaption>\n</figure>"
    )


def inline(svg: str, name: str) -> str:
    """An SVG document as a part of a page: in its colours, and with ids of its own."""
    inner = _OUTSIDE.sub("", svg).strip()
    inner = _SIZE.sub(r"\1", inner, count=1)  # as high as its width asks for
    return themed(_IDS.sub(rf"\g<1>{name}-", inner))

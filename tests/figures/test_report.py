from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec.structs import replace

from simopen import figures
from simopen.figures._page import inline
from simopen.figures._report import chosen
from tests.figures.makers import cell, grid, lines, measured, trial

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


class Tags(HTMLParser):
    """What a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count a tag and its id."""
        self.tags[tag] += 1
        for name, value in attrs:
            self.attributes.append((name, value or ""))
            if name == "id":
                self.ids[value or ""] += 1


def parsed(page: str) -> Tags:
    """A page, taken apart."""
    tags = Tags()
    tags.feed(page)
    return tags


@pytest.fixture(scope="module")
def report() -> figures.Report:
    """A run and a grid together."""
    cells = (cell(), cell() | {"skew": 0.4}, cell("loss", 3, loss=0.05))
    return figures.make(
        [figures.read("a.jsonl", lines(measured(9))), figures.read("g.jsonl", grid(*cells))]
    )


def test_everything_is_drawn(report: figures.Report) -> None:
    """Curves, heat maps and ladders, in this order."""
    assert [picture.name for picture in report.pictures] == [
        *("time-to-connect-1", "time-to-connect-2", "time-to-connect-3"),
        *("success-1", "success-2", "success-3"),
        *("trial-1-best", "trial-1-median", "trial-1-worst"),
    ]


def test_the_page_stands_by_itself(report: figures.Report) -> None:
    """No script, nothing from elsewhere, every id once, and a palette for the dark."""
    page = report.html()
    tags = parsed(page)
    assert tags.tags["svg"] == tags.tags["figure"] == len(report.pictures)
    assert tags.tags["table"] == len(report.tables)
    assert not {"script", "link", "img", "iframe"} & set(tags.tags)
    assert max(tags.ids.values()) == 1
    references = [value for name, value in tags.attributes if name in ("href", "src", "xlink:href")]
    assert references
    assert all(value.startswith("#") and value[1:] in tags.ids for value in references)
    assert "prefers-color-scheme:dark" in page
    assert "default-src 'none'" in page


def test_pictures_of_a_page_take_its_colours(report: figures.Report) -> None:
    """No ink of the light palette is left in them."""
    for picture in report.pictures:
        assert "#1f2328" in picture.svg
        assert "#1f2328" not in inline(picture.svg, picture.name)


def test_pictures_of_a_page_are_as_large_as_their_files(report: figures.Report) -> None:
    """Their letters too; where there is less room, width and height shrink together."""
    for picture in report.pictures:
        (width,) = re.findall(r'<svg[^>]* width="([\d.]+pt)" height=', picture.svg)
        (head,) = re.findall(r"<svg[^>]*>", inline(picture.svg, picture.name))
        assert f'width="{width}"' in head
        assert "height=" not in head


def test_no_text_of_a_file_becomes_markup() -> None:
    """Neither a host's name nor an event's, nor a grid's row."""
    record = lines(measured(9, label=HOSTILE)).replace(b"punch.half_open", b"<script>x()")
    record = record.replace(b'"cause":"silence"', b'"cause":"<script>"')
    data = grid(cell(HOSTILE[:60], pair=["<script>", "b"]))
    made = figures.make([figures.read(HOSTILE, record), figures.read("<script>", data)])
    tags = parsed(made.html())
    assert not {"script", "img"} & set(tags.tags)
    assert not [name for name, _ in tags.attributes if name.startswith("on")]
    for picture in made.pictures:
        assert not re.search(r"<script|<img", picture.svg)
    assert not re.search(r"(?<!\\)<(script|img)", made.markdown(pictures=False))


def test_best_median_and_worst() -> None:
    """By time; a failed trial is worse than any that connected."""
    trials = [trial(number, took=took) for number, took in enumerate((0.08, 0.06, 0.09, 0.07), 1)]
    assert [(word, one.number) for word, one in chosen(trials)] == [
        ("best", 2),
        ("median", 4),
        ("worst", 3),
    ]
    failed = trial(5, ok=False)
    assert [one.number for _, one in chosen([*trials, failed])] == [2, 4, 5]
    assert [word for word, _ in chosen([failed])] == ["worst"]
    assert chosen([]) == []
    alone = replace(failed, number=6, theirs=None)
    assert [one.number for _, one in chosen([alone, failed])] == [5]
    assert [one.number for _, one in chosen([alone])] == [6]


def test_files(report: figures.Report, tmp_path: Path) -> None:
    """The page first, the tables, and each picture; what was there by that name is replaced."""
    (tmp_path / "report.html").write_text("old")
    written = figures.write(report, tmp_path / "new" / "folder")
    assert figures.write(report, tmp_path)[0] == tmp_path / "report.html"
    assert (tmp_path / "report.html").read_text() == report.html()
    assert {path.suffix for path in written} == {".html", ".md", ".svg", ".png"}
    markdown = (tmp_path / "report.md").read_text()
    for picture in report.pictures:
        assert (tmp_path / f"{picture.name}.png").read_bytes().startswith(b"\x89PNG")
    for name in re.findall(r"\]\(([^)]+\.svg)\)", markdown):
        assert '<rect width="100%" height="100%" fill="#ffffff"/>' in (tmp_path / name).read_text()


def test_progress(report: figures.Report) -> None:
    """It is told from none to all."""
    told: list[tuple[int, int]] = []
    figures.make([figures.read("a", lines(measured(9)))], lambda *each: told.append(each))
    assert told[0] == (0, 5)
    assert told[-1] == (5, 5)
    assert report.notes == ()

"""The site has a place for everything, and what is made for it says what the code says."""

from __future__ import annotations

import ast
import dataclasses
import enum
import inspect
import re
from collections.abc import Callable
from fractions import Fraction
from importlib import import_module
from pathlib import Path

import pytest

import simopen
from docs import conf, links, parts
from docs.parts import api, causes, commands, constants, events, machine, pages
from docs.tables import meanings
from simopen.cli._app import app
from simopen.punch._lane import TRANSITIONS, State

DOCS = Path(__file__).parent.parent / "docs"
PAGES = {page.stem: page.read_text() for page in DOCS.glob("*.md")}
SITE = {name: parts.filled(text) for name, text in PAGES.items()}
NUMBERS = (simopen.PunchOptions, simopen.CoordinatorLimits)
CONSTANTS = [
    each
    for paths in constants.rooms().values()
    for path in paths
    for each in constants.constants_of(path)
]


# -- pages -----------------------------------------------------------------------------------------


def test_every_page_is_in_one_kind() -> None:
    """What is in a table of contents is there, and what is there is in one."""
    placed = [name for kind in pages.KINDS for name in pages.placed(kind)]
    assert sorted(placed) == sorted({*PAGES} - {pages.HOME})


def test_a_page_that_nobody_has_placed_is_a_guide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a new page is on the site before somebody thinks of it."""
    (tmp_path / "fresh.md").touch()
    monkeypatch.setattr(pages, "DOCS", tmp_path)
    assert pages.placed("how-to")[-1] == "fresh"


def test_every_part_is_on_a_page() -> None:
    """Nothing is made in vain, and nothing stays a marker."""
    named = [name for text in PAGES.values() for name in parts.MARKER.findall(text)]
    assert sorted(named) == sorted(parts.PARTS)
    assert not any(parts.MARKER.search(text) for text in SITE.values())


def test_links_to_files_beside_the_folder_lead_to_their_pages() -> None:
    """On the site there is no file above the first page."""
    assert pages.at_home("[x](../SECURITY.md#y)") == "[x](vulnerabilities.md#y)"
    for name, page in pages.ROOT_PAGES.items():
        assert not re.search(r"\]\((\.\./)?docs/|\]\(\.\./[A-Z]+\.md", SITE[page]), name


def test_a_program_is_shown_without_its_docstring() -> None:
    """Where a file has a link, the site has the program; the docstring stands above it."""
    text = pages.with_programs("The program: [examples/hello.py](../examples/hello.py)")
    (begin,) = re.findall(r"^:lines: (\d+)-$", text, re.MULTILINE)
    lines = (DOCS.parent / "examples" / "hello.py").read_text().splitlines()
    assert lines[int(begin) - 1].startswith(("import", "from"))
    assert lines[int(begin) - 3].endswith('"""')


# -- the API ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", api.DOORS)
def test_what_is_documented_is_what_is_public(door: str) -> None:
    """Each name of ``__all__`` once, and no other; what two modules have, at the first."""
    text = "".join(SITE.values())
    shown = re.findall(rf"^\.\. auto\w+:: {re.escape(door)}\.(\w+)$", text, re.MULTILINE)
    assert sorted(shown) == sorted(api.own_names(door))
    for name in set(import_module(door).__all__) - set(shown):
        assert name in simopen.__all__


@pytest.mark.parametrize("door", api.DOORS)
def test_every_public_name_has_a_docstring(door: str) -> None:
    """Of its own, and not of the type that it is a value of."""
    module = import_module(door)
    for name in api.names(module):
        found = getattr(module, name)
        if callable(found) and not repr(found).startswith(("typing.", "collections.")):
            assert found.__doc__, name


MADE_BY_US = ("PeerStream", "Host", "Opening", "TwoHosts", "Network", "Event", "Traffic")
"""Classes that a program is given and never makes."""


def parts_of(value: object) -> list[tuple[str, object]]:
    """A callable, and the public methods that are its own."""
    if not inspect.isclass(value):
        return [("", value)]
    own = [(name, member) for name, member in vars(value).items() if not name.startswith("_")]
    methods = [
        (name, getattr(member, "__func__", member))
        for name, member in own
        if inspect.isroutine(member) or isinstance(member, classmethod)
    ]
    made = value.__name__ in MADE_BY_US or issubclass(value, Exception | enum.Enum)
    return methods if made else [("", value), *methods]


def described(value: object, parameter: str) -> bool:
    """Whether a docstring has a line for a parameter; a constructor's may be its class's."""
    texts = [inspect.getdoc(value)]
    if inspect.isclass(value):
        texts += [inspect.getdoc(value.__init__), inspect.getdoc(simopen.Event)]
    line = re.compile(rf"^    \*{{0,2}}{parameter}: ", re.MULTILINE)
    return any(line.search(text or "") for text in texts)


@pytest.mark.parametrize("door", api.DOORS)
def test_every_parameter_is_described(door: str) -> None:
    """Of every call, constructor and method that is public."""
    module = import_module(door)
    missing = [
        f"{name}.{method}({parameter})"
        for name in api.names(module)
        if callable(found := getattr(module, name))
        and not repr(found).startswith(("typing.", "collections."))
        for method, member in parts_of(found)
        for parameter in inspect.signature(member).parameters  # type: ignore[arg-type]
        if parameter not in ("self", "cls") and not described(member, parameter)
    ]
    assert not missing


def read_by_autodoc(*handlers: Callable[..., None], text: str) -> list[str]:
    """A docstring as some handlers leave it."""
    lines = text.splitlines()
    for handler in handlers:
        handler(None, "class", "name", None, None, lines)
    return lines


def test_backticks_are_code_in_either_language() -> None:
    """Single ones too, next to a letter as well; roles and doubled ones stay as they are."""
    text = "`a`s, ``b``, :class:`.C` and `d`"
    (line,) = read_by_autodoc(conf.as_literals, text=text)
    assert line == r"``a``\ s, ``b``, :class:`.C` and ``d``"


def test_an_indented_block_is_code_in_either_language() -> None:
    """After a paragraph, but neither where it is said already nor under a heading."""
    text = "Words.\n\n    code\n\nSo::\n\n    code\n\nArgs:\n    a: A.\n\n    b: B."
    lines = read_by_autodoc(conf.as_code, text=text)
    assert lines[:5] == ["Words.", "", "::", "", "    code"]
    assert lines[6:] == text.splitlines()[4:]


def test_every_event_is_in_the_table() -> None:
    """By the name under which a trace has it."""
    for name in api.grouped(simopen)["events"]:
        kind = getattr(simopen, name)
        if kind is not simopen.Event:
            assert f"| `{kind.name}` |" in events.events()


def test_the_tree_of_errors_has_all_of_them() -> None:
    """And nothing that is none."""
    _, *lines, _ = api.errors_tree().splitlines()
    drawn = [re.split(r"\W", line.lstrip("│├└─ "))[0] for line in lines]
    assert sorted(drawn) == sorted(api.grouped(simopen)["errors"])


def test_every_cause_has_words() -> None:
    """What is likely, and what to do."""
    said = [cause for cause, explanation, advice in causes.sayings() if explanation and advice]
    assert set(said) == set(simopen.Cause)


# -- commands --------------------------------------------------------------------------------------


def test_every_command_and_option_is_there() -> None:
    """Those of the groups below the first as well."""
    text = commands.commands()

    def look(words: tuple[str, ...]) -> None:
        _, (*_, found), _ = app.parse_commands(words)
        for name in found:
            if not name.startswith("-"):
                heading = f" simopen {' '.join((*words, name))}\n"
                assert heading in text
                section = text.partition(heading)[2].partition("\n#")[0]
                if found[name].default_command:
                    for argument in found[name].assemble_argument_collection():
                        assert all(option in section for option in argument.names)
                look((*words, name))

    look(())


# -- numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NUMBERS)
def test_every_option_has_a_unit_and_says_its_default(kind: type) -> None:
    """The default in the docstring is the one in the code."""
    says = meanings(kind)
    for field in dataclasses.fields(kind):
        meaning, value, _ = constants.DEFAULT.split(says[field.name])
        assert constants.unit(meaning), field.name
        if value != "False":
            assert float(Fraction(value.replace(",", ""))) == field.default, field.name


def test_every_constant_says_what_it_is() -> None:
    """In a comment or a docstring, with its unit."""
    assert not [each for each in CONSTANTS if not each.words]


def test_a_constant_is_described_behind_below_or_above() -> None:
    """Whichever way its module writes."""
    text = 'A = 1  # behind\nB = 2\n"""Below."""\n\n# Above,\n# in two lines.\nC = 3\nD = 4\n'
    body = ast.parse(text).body
    found = [
        constants.words_of(text.splitlines(), node, following)
        for node, following in zip(body, [*body[1:], None], strict=True)
        if isinstance(node, ast.Assign)
    ]
    assert found == ["behind", "Below", "Above, in two lines", ""]


# -- the state machine -----------------------------------------------------------------------------


def test_every_state_and_transition_is_drawn() -> None:
    """The picture has what the table has."""
    picture = machine.drawn(machine.LANE, machine.arrows())
    assert set(machine.LANE.places) == {state.name for state in State}
    for state in State:
        assert picture.count(f">{state.name}</text>") == 1
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", picture)
    assert len(texts) == len(State) + len(TRANSITIONS)
    assert picture.count('class="arrow"') == len(machine.arrows())


def test_nothing_stands_outside_the_picture() -> None:
    """Every state and every point of an arrow is within its frame."""
    width, height = machine.LANE.size
    picture = machine.drawn(machine.LANE, machine.arrows())
    for x, y in re.findall(r"[ML]?(-?\d+),(-?\d+)", picture.partition("</defs>")[2]):
        assert 0 <= int(x) <= width
        assert 0 <= int(y) <= height + 200, "a control point may be a little below"


def test_a_hint_for_an_arrow_is_for_one_that_is_there() -> None:
    """No bend or place is kept for a transition that has gone."""
    hinted = {*machine.LANE.bends, *machine.LANE.slides}
    assert hinted <= set(machine.arrows())
    assert {(state, state) for state in machine.LANE.loops} <= set(machine.arrows())


# -- links -----------------------------------------------------------------------------------------


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    """To a page or a place that is not there; others are fine."""
    (tmp_path / "a.html").write_text(
        '<h1 id="top">a</h1><a href="b.html#here"/><a href="#top"/><a href="https://x.example/"/>'
        '<a href="b.html#gone"/><a href="c.html"/><img src="d.png"/>'
    )
    (tmp_path / "b.html").write_text('<p id="here">b</p>')
    assert links.lost(tmp_path) == ["a.html: b.html#gone", "a.html: c.html", "a.html: d.png"]

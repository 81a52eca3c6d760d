"""How Sphinx builds the site: `make docs`.

Theory of operation. Pages are Markdown in this folder, written to be read as files too. What the
code already says is not repeated in them: a line `<!-- made NAME -->` stands for the part of that
name in `docs.parts`, which is put in its place before the page is read. Names are documented where
they are imported from, whatever module they are defined in.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

sys.path.insert(0, str(Path(__file__).parent.parent))

from docs import parts
from simopen import __version__

project = "simopen"
release = __version__
html_title = f"simopen {release}"
html_theme = "furo"
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["site.css"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.doctest"]
exclude_patterns = ["_build"]

smartquotes = False  # two dashes begin an option
python_maximum_signature_line_length = 88
myst_heading_anchors = 4  # links to headings are as GitHub makes them
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autoclass_content = "both"  # what a class is, and what makes one
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

doctest_global_setup = "import simopen"

nitpicky = True
# What others document is not checked: where this is built there may be no network. Nor are types
# that stand in a signature and that nobody outside has to name.
nitpick_ignore_regex = [("py:.*", rf"(?!simopen\b){name}.*") for name in parts.FOREIGN] + [
    ("py:.*", rf"simopen(\.\w+)*\.{inside}.*") for inside in (r"_\w+\.", "capture", "wire")
]

# What is in backticks: a role or a literal of reStructuredText, or words that are meant as code.
MARKED = re.compile(r":[\w:]+:`[^`]*`|``.+?``|`(?P<words>[^`<]+)`")

linkcheck_timeout = 20  # seconds
linkcheck_ignore = [r"https?://(127\.0\.0\.1|[^/]*\.example)\b.*"]


def at_the_door(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element
) -> nodes.Element | None:
    """Lead a name of the module it is defined in to where it is documented."""
    door = parts.ALIASES.get(node.get("reftarget"))
    if door is None:
        return None
    domain = env.domains.python_domain
    return domain.resolve_any_xref(env, node["refdoc"], app.builder, door, node, content)[0][1]


def fill(_app: Sphinx, _page: str, source: list[str]) -> None:
    """Put the made parts into a page."""
    source[0] = parts.filled(source[0])


def as_literals(
    _app: Sphinx, _kind: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Read `words` between single backticks as code: some docstrings are Markdown."""
    lines[:] = [MARKED.sub(literal, line) for line in lines]


def as_code(  # Sphinx's arguments
    _app: Sphinx, _kind: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Read an indented block after a paragraph as code, as Markdown does."""
    before = ""
    found: list[str] = []
    for number, line in enumerate(lines):
        begins = line.startswith("    ") and number and not lines[number - 1].strip()
        if begins and before and not before.startswith(" ") and not before.endswith("::"):
            found += ["::", ""]
        before = line or before
        found.append(line)
    lines[:] = found


def with_colons(_app: Sphinx, page: nodes.document) -> None:
    """Part a parameter from its description by a colon."""
    for text in list(page.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(": "))


def literal(found: re.Match[str]) -> str:
    """Code in reStructuredText, also where a letter follows at once."""
    if found["words"] is None:
        return found[0]
    follows = found.string[found.end() : found.end() + 1]
    return f"``{found['words']}``" + (r"\ " if follows.isalnum() else "")


def setup(app: Sphinx) -> None:
    """Have both done."""
    app.connect("source-read", fill)
    app.connect("autodoc-process-docstring", as_code, priority=90)  # before napoleon
    app.connect("autodoc-process-docstring", as_literals, priority=100)
    app.connect("doctree-read", with_colons)
    app.connect("missing-reference", at_the_door)

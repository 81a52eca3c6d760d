"""The commands and their options, from the application that runs them."""

from __future__ import annotations

import re
from collections.abc import Callable

from simopen.cli._app import app


def commands() -> str:
    """All commands with their options, those of ``lab`` below it."""
    text = app.generate_docs(output_format="markdown", heading_level=1)
    text = text[text.index("## simopen ") :]  # the page has an introduction of its own
    text = re.sub(r"^\*\*(\w+)\*\*:$", r"*\1*", text, flags=re.MULTILINE)
    return text.rstrip() + "\n"


PARTS: dict[str, Callable[[], str]] = {"commands": commands}

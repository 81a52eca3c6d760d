"""The parts of the site that are made from the code each time it is built.

`<!-- made NAME -->` in a page stands for one of them. Unlike the tables of `docs.tables`, which are
also there for who reads the files, they are in no file: a name, an option or a command that comes
or goes comes or goes here too.
"""

from __future__ import annotations

import re

from . import api, causes, commands, constants, events, limit, machine, pages, support

MARKER = re.compile(r"^<!-- made (.+?) -->$", re.MULTILINE)
ALIASES, FOREIGN = api.aliases(), api.FOREIGN
PARTS = {
    **api.PARTS,
    **causes.PARTS,
    **commands.PARTS,
    **constants.PARTS,
    **events.PARTS,
    **limit.PARTS,
    **machine.PARTS,
    **pages.PARTS,
    **support.PARTS,
}


def filled(text: str) -> str:
    """A page with its parts in it.

    Raises:
        KeyError: There is no part of that name.
    """
    text = MARKER.sub(lambda found: PARTS[found[1]](), pages.at_home(text))
    return pages.with_programs(text)

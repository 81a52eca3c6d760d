"""What the commands are for: the panels of ``simopen --help``, in this order.

Every command is in one of them: ``@app.command(group=CONNECT)``.
"""

from __future__ import annotations

from cyclopts import Group

CONNECT = Group("Connect", sort_key=1)
SERVE = Group("Serve", sort_key=2)
MEASURE = Group("Measure", sort_key=3)
UNDERSTAND = Group("Understand", sort_key=4)
HELP = Group("Help", sort_key=5)

"""The doctor's pictures: when SYNs leave, and what the NAT makes of a port.

Pure, and in ASCII, so that they are the same everywhere.
"""

from __future__ import annotations

from collections import Counter

from simopen._report import count
from simopen.doctor import Mapping, SynSchedule

SHOWN = 12.0  # seconds of the schedule; after that the waits are long
LEAST_COLUMNS, MOST_COLUMNS = 2, 6  # for one second


def schedule(times: SynSchedule, room: int) -> list[str]:
    """A time line of the SYNs of one ``connect()``, with the seconds below.

    Args:
        times: The schedule.
        room: Columns.
    """
    per_second = max(LEAST_COLUMNS, min(MOST_COLUMNS, (room - 10) // int(SHOWN)))
    marks = [0.0, *(each for each in times.retransmissions if each <= SHOWN)]
    end = min(times.gives_up, SHOWN)
    line = ["-"] * (round(end * per_second) + 1)
    figures = [" "] * (len(line) + 3)
    for mark in marks:
        column = round(mark * per_second)
        line[column] = "S"
        figures[column : column + len(f"{mark:g}")] = f"{mark:g}"
    if end < SHOWN:
        line[-1] = "x"
        figures[len(line) - 1 : len(line) - 1 + len(f"{end:g}")] = f"{end:g}"
    more = "" if end < SHOWN else "-..."
    return ["".join(line) + more, "".join(figures).rstrip() + " s"]


def nat(mapping: Mapping) -> list[str]:
    """Our endpoint on the left, what the outside sees on the right.

    Args:
        mapping: What was seen.
    """
    between = "-----------" if mapping.is_own else "--[ NAT ]--"
    begin = f"{mapping.local} {between}"
    lines = []
    for observed, views in Counter(mapping.observed).items():
        seen = f"> {observed}  seen by {count(views, 'port')}"
        lines.append(f"{begin}{seen}")
        begin = " " * (len(f"{mapping.local} {between}") - 2) + "\\-"
    return lines

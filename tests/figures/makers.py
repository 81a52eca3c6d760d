"""Result files made up for the figures' tests."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from typing import Any

from simopen.measure._records import End, Moment, Record, Run, Side, Trial, encode_line

ENVIRONMENT = {"kernel": "6.1", "python": "3.12.1", "loop": "uvloop", "simopen": "0.1.0"}
RTT = 0.04  # seconds
HEAD: dict[str, Any] = {
    "at": "2026-01-02T03:04:05+00:00",
    "kernel": "6.1",
    "python": "3.12.1",
    "cpus": 2,
    "simopen": "0.1.0",
    "loop": "trio",
}


def side(took: float, attempts: int = 1, *, ok: bool = True, before: float = 0.0) -> Side:
    """What one host saw that began `before` the other: SYNs, all but the last unanswered."""
    ended = before + took
    every = 0.5 if attempts > 1 else 0.0
    events = [Moment(0.0, "punch.started")]
    for number in range(attempts):
        if number:
            events.append(Moment(every * number, "punch.refreshed", 0))
        events.append(Moment(every * number, "punch.attempt", 0))
    if ok:
        events += [Moment(ended - 0.001, "punch.half_open", 0), Moment(ended, "punch.connected")]
    return Side(
        ok=ok,
        elapsed=ended,
        attempts=attempts,
        refreshes=attempts - 1,
        round_trip=RTT,
        mapping="stable",
        cause=None if ok else "silence",
        events=tuple(events),
    )


def trial(
    number: int, *, skew: float = 0.05, took: float = 0.06, ok: bool = True, run: str = "ab12"
) -> Trial:
    """A trial in which we begin later by `skew`, or before if negative; a failed one has 2 s."""
    sides = [
        side(took if ok else 2.0, 1 if ok else 4, ok=ok, before=before)
        for before in (max(0.0, -skew), max(0.0, skew))
    ]
    return Trial(
        run=run,
        number=number,
        skew=skew,
        ok=ok,
        took=took if ok else None,
        limit=1.5 * RTT if abs(skew) > RTT / 2 else RTT,
        ours=sides[0],
        theirs=sides[1],
    )


def measured(
    trials: int = 9, *, label: str = "alice", run: str = "ab12", **more: Any
) -> list[Record]:
    """A run of trials; every fifth fails, the others take ever longer."""
    chance = random.Random(7)
    skews = (0.0, 0.05, 0.4)
    fields: dict[str, Any] = {
        "run": run,
        "at": "2026-01-02T03:04:05Z",
        "label": label,
        "peer_label": "bob",
        "mode": "direct",
        "trials": trials,
        "timeout": 10.0,
        "skews": skews,
        "environment": ENVIRONMENT,
    }
    found: list[Record] = [Run(**{**fields, **more})]
    for number in range(1, trials + 1):
        skew = skews[number % 3]
        least = 1.5 * RTT if skew > RTT / 2 else RTT
        took = least * (1 + chance.random() * 0.1) if number % 7 else 0.5 + least
        turn = skew * (-1) ** number
        found.append(trial(number, skew=turn, took=took, ok=bool(number % 5), run=run))
    return [*found, End(run=run, finished=True, why="done")]


def cell(row: str = "clean", succeeded: int = 4, trials: int = 4, **more: Any) -> dict[str, Any]:
    """A cell of a grid: four trials at a round trip of 40 ms, each 60 ms long."""
    path = {
        "row": row,
        "pair": ["drop", "rst"],
        "kernel": False,
        "rtt": RTT,
        "loss": 0.0,
        "jitter": 0.0,
    }
    path |= {name: more.pop(name) for name in list(more) if name in path}
    fields = {
        "path": path,
        "skew": 0.0,
        "writes": True,
        "naive": False,
        "aided": False,
        "trials": trials,
        "succeeded": succeeded,
        "false": 0,
        "times": [0.06] * succeeded,
        "syns": [2] * succeeded,
        "failures": [],
        "limit": RTT,
    }
    return fields | more


def lines(records: Iterable[Record]) -> bytes:
    """Records as a file."""
    return "".join(f"{encode_line(record)}\n" for record in records).encode()


def grid(*cells: dict[str, Any]) -> bytes:
    """Cells as a file."""
    return "".join(f"{json.dumps(line)}\n" for line in (HEAD, *cells)).encode()

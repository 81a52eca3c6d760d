"""What came of the trials: answers read, trials judged, tables made. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from benchmarks.display import table
from benchmarks.rivals.agent import Answer
from benchmarks.rivals.catalogue import CONTENDERS
from benchmarks.statistics import percentile

Pair = tuple[str, str]


class AdapterError(Exception):
    """An adapter did not come up, said what is no answer, or said nothing."""


@dataclass(frozen=True)
class Result:
    """One trial of one contender.

    Attributes:
        contender: Whose.
        pair: The two sites.
        number: The round: the same skew and phase for all contenders.
        skew: Seconds from the earlier start to the later.
        ok: Whether both sides held what carried the other's bytes.
        false: Sides that held what carried nothing.
        usable: Seconds from the later start until the last side held it; None if not ok.
        encrypted: Likewise encrypted; None if not ok, or if there is no encryption.
        words: What each side said of a failure.
    """

    contender: str
    pair: Pair
    number: int
    skew: float
    ok: bool
    false: int
    usable: float | None
    encrypted: float | None
    words: tuple[str, str]


def came_up(line: bytes) -> dict[str, str]:
    """The first line of an adapter: the versions of its packages.

    Raises:
        AdapterError: It is something else.
    """
    try:
        return msgspec.json.decode(line, type=dict[str, dict[str, str]])["versions"]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
        raise AdapterError(f"no versions: {line[:80]!r}") from None


def answered(line: bytes) -> Answer | dict[str, Any]:
    """A line of an adapter: what it has for the peer, or its answer.

    Raises:
        AdapterError: It is neither.
    """
    try:
        said = msgspec.json.decode(line, type=dict[str, Any])
        if "ours" in said:
            return msgspec.convert(said["ours"], dict[str, Any])
        return msgspec.convert(said, Answer)
    except msgspec.ValidationError as error:
        raise AdapterError(f"no answer: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise AdapterError(f"no JSON: {line[:80]!r}") from None


def judge(
    contender: str, pair: Pair, number: int, skew: float, sides: tuple[Answer, Answer]
) -> Result:
    """What two answers come to."""
    ok = all(side.usable is not None and side.proven for side in sides)
    began = max(side.began for side in sides)
    return Result(
        contender,
        pair,
        number,
        skew,
        ok=ok,
        false=sum(side.usable is not None and not side.proven for side in sides),
        usable=_last(began, [side.usable for side in sides]) if ok else None,
        encrypted=_last(began, [side.encrypted for side in sides]) if ok else None,
        words=(sides[0].words, sides[1].words),
    )


def _last(began: float, moments: Sequence[float | None]) -> float | None:
    known = [each for each in moments if each is not None]
    return round(max(known) - began, 6) if len(known) == len(moments) else None


def tables(results: Sequence[Result], absent: dict[str, str]) -> str:
    """All results as Markdown: successes, times, what failures said, who is absent and why."""
    pairs = list(dict.fromkeys(each.pair for each in results))
    tried = {each.contender for each in results}
    names = [each.name for each in CONTENDERS if each.name in tried]
    groups = {
        (name, pair): [each for each in results if (each.contender, each.pair) == (name, pair)]
        for name in names
        for pair in pairs
    }
    head = ["", *("~".join(pair) for pair in pairs)]

    def rows(figure: Any) -> list[list[str]]:  # noqa: ANN401  # of a group, its cell
        return [[name, *(figure(groups[name, pair]) for pair in pairs)] for name in names]

    parts = [
        "Succeeded, of trials",
        table(head, rows(successes)),
        "Usable on both sides: median (longest), ms after the later start",
        table(head, rows(lambda group: times(each.usable for each in group))),
        "Encrypted on both sides: median (longest), ms after the later start",
        table(head, rows(lambda group: times(each.encrypted for each in group))),
    ]
    if failures := [row for key, group in groups.items() if (row := failure_row(key, group))]:
        parts += [
            "What was said of failures, most often",
            table(["", "sites", "failed", "words"], failures),
        ]
    if absent:
        parts += ["Could not be run", table(["", "why"], [list(item) for item in absent.items()])]
    return "\n\n".join(parts)


def successes(group: Sequence[Result]) -> str:
    """How many of a group succeeded, and how many sides were deceived."""
    false = sum(each.false for each in group)
    return f"{sum(each.ok for each in group)}/{len(group)}" + (f", {false} false" if false else "")


def times(seconds: Iterable[float | None]) -> str:
    """The median and the longest, in milliseconds."""
    known = [each for each in seconds if each is not None]
    if not known:
        return "-"
    return f"{percentile(known, 50) * 1000:.0f} ({max(known) * 1000:.0f})"


def failure_row(key: tuple[str, Pair], group: Sequence[Result]) -> list[str] | None:
    """What a contender said most often of its failures at a pair of sites; None: it had none."""
    failed = [each for each in group if not each.ok]
    if not failed:
        return None
    said = Counter(words for each in failed for words in each.words if words)
    words = said.most_common(1)[0][0] if said else "nothing"
    return [key[0], "~".join(key[1]), str(len(failed)), words.replace("|", "\\|")[:160]]

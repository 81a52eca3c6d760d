"""The result file: one record a line, in JSON (schema ``simopen.measure/1``).

Theory of operation. A file has one run or several, one after the other: a :class:`Run`, which says
what was measured on what, its :class:`Trial` lines in order, and an :class:`End`. A run without its
end was killed; its trials count none the less. All times are in seconds.

A trial is written as soon as it is over. What the peer tells of a failed one comes later, over the
next connection; then the trial is written once more, and the last of a number is the one that
counts.

Invariants:

- What :func:`encode_line` writes, :func:`decode_line` reads as the same value.
- Fields that are not known are ignored, so that a later version may add some; a schema of another
  name is refused. Whatever else is malformed is a :class:`ResultFileError`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from simopen._errors import UsageError

SCHEMA = "simopen.measure/1"
MOST_EVENTS = 200  # of one side of a trial; what comes after them is dropped
MOST = 10**9  # of anything, and 30 years in seconds: what is computed from such numbers is finite

Count = Annotated[int, msgspec.Meta(ge=0, le=MOST)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=MOST)]
Offset = Annotated[float, msgspec.Meta(ge=-MOST, le=MOST)]  # seconds, either way
# What a peer has said may come to a terminal: without control characters.
Word = Annotated[str, msgspec.Meta(max_length=256, pattern=r"^[^\x00-\x1f\x7f-\x9f]*\Z")]
Mapping: TypeAlias = Literal["stable", "varies", "unknown"]


class ResultFileError(UsageError):
    """This is no result file, or one that has been damaged."""


class Moment(msgspec.Struct, frozen=True, array_like=True):
    """An event of a trial: ``[at, name, lane]``.

    Attributes:
        at: Seconds since its side's call began.
        name: The event's name (``"punch.attempt"``).
        lane: Which pair of endpoints, or None where it concerns all.
    """

    at: Seconds
    name: Word
    lane: Count | None = None


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a trial at one host.

    Attributes:
        ok: Whether it held a connected stream.
        elapsed: Seconds from its call to that stream, or to giving up.
        attempts: SYNs by its own hand.
        refusals: Attempts that were answered by a reset or an ICMP error.
        refreshes: SYNs that nobody answered and that were replaced.
        path: How the peer was reached, as in :class:`simopen.PunchReport`.
        local: Its endpoint, as it sees it itself.
        remote: The peer's, as it reaches it.
        observed: Its endpoints as the coordinator sees them.
        mapping: Whether its NAT keeps one endpoint for all destinations.
        rounds: Introductions; none without a coordinator.
        waited: Seconds from its call to the latest introduction; None without a coordinator.
        round_trip: Seconds to the peer and back, the least that was seen.
        coordinator_round_trip: Seconds to the coordinator and back, likewise.
        cause: The diagnosis of a failure (:class:`simopen.Cause`), in words.
        error: The class of the error that a failure ended with.
        events: What happened, the first ``MOST_EVENTS``.
    """

    ok: bool
    elapsed: Seconds
    attempts: Count = 0
    refusals: Count = 0
    refreshes: Count = 0
    path: Word = ""
    local: Word = ""
    remote: Word = ""
    observed: Annotated[tuple[Word, ...], msgspec.Meta(max_length=8)] = ()
    mapping: Mapping = "unknown"
    rounds: Count = 0
    waited: Seconds | None = None
    round_trip: Seconds | None = None
    coordinator_round_trip: Seconds | None = None
    cause: Word | None = None
    error: Word | None = None
    events: Annotated[tuple[Moment, ...], msgspec.Meta(max_length=MOST_EVENTS)] = ()


class Run(msgspec.Struct, frozen=True, kw_only=True, tag_field="record", tag="run"):
    """The first line of a run.

    Attributes:
        schema: ``SCHEMA``.
        run: The run's name, the same in both hosts' files.
        at: When it began here, ISO 8601 in UTC.
        label: This host's name.
        peer_label: The peer's, or None where it was never met.
        mode: Whether a coordinator introduced the two, or both knew both endpoints.
        encrypted: Whether the streams are TLS, and proven.
        trials: How many were asked for.
        timeout: Seconds a trial may take.
        skews: Seconds from the earlier start to the later, in turn.
        environment: What this host is: kernel, versions, loop, settings.
        peer_environment: The same of the peer, or None where it was never met.
    """

    schema: str = SCHEMA
    run: str
    at: str
    label: Word
    peer_label: Word | None = None
    mode: Literal["rendezvous", "direct"]
    encrypted: bool = False
    trials: Count
    timeout: Seconds
    skews: tuple[Seconds, ...]
    environment: dict[str, Any]
    peer_environment: dict[str, Any] | None = None


class Trial(msgspec.Struct, frozen=True, kw_only=True, tag_field="record", tag="trial"):
    """One trial.

    Attributes:
        run: The run's name.
        number: 1 for the first; 0 for an opening, which failed and has no place in the timetable.
        planned: The skew that the timetable asks for; None for an opening.
        skew: Seconds by which we began after the peer; negative where before, None if not known.
        ok: Whether both sides held the stream and bytes crossed it both ways.
        took: Seconds from the later start to the last side's stream, or None.
        limit: The least that is possible between these two hosts with this skew, or None.
        bound: The least through the coordinator (T* with the way there), or None.
        ours: This host's side.
        theirs: The peer's, or None where it was never told.
    """

    run: str
    number: Count
    planned: Offset | None = None
    skew: Offset | None = None
    ok: bool
    took: Seconds | None = None
    limit: Seconds | None = None
    bound: Seconds | None = None
    ours: Side
    theirs: Side | None = None


class End(msgspec.Struct, frozen=True, kw_only=True, tag_field="record", tag="end"):
    """The last line of a run.

    Attributes:
        run: The run's name.
        finished: Whether all trials were run.
        why: ``"done"``, ``"interrupted"``, or what ended it, in words.
    """

    run: str
    finished: bool
    why: str


Record: TypeAlias = Run | Trial | End


@dataclass(slots=True)
class Results:
    """One run of a file.

    Attributes:
        run: What was measured.
        trials: In the order of the file, each as it was written last.
        end: How it ended; None where it was killed.
    """

    run: Run
    trials: list[Trial] = field(default_factory=list)
    end: End | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)


def encode_line(record: Record) -> str:
    """One record as a line, without its newline."""
    return _encoder.encode(record).decode()


def decode_line(line: str | bytes) -> Record:
    """One line as a record.

    Raises:
        ResultFileError: It is none.
    """
    try:
        record: Record = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ResultFileError(f"no record of {SCHEMA}: {error}") from None
    if isinstance(record, Run) and record.schema != SCHEMA:
        raise ResultFileError(f"the schema is {record.schema!r:.80}, and {SCHEMA} is read here")
    return record


def read_results(lines: Iterable[str]) -> list[Results]:
    """All runs of a file, by its lines; empty ones are passed over.

    Raises:
        ResultFileError: A line is no record or stands in the wrong place. It names the line.
    """
    runs: list[Results] = []
    places: dict[int, int] = {}  # of the latest run's trials
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                _add(runs, places, decode_line(line))
        except ResultFileError as error:
            raise ResultFileError(f"line {number}: {error}") from None
    return runs


def _add(runs: list[Results], places: dict[int, int], record: Record) -> None:
    if isinstance(record, Run):
        runs.append(Results(record))
        places.clear()
        return
    last = runs[-1] if runs else None
    if last is None or last.run.run != record.run or last.end is not None:
        raise ResultFileError("this belongs to no run above it, or to one that has ended")
    if isinstance(record, End):
        last.end = record
    elif record.number in places:
        last.trials[places[record.number]] = record
    else:
        if record.number:  # each opening is one of its own
            places[record.number] = len(last.trials)
        last.trials.append(record)

"""The one place that events come out of: callback, log and JSON-lines trace.

The log goes to the standard library's logger ``simopen.punch`` through structlog with processors
of our own, so that importing simopen configures nothing and prints nothing.
"""

from __future__ import annotations

import enum
import json
import logging
from dataclasses import fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO

from ._endpoints import Endpoint
from ._events import PunchConnected, PunchFailed, PunchStarted

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

    from ._events import Event, OnEvent

_stdlib_logger = logging.getLogger("simopen.punch")

# A punch can make thousands of attempts: all but its beginning and end is for debugging.
_INFO = (PunchStarted, PunchConnected, PunchFailed)


class Telemetry:
    """Hands each event of one call to the log and to the caller's callback."""

    def __init__(self, on_event: OnEvent | None = None) -> None:
        self._on_event = on_event

    def __call__(self, event: Event) -> None:
        """Tell everybody.

        Raises:
            Exception: Whatever the callback raises, untouched: it ends the call.
        """
        level = logging.INFO if isinstance(event, _INFO) else logging.DEBUG
        if _stdlib_logger.isEnabledFor(level):
            _logger().log(level, event.name, **_fields(event))
        if self._on_event is not None:
            self._on_event(event)


@cache
def _logger() -> BoundLogger:
    import structlog  # noqa: PLC0415 - half of what importing simopen would take, for a log

    logger: BoundLogger = structlog.wrap_logger(
        _stdlib_logger,
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.render_to_log_kwargs,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return logger


class JsonLinesTrace:
    """Writes every event as one line of JSON; pass it as ``on_event``.

    Example::

        with open("punch.jsonl", "w") as file:
            stream = await simopen.connect_peer(..., on_event=simopen.JsonLinesTrace(file))
    """

    def __init__(self, file: TextIO) -> None:
        """Take the file.

        Args:
            file: Open for writing text; it is flushed after each line, and stays open.
        """
        self._file = file

    def __call__(self, event: Event) -> None:
        """Write the event; a reader sees it at once."""
        self._file.write(event_to_json(event) + "\n")
        self._file.flush()


def event_to_json(event: Event) -> str:
    """One event as one line of JSON: ``event``, ``at`` (seconds) and the event's own fields."""
    return json.dumps({"event": event.name, **_fields(event)})


def to_json(value: object) -> object:
    """A report or diagnosis as JSON has it."""
    return _plain(value)


def _fields(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any of our frozen values
    return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}


def _plain(value: object) -> object:
    if isinstance(value, Endpoint):
        return str(value)
    if isinstance(value, enum.Enum):
        return value.value
    if is_dataclass(value):
        return _fields(value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value

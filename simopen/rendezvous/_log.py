"""The coordinator's log: the standard library's logger ``simopen.coordinator``.

What is logged here holds no secret, because the coordinator has none; and no line at INFO or above
names an address together with a room, so that a log does not say who met whom.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable

import structlog

LOGGER = "simopen.coordinator"
COMPLAINT_INTERVAL = 60.0  # seconds between two lines on the same thing that goes on failing

# Ready before it is needed: the first line may be that there are no descriptors left, and then
# nothing can be imported.
log: structlog.stdlib.BoundLogger = structlog.wrap_logger(
    logging.getLogger(LOGGER),
    processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
    wrapper_class=structlog.stdlib.BoundLogger,
)
"""The logger; what is passed by name reaches the record as ``extra``."""


class Throttle:
    """Lets a complaint through once in a while, so that it cannot fill a disk."""

    def __init__(self, interval: float) -> None:
        """Begin with nothing said.

        Args:
            interval: Seconds.
        """
        self._interval = interval
        self._said: dict[Hashable, float] = {}

    def allows(self, key: Hashable, now: float) -> bool:
        """Whether it is time to say that again.

        Args:
            key: What is complained of, from a closed set.
            now: Seconds on the caller's monotonic clock.
        """
        if key in self._said and now < self._said[key] + self._interval:
            return False
        self._said[key] = now
        return True

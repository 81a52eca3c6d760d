"""The punch core: when to fire, refire, hold, refresh and give up.

Pure: no socket, no clock, no randomness, no I/O. Time is an argument (float seconds on any
monotonic clock), chance is an argument (uniform in [0, 1)), what the kernel shows is an
observation, what is to be done comes back as an action.

- :mod:`~simopen.punch._options`: every number the engine uses, with unit, default and reason.
- :mod:`~simopen.punch._timing`: refresh and jitter arithmetic.
- :mod:`~simopen.punch._budget`: how many SYNs may leave, and when.
- :mod:`~simopen.punch._lane`: the state machine of one port pair, as a table.
"""

from ._budget import SynBudget
from ._lane import TRANSITIONS, Action, Event, Lane, Seen, State
from ._options import PunchOptions

__all__ = [
    "TRANSITIONS",
    "Action",
    "Event",
    "Lane",
    "PunchOptions",
    "Seen",
    "State",
    "SynBudget",
]

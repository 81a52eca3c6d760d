"""The instrument behind ``simopen measure``: how well two real hosts connect, trial by trial.

Theory of operation
===================

Both hosts run the same trials in step: each trial is a call of :func:`simopen.connect_peer` on
ports of its own, as any program would make it. There is no other connection between the hosts that
could fare differently: what the two have to tell each other (who begins, what became of the trials)
goes over the streams that the trials open, after their times have been taken. So a trial that fails
loses nothing, and what is not told at the end is known to be missing.

================  ==================================================================
module            what it does
================  ==================================================================
``_records``      the result file: its records as values, and as JSON lines
``_statistics``   figures that say how sure they are
``_timetable``    a trial's ports and room, and who begins it by how much
``_talk``         what the two sides say to each other over a trial's stream
``_pairing``      a trial's record, from what the two sides know of it
``_summary``      what all trials together show, as values and as a table
``_environment``  what the figures were taken on
``_trial``        one call, and what became of it
``_runner``       all of them, in step with the peer
================  ==================================================================

Invariants
==========

- The first six are pure: no I/O, clock or randomness.
- Every record is handed out as soon as it is known, and never changed after that.
- A trial that fails never ends a run.
"""

from __future__ import annotations

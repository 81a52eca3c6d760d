"""Figures: what result files show, as a page, as pictures and as tables.

Theory of operation
===================

::

    bytes of a file ──► _sources ──► Source: batches of trials, told trials, what is amiss
                                        │
           ┌──────────────┬─────────────┼──────────────┬────────────┐
        _series        _squares      _ladder        _tables      (pure)
        curves         heat maps     a ladder       rows
           │              │             │              │
           └──── _canvas, matplotlib ───┘              │
                          └───────────┬────────────────┘
                                   _report ──► _page ──► files

A **batch** is trials under the same conditions (`_batches`); every figure but the ladders is drawn
from batches alone, so that a file of `simopen measure` and one of the benchmarks' grid are the
same to them. What a batch does not know (`simopen measure` cannot know the loss of a path) keeps
it out of the figures that need it, never puts it at zero.

A figure that has nothing to show is not drawn.

Invariants
==========

- Every number stands with the number of trials that it comes from.
- A failed trial is in every rate and under every curve: a curve ends at the rate of success.
- Whatever a file holds, it is drawn in bounded size or refused with one error that names the file
  and the line; no text of a file becomes markup.
- No clock, no chance: the same files give the same bytes. Only `_report` writes files.

Needs the extra ``simopen[plot]``.
"""

from __future__ import annotations

from simopen.figures._report import Report, make, write
from simopen.figures._sources import MOST_BYTES, Source, read

__all__ = ["MOST_BYTES", "Report", "Source", "make", "read", "write"]

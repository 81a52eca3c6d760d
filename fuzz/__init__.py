"""Every decoder under whatever bytes may come, guided by what they make it do.

Theory of operation
===================

A *target* is a module of this package without an underscore in front. The first sentence of its
docstring is an invariant, and ``check(data)`` raises where some bytes break it. It may also have
``SEEDS``, bytes to begin with, and ``LONGEST``, how many bytes are worth trying. Bytes that random
change would hardly ever make (a checksum, a seal, an order of events) a target makes itself: it
reads its input as instructions.

::

    _targets   finds the targets
    _worker    one process: one target under libFuzzer, through atheris; never returns
    _campaign  runs workers: fuzzes, keeps the smallest corpus that reaches as much, records
    _bugs      puts bugs into the decoders and sees them found: every invariant can fail
    __main__   the command line

``corpus/<target>/`` holds what reached something new. The suite runs each target over its corpus,
its seeds and what Hypothesis makes of them, and does not need atheris for it.

A worker that finds something stops there; the bytes stand in ``found/<target>/`` and the record
says so. ``python -m fuzz <target> --again <file>`` shows it once more.

Invariants
==========

- A target is deterministic: it has no clock and no chance of its own, and keeps nothing from one
  input to the next that could matter to it.
- No target swallows more than the one error that its decoder is to raise.
"""

"""One target under libFuzzer, in a process of its own: libFuzzer ends the process it runs in.

``python -m fuzz._worker <target> <libFuzzer's arguments>``. What is instrumented is simopen and the
target, whose branches tell what a decoder in C does not: which message it was that decoded.
"""

from __future__ import annotations

import gc
import shlex
import sys

import atheris

from fuzz import _targets


def main() -> None:
    """Fuzz until libFuzzer ends us."""
    name, *arguments = sys.argv[1:]
    with atheris.instrument_imports(include=["simopen", f"fuzz.{name}"]):
        target = _targets.load(name)
    gc.collect()
    gc.freeze()  # what was imported is never garbage, and need not be looked at again
    again = shlex.join([sys.executable, "-m", "fuzz._worker", name])  # merging starts us in a shell
    atheris.Setup([again, *arguments], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

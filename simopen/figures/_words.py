"""Texts of files, fit to be drawn."""

from __future__ import annotations

LONGEST = 60  # characters, where nothing else is said


def clean(text: str, longest: int = LONGEST) -> str:
    """A text without control characters or halves of them, cut to a number of characters."""
    shown = "".join(c if c.isprintable() else "?" for c in text[: longest + 1])
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def duration(seconds: float) -> str:
    """A time of a condition, as it was set: ``0 ms``, ``2.5 ms``, ``400 ms``, ``2 s``."""
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"

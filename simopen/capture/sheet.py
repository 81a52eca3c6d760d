"""A sheet that is filled with texts from top to bottom, none of which lies over another.

Theory of operation
-------------------
There is a height that only grows. Texts are put around it, beside it or across; where one of them
would lie over an earlier one, the height grows until it does not. Widths are reckoned for a
monospaced font, and generously.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

SIZES = {"name": 13.0, "label": 12.0, "fold": 12.0, "note": 10.5, "time": 10.5, "break": 10.5}
"""Font sizes in pixels by kind of text."""

CENTRE = 0.35
"""How far below its middle the baseline of a text is, by font size."""

BAND = 12.0
"""Half the height in pixels of what is drawn around a text of kind "fold" or "break"."""

_CHARACTER = 0.62  # width of a character by font size; that of common fonts is no more
_ASCENT, _DESCENT = 0.85, 0.25  # of a text above and below its baseline, by font size
_POINT = 3.5  # half the room that a point takes
_AROUND = 22.0  # from the middle of a band to what comes before and after

Anchor: TypeAlias = Literal["start", "middle", "end"]


class Box(NamedTuple):
    """A rectangle, in pixels."""

    left: float
    top: float
    right: float
    bottom: float


class Text(NamedTuple):
    """A text and its place.

    Attributes:
        kind: Which of `SIZES`.
        x: Where its anchor is, in pixels.
        y: Its baseline, in pixels.
        anchor: Which part of it is at `x`.
        words: What it says.
        tone: What colour it has; the kind's own when not said.
    """

    kind: str
    x: float
    y: float
    anchor: Anchor
    words: str
    tone: str = ""

    @property
    def box(self) -> Box:
        """The room it takes."""
        size = SIZES[self.kind]
        width = len(self.words) * size * _CHARACTER
        left = self.x - width * {"start": 0.0, "middle": 0.5, "end": 1.0}[self.anchor]
        return Box(left, self.y - _ASCENT * size, left + width, self.y + _DESCENT * size)


def room_for(pixels: float, kind: str) -> int:
    """Return how many characters of a kind of text there is room for."""
    return int(pixels / (SIZES[kind] * _CHARACTER))


def beside(x: float, way: int, kind: str, words: str, tone: str = "") -> Text:
    """Return a text that begins at `x` and goes to the right (`way` 1) or to the left (-1)."""
    return Text(kind, x, SIZES[kind] * CENTRE, "start" if way > 0 else "end", words, tone)


class Sheet:
    """What has been put where.

    Args:
        height: Where it begins, in pixels.
        left: Where bands begin.
        right: Where bands end.
    """

    def __init__(self, height: float, left: float, right: float) -> None:
        self.height: float = height
        self.texts: list[Text] = []
        self._left, self._right = left, right
        self._taken: list[Box] = []

    def put(self, texts: Iterable[Text], x: float) -> float:
        """Put a point at `x`, and texts with heights relative to it, where all have room.

        Returns:
            The height of the point.
        """
        point = Box(x - _POINT, -_POINT, x + _POINT, _POINT)
        return self._put(list(texts), point)

    def put_band(self, kind: str, words: str) -> float:
        """Put a text across the whole sheet.

        Returns:
            The height of its middle.
        """
        text = Text(kind, (self._left + self._right) / 2, SIZES[kind] * CENTRE, "middle", words)
        self.height += _AROUND
        middle = self._put([text], Box(self._left, -BAND, self._right, BAND))
        self.height += _AROUND
        return middle

    def _put(self, texts: list[Text], mark: Box) -> float:
        boxes = [mark, *(text.box for text in texts)]
        for box in boxes:
            for taken in self._taken:
                if box.left < taken.right and taken.left < box.right:
                    self.height = max(self.height, taken.bottom - box.top)
        down = self.height
        self._taken += [box._replace(top=box.top + down, bottom=box.bottom + down) for box in boxes]
        self.texts += [text._replace(y=text.y + down) for text in texts]
        return down

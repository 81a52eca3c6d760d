"""The colours of all figures: one list for light paper, one for dark screens.

Pictures are drawn in the light colours. On the page the reader's system chooses: there each light
colour is a variable of CSS with its own value where dark is preferred (`themed`, `variables`).
What stands in a square of a heat map keeps its colour, since the square does.

The curves' colours are those of Okabe and Ito, told apart by the colour-blind, the paler ones
darkened for white paper; dashes tell them apart in print without colour.
"""

from __future__ import annotations

import re

PAPER = "#ffffff"

COLOURS: dict[str, tuple[str, str]] = {  # name: light, dark
    "ink": ("#1f2328", "#e6edf3"),
    "faint": ("#59636e", "#9aa4af"),
    "hair": ("#d4d9df", "#343b44"),
    "blue": ("#0072b2", "#56b4e9"),
    "vermilion": ("#c65000", "#ff9a52"),
    "green": ("#00785a", "#2fd0a2"),
    "purple": ("#a8497f", "#e59cc6"),
    "ochre": ("#8f6a00", "#f0c64a"),
    "sky": ("#3d7f9f", "#a5d8f3"),
    "grey": ("#6a6a6a", "#b9b9b9"),
    "brown": ("#7a3e12", "#d9a98a"),
}
CURVES = ("blue", "vermilion", "green", "purple", "ochre", "sky", "grey", "brown")
DASHES: tuple[tuple[float, ...], ...] = (
    (),
    (5, 1.6),
    (1.4, 1.4),
    (6, 1.6, 1.4, 1.6),
    (9, 2),
    (3, 1.2, 1.4, 1.2, 1.4, 1.2),
    (2.6, 2.6),
    (12, 2, 3, 2),
)

ON_LIGHT, ON_DARK = "#111417", "#fdfdfd"  # what is written in squares
STEPS: tuple[tuple[float, str, str, str], ...] = (  # least rate, in words, square, what is in it
    (1.0, "all", "#cfe3f3", ON_LIGHT),
    (0.99, "99 % or more", "#fdf1d6", ON_LIGHT),
    (0.95, "95 % or more", "#fbd896", ON_LIGHT),
    (0.9, "90 % or more", "#f4ad5c", ON_LIGHT),
    (0.5, "half or more", "#dd7a36", ON_LIGHT),
    (0.0, "less", "#8f2d0f", ON_DARK),
)

_LIGHT_NAMES = {light: name for name, (light, _) in COLOURS.items()}
_COLOUR = re.compile("|".join(_LIGHT_NAMES))


def light(name: str) -> str:
    """The colour that pictures are drawn in."""
    return COLOURS[name][0]


def themed(svg: str) -> str:
    """A picture whose colours are the page's variables."""
    return _COLOUR.sub(lambda found: f"var(--{_LIGHT_NAMES[found[0]]})", svg)


def variables(*, dark: bool) -> str:
    """The variables' values, as declarations of CSS."""
    return "".join(f"--{name}:{both[dark]};" for name, both in COLOURS.items())

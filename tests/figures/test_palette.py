from __future__ import annotations

import re

import pytest

from simopen.figures._heat import shade
from simopen.figures._palette import (
    COLOURS,
    CURVES,
    DASHES,
    PAPER,
    STEPS,
    light,
    themed,
    variables,
)

DARK_PAPER = "#0d1117"


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """Contrast ratio (WCAG 2.2): 1 for none, 21 for black on white."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", [name for name in COLOURS if name != "hair"])
def test_texts_are_legible_in_light_and_in_dark(name: str) -> None:
    """Whatever words are written in has the contrast that WCAG asks of them."""
    on_light, on_dark = COLOURS[name]
    assert contrast(on_light, PAPER) >= 4.2
    assert contrast(on_dark, DARK_PAPER) >= 4.5


@pytest.mark.parametrize(("least", "words", "square", "ink"), STEPS)
def test_numbers_in_squares_are_legible(least: float, words: str, square: str, ink: str) -> None:
    """In every square, which keeps its colours in the dark."""
    assert contrast(square, ink) >= 4.5, (least, words)


def test_squares_darken_as_success_falls() -> None:
    """Printed without colour, less success is darker, once it is not complete."""
    shades = [luminance(square) for _, _, square, _ in STEPS[1:]]
    assert shades == sorted(shades, reverse=True)


@pytest.mark.parametrize(("rate", "step"), [(1.0, 0), (0.999, 1), (0.95, 2), (0.5, 4), (0.0, 5)])
def test_only_all_has_the_colour_of_all(rate: float, step: int) -> None:
    """The nearest miss is another colour."""
    assert shade(rate)[0] == STEPS[step][2]


def test_curves_differ_without_colour() -> None:
    """Each has dashes of its own."""
    assert len(set(DASHES)) == len(DASHES) == len(CURVES) == len(set(CURVES))


def test_a_page_has_a_value_for_every_colour_of_a_picture() -> None:
    """Each light colour becomes a variable, which is declared for light and for dark."""
    picture = " ".join(light(name) for name in COLOURS)
    used = set(re.findall(r"var\(--(\w+)\)", themed(picture)))
    assert used == set(COLOURS)
    for dark in (False, True):
        assert used == set(re.findall(r"--(\w+):#", variables(dark=dark)))

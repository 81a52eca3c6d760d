"""Time to connect as curves: the share of all trials that had connected by then.

Failed trials never connect, so that a curve ends at its rate of success. The labels stand beside
the curves in the order of the curves from left to right.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from simopen.figures._batches import percent
from simopen.figures._canvas import Picture, rendered, style
from simopen.figures._palette import CURVES, DASHES, light
from simopen.figures._series import Line, Panel

WIDTH, HEIGHT = 7.6, 3.1  # inches
LEFT, RIGHT, BOTTOM, TOP = 0.62, 2.6, 0.5, 0.52  # around the axes
LEAST_DECADES = 0.7  # that the axis of time spans
SHORTEST = 0.01  # milliseconds; what is said to be faster is drawn here
_TICKS = LogLocator(base=10, subs=(1.0, 2.0, 5.0))
_WORDS = (
    "Each curve is the share of its n trials that had connected by then, counted from the later"
    " side's start to the moment when both had the stream. Failed trials are in n, so a curve ends"
    " at its rate of success. Time is on a logarithmic scale."
)


def draw(panel: Panel, name: str) -> Picture | None:
    """Draw a panel; None where none of its trials connected."""
    lines = sorted(
        (line for line in panel.lines if line.tally.times),
        key=lambda line: line.tally.percentile(50),
    )
    if not lines:
        return None
    title = f"Time to connect: {panel.title}"
    with style():
        figure = Figure(figsize=(WIDTH, HEIGHT))
        place = (
            LEFT / WIDTH,
            BOTTOM / HEIGHT,
            (WIDTH - LEFT - RIGHT) / WIDTH,
            (HEIGHT - BOTTOM - TOP) / HEIGHT,
        )
        axes = figure.add_axes(place)
        handles = [_curve(axes, line, number) for number, line in enumerate(lines)]
        _scale(axes, lines)
        _round_trips(axes, panel.rtt)
        axes.set_title(title, pad=18)
        figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(1 - (RIGHT - 0.1) / WIDTH, 1 - (TOP - 0.1) / HEIGHT),
            frameon=False,
            fontsize=8.5,
            handlelength=2.8,
            labelspacing=0.9,
            labelcolor="linecolor",
            borderaxespad=0,
        )
        return rendered(figure, name, _with_source(title, panel.source), _words(panel, len(lines)))


def _curve(axes: Axes, line: Line, number: int) -> Line2D:
    times = [max(time * 1000, SHORTEST) for time in sorted(line.tally.times)]
    shares = [(place + 1) / line.timed * 100 for place in range(len(times))]
    tally = line.tally
    (curve,) = axes.step(
        [times[0], *times, 1e12],
        [0.0, *shares, shares[-1]],
        where="post",
        color=light(CURVES[number % len(CURVES)]),
        dashes=DASHES[number % len(DASHES)],
        linewidth=1.7,
    )
    # Set here, not as an argument: there one that begins with "_" would be left out.
    curve.set_label(f"{line.label}\n{percent(tally.rate)} of n = {tally.trials:,} connected")
    return curve


def _scale(axes: Axes, lines: Sequence[Line]) -> None:
    times = [max(time * 1000, SHORTEST) for line in lines for time in line.tally.times]
    low, high = min(times) / 1.25, max(times) * 1.25
    high = max(high, low * 10**LEAST_DECADES)
    axes.set_xscale("log")
    axes.set(xlim=(low, high), ylim=(0, 103), yticks=range(0, 101, 25))
    axes.set_xlabel("time to connect, ms")
    axes.set_ylabel("trials connected, %")
    axes.xaxis.set_major_locator(_TICKS)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.grid(visible=True)
    axes.set_axisbelow(True)


def _round_trips(axes: Axes, rtt: float | None) -> None:
    """Mark the least time that is possible, where it is the same for all."""
    if rtt is None or not rtt:
        return
    low, high = axes.get_xlim()
    for times, words, side in ((1.0, "1 RTT", "right"), (1.5, "1.5 RTT", "left")):
        at = rtt * 1000 * times
        if low < at < high:
            axes.axvline(at, color=light("faint"), linewidth=0.9, dashes=(1, 2), zorder=1)
            axes.annotate(
                words,
                (at, 103),
                xytext=(2 if side == "left" else -2, 2),
                textcoords="offset points",
                ha=side,
                fontsize=7.5,
                color=light("faint"),
            )


def _with_source(title: str, source: str) -> str:
    return f"{title} ({source})" if source else title


def _words(panel: Panel, drawn: int) -> str:
    words = _WORDS
    none = len(panel.lines) - drawn
    if none:
        words += f" Of {none} more, no trial connected in a known time; they are in the table."
    if panel.left_out:
        words += f" {panel.left_out} more have no room here."
    return words

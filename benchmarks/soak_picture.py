"""The soak as a picture: ``python -m benchmarks.soak_picture [results/soak.jsonl]``.

Memory, descriptors and tasks of each coordinator over time, from zero, so that flat looks flat.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS

try:
    import matplotlib as mpl
except ImportError as error:
    raise ImportError("the soak is drawn with matplotlib: pip install 'simopen[plot]'") from error

mpl.use("Agg")

from matplotlib.figure import Figure  # after the choice of what it draws on

FIGURES = {
    "memory": ("memory, MiB", 2**20),
    "descriptors": ("open files", 1),
    "tasks": ("tasks", 1),
}
SIZE = (9.0, 7.0)  # inches
DPI = 110


def draw(source: Path, picture: Path) -> None:
    """Draw the samples of a result file."""
    records: list[dict[str, Any]] = [json.loads(line) for line in source.read_text().splitlines()]
    samples = [record for record in records if "service" in record]
    figure = Figure(SIZE, layout="constrained")
    panels = figure.subplots(len(FIGURES), sharex=True)
    for panel, (name, (words, unit)) in zip(panels, FIGURES.items(), strict=True):
        for service in dict.fromkeys(sample["service"] for sample in samples):
            own = [sample for sample in samples if sample["service"] == service]
            minutes = [sample["at"] / 60 for sample in own]
            panel.plot(minutes, [sample[name] / unit for sample in own], label=service)
        panel.set_ylabel(words)
        panel.set_ylim(0, 1.1 * panel.get_ylim()[1])
    panels[0].legend(loc="lower right")
    panels[-1].set_xlabel("minutes")
    figure.savefig(picture, dpi=DPI)


def main() -> None:
    """Read the argument and draw."""
    source = Path(sys.argv[1]) if sys.argv[1:] else RESULTS / "soak.jsonl"
    draw(source, source.with_suffix(".png"))


if __name__ == "__main__":
    main()

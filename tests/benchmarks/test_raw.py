"""The table of handshakes in user space."""

from __future__ import annotations

from benchmarks import raw


def test_a_ratio_is_taken_within_a_repetition() -> None:
    """A row for each figure, with the median, the least and the greatest of the ratios."""
    common = {"place": "wire", "measure": "to us", "unit": "MB/s"}
    (row,) = raw.table_rows([
        {**common, "kind": "listened", "values": [100.0, 10.0, 50.0]},
        {**common, "kind": "raw", "values": [50.0, 20.0, 50.0]},
    ])  # fmt: skip
    assert row[:3] == ["wire", "to us", "MB/s"]
    assert row[-1] == "1.00 (0.50 to 2.00)"
    assert row[3:5] == ["50 (20 to 50)", "50 (10 to 100)"]

"""What the warm processes have in common."""

from __future__ import annotations

import time

import pytest

from benchmarks.workers import sleep_until


@pytest.mark.anyio
async def test_a_moment_that_is_over_is_not_waited_for() -> None:
    """Nor is it an error: a busy machine may be late."""
    began = time.monotonic()
    await sleep_until(began - 1.0)
    await sleep_until(began + 0.05)
    assert time.monotonic() >= began + 0.05

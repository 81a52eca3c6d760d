"""The coordinator of a soak."""

from __future__ import annotations

import anyio
import pytest

from benchmarks.servers import parse_metrics
from benchmarks.watched import TASKS, Watched


@pytest.mark.anyio
async def test_the_tasks_are_told_with_the_metrics() -> None:
    """All that the loop has."""
    watched = Watched()
    before = parse_metrics(watched.exposition()[1].decode())[TASKS]
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep_forever)
        assert parse_metrics(watched.exposition()[1].decode())[TASKS] == before + 1
        group.cancel_scope.cancel()

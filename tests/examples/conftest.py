"""The network that the examples are tried in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from simopen.lab.pytest_plugin import MakeNetwork
from tests.examples import programs


@pytest.fixture
def homes(lab_network: MakeNetwork, tmp_path: Path) -> Iterator[programs.Homes]:
    """Alice and bob, each behind a router of their own, and a server with a coordinator."""
    yield from programs.homes(lab_network("two-homes"), tmp_path)

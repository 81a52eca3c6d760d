"""What all tests share: the three event loops."""

from __future__ import annotations

import os
from typing import Any

import pytest

from simopen import lab

LOOPS = [
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    pytest.param(("trio", {}), id="trio"),
]


@pytest.fixture(params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Runs an async test on asyncio, on asyncio with uvloop, and on trio."""
    loop: tuple[str, dict[str, Any]] = request.param
    return loop


@pytest.fixture(scope="session")
def require_lab() -> None:
    """Skip where a lab cannot be had, or fail there if SIMOPEN_REQUIRE_LAB=1."""
    if (reason := lab.why_unavailable()) is None:
        return
    if os.environ.get("SIMOPEN_REQUIRE_LAB") == "1":
        pytest.fail(f"a lab is required here: {reason}")
    pytest.skip(reason)

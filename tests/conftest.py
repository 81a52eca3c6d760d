"""What all tests share: the three event loops, and simopen as it is installed.

`require_lab` is the lab's own plugin's.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

# A process that a test starts has no simopen before the installed one, in the folder where it is.
os.environ["PYTHONSAFEPATH"] = "1"

pytest_plugins = ["pytester"]

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

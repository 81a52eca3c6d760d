"""The example of a server without a listener prints what its header says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from simopen import lab

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.usefixtures("require_lab")]

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "no_listener.py"


@pytest.fixture(params=[("asyncio", {"use_uvloop": False})], ids=["driver"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The driver's loop."""
    return request.param


async def test_no_listener() -> None:
    """Line by line."""
    async with lab.two_hosts() as net:
        done = await net.a.run(["timeout", "60", sys.executable, str(EXAMPLE)])
    lines = done.stdout.decode().splitlines()
    assert len(lines) == 2
    assert "\n".join(f"    {line}" for line in lines) in EXAMPLE.read_text()

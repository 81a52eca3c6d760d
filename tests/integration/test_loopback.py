"""Two processes on one machine, no lab: the kernel's own simultaneous open over loopback."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.helpers import PEER, free_port, on_cpu


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_hundred_connects_in_a_row(loop: str, host: str) -> None:
    """Two processes meet on the same pair of ports a hundred times, bytes crossing each time."""
    a, b = f"{host}:{free_port()}", f"{host}:{free_port()}"
    options = ["--loop", loop, "--count", "100"]
    with (
        subprocess.Popen([*on_cpu(0), *PEER, b, a, *options], stdout=subprocess.PIPE) as first,
        subprocess.Popen(
            [*on_cpu(1), *PEER, a, b, *options, "--close", "last"], stdout=subprocess.PIPE
        ) as last,
    ):
        outputs = [process.communicate(timeout=60)[0] for process in (first, last)]
    assert (first.returncode, last.returncode) == (0, 0)
    for output in outputs:
        assert len([json.loads(line) for line in output.splitlines()]) == 100

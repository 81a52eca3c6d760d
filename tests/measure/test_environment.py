from __future__ import annotations

import json
from pathlib import Path

import pytest

from simopen.measure import _environment
from simopen.measure._environment import SYSCTLS, environment


def test_what_the_figures_were_taken_on() -> None:
    """All that is documented, as JSON has it."""
    found = environment("uvloop")
    assert found["loop"] == "uvloop"
    assert {"kernel", "python", "simopen", "anyio", "uvloop", "trio", "cpus"} <= found.keys()
    assert found["sysctls"].keys() == set(SYSCTLS)
    assert json.loads(json.dumps(found)) == found


def test_what_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Is null: another system, an older kernel, a package that is not installed."""
    (tmp_path / "ip_local_port_range").write_text("32768\t60999\n")
    monkeypatch.setattr(_environment, "_IPV4", tmp_path)
    monkeypatch.setattr(_environment, "PACKAGES", ("no-such-package",))
    found = environment("asyncio")
    assert found["no-such-package"] is None
    assert found["sysctls"]["ip_local_port_range"] == "32768 60999"
    assert found["sysctls"]["tcp_syn_retries"] is None

from __future__ import annotations

from pathlib import Path

import pytest

from simopen.net import _local_ports
from simopen.net._local_ports import LocalPorts, read_local_ports


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the kernel's."""
    monkeypatch.setattr(_local_ports, "_SETTINGS", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("reserved", "expected"),
    [
        ("\n", ()),
        ("40000\n", ((40000, 40000),)),
        ("8080,9148-9150\n", ((8080, 8080), (9148, 9150))),
    ],
)
def test_reads_both_settings(
    settings: Path, reserved: str, expected: tuple[tuple[int, int], ...]
) -> None:
    """Range and reserved ports are read as the kernel writes them."""
    (settings / "ip_local_port_range").write_text("32768\t60999\n")
    (settings / "ip_local_reserved_ports").write_text(reserved)
    assert read_local_ports() == LocalPorts(32768, 60999, expected)


@pytest.mark.parametrize("text", [None, "", "many few\n"])
def test_where_the_system_does_not_tell(settings: Path, text: str | None) -> None:
    """Missing or unreadable settings are nothing known, and no error."""
    if text is not None:
        (settings / "ip_local_port_range").write_text(text)
    assert read_local_ports() is None


def test_which_ports_are_given() -> None:
    """Both ends of the range count, reserved ports do not."""
    ports = LocalPorts(1000, 2000, ((1500, 1502),))
    given = [port for port in (999, 1000, 1499, 1500, 1502, 1503, 2000, 2001) if ports.gives(port)]
    assert given == [1000, 1499, 1503, 2000]

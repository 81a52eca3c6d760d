from __future__ import annotations

import os
import platform
import resource
from pathlib import Path

import anyio
import pytest

from simopen.doctor import Machine, PortRange
from simopen.doctor._machine import find_container, parse_ranges, read_machine

SETTINGS = {
    "ipv4/tcp_syn_retries": "3\n",
    "ipv4/tcp_syn_linear_timeouts": "2\n",
    "ipv4/tcp_rto_max_ms": "90000\n",
    "ipv4/tcp_timestamps": "0\n",
    "ipv4/tcp_tw_reuse": "1\n",
    "ipv4/tcp_syncookies": "2\n",
    "ipv4/tcp_fin_timeout": "30\n",
    "ipv4/ip_local_port_range": "20000\t30000\n",
    "ipv4/ip_local_reserved_ports": "8080,21000-21003\n",
    "netfilter/nf_conntrack_count": "5\n",
    "netfilter/nf_conntrack_max": "1000\n",
}


def make_root(root: Path) -> Path:
    """A folder that stands for / of a host with those settings."""
    for name, text in SETTINGS.items():
        path = root / "proc/sys/net" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_every_setting_is_read(tmp_path: Path) -> None:
    """Each from its own file, in its own unit."""
    machine = anyio.run(read_machine, make_root(tmp_path))
    assert machine.syn_retries == 3
    assert machine.syn_linear_timeouts == 2
    assert machine.longest_rto == 90.0
    assert machine.timestamps == 0
    assert machine.time_wait_reuse == 1
    assert machine.syncookies == 2
    assert machine.fin_timeout == 30
    assert machine.port_range == PortRange(20000, 30000)
    assert machine.reserved_ports == (PortRange(8080, 8080), PortRange(21000, 21003))
    assert (machine.tracked, machine.most_tracked) == (5, 1000)


def test_what_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    """A system without the files, and files with something else in them."""
    bare: Machine = anyio.run(read_machine, tmp_path)
    assert {bare.syn_retries, bare.port_range, bare.tracked, bare.open_files} == {None}
    make_root(tmp_path)
    for name in SETTINGS:
        (tmp_path / "proc/sys/net" / name).write_text("one two three\n")
    odd = anyio.run(read_machine, tmp_path)
    assert {odd.syn_retries, odd.port_range} == {None}
    assert odd.reserved_ports == ()


@pytest.mark.skipif(platform.system() != "Linux", reason="reads Linux's files")
def test_this_host() -> None:
    """Here everything is known."""
    machine = anyio.run(read_machine)
    assert machine.release == os.uname().release
    assert machine.port_range is not None
    assert machine.most_open_files == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert machine.open_files is not None
    assert 0 < machine.open_files < machine.most_open_files
    assert machine.kernel_tick is not None
    assert 0.0009 < machine.kernel_tick < 0.011  # HZ is 100 to 1000
    assert "127.0.0.1" in machine.addresses


def test_no_limit_is_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or an unlimited host would seem to have none left."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    assert anyio.run(read_machine, tmp_path).most_open_files is None


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("", ()),
        ("8080", (PortRange(8080, 8080),)),
        ("1-3,9", (PortRange(1, 3), PortRange(9, 9))),
        ("x,4-,-5,6-7", (PortRange(4, 4), PortRange(6, 7))),
    ],
)
def test_ranges_of_ports(text: str, ranges: tuple[PortRange, ...]) -> None:
    """As the kernel writes them; what is none is passed over."""
    assert parse_ranges(text) == ranges


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("run/.containerenv", "", "podman"),
        (".dockerenv", "", "docker"),
        ("run/systemd/container", "lxc\n", "lxc"),
        ("proc/1/cgroup", "0::/kubepods/besteffort/pod1\n", "a container"),
        ("proc/1/cgroup", "0::/init.scope\n", ""),
    ],
)
def test_containers(path: str, text: str, words: str, tmp_path: Path) -> None:
    """By the marks that they leave."""
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(text)
    found = find_container(tmp_path)
    assert words in found
    assert bool(found) is bool(words)


@pytest.mark.parametrize(("first", "words"), [("net:[1]", "network namespace"), ("net:[2]", "")])
def test_a_network_of_its_own(first: str, words: str, tmp_path: Path) -> None:
    """Where the first process has another."""
    for process, target in (("1", first), ("self", "net:[2]")):
        folder = tmp_path / "proc" / process / "ns"
        folder.mkdir(parents=True)
        (folder / "net").symlink_to(target)
    found = find_container(tmp_path)
    assert words in found
    assert bool(found) is bool(words)

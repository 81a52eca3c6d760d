"""Reads this host: its settings, limits and clock. Nothing is judged here.

Every reader takes what cannot be read for unknown: other systems, old kernels, locked-down
containers. Where files are read, ``root`` is the folder that stands for ``/``.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from pathlib import Path

from simopen.net._interfaces import host_addresses

from ._facts import Machine, PortRange
from ._firewall import read_firewall

ROOT = Path("/")
_COARSE_CLOCK = 6  # CLOCK_MONOTONIC_COARSE of linux/time.h: it moves once a tick
_CONTAINERS = ("kubepods", "docker", "lxc", "containerd")  # in the names of control groups


async def read_machine(root: Path = ROOT) -> Machine:
    """Look at this host."""
    longest_rto = read_number(root, "ipv4/tcp_rto_max_ms")
    return Machine(
        system=platform.system(),
        release=platform.release(),
        syn_retries=read_number(root, "ipv4/tcp_syn_retries"),
        syn_linear_timeouts=read_number(root, "ipv4/tcp_syn_linear_timeouts"),
        longest_rto=None if longest_rto is None else longest_rto / 1000,
        timestamps=read_number(root, "ipv4/tcp_timestamps"),
        time_wait_reuse=read_number(root, "ipv4/tcp_tw_reuse"),
        syncookies=read_number(root, "ipv4/tcp_syncookies"),
        fin_timeout=read_number(root, "ipv4/tcp_fin_timeout"),
        port_range=_port_range(root),
        reserved_ports=parse_ranges(_setting(root, "ipv4/ip_local_reserved_ports") or ""),
        firewall=await read_firewall(root),
        tracked=read_number(root, "netfilter/nf_conntrack_count"),
        most_tracked=read_number(root, "netfilter/nf_conntrack_max"),
        open_files=_open_files(root),
        most_open_files=_most_open_files(),
        uvloop=_uvloop(),
        clock_resolution=time.get_clock_info("monotonic").resolution,
        kernel_tick=_kernel_tick(),
        container=find_container(root),
        addresses=tuple(host_addresses()),
    )


def read_number(root: Path, name: str) -> int | None:
    """One number of ``/proc/sys/net``."""
    text = _setting(root, name)
    return int(text) if text is not None and text.isdigit() else None


def parse_ranges(text: str) -> tuple[PortRange, ...]:
    """Ports as ``ip_local_reserved_ports`` lists them: ``8080,40000-40003``; else none."""
    found = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if first.isdigit() and (last or first).isdigit():
            found.append(PortRange(int(first), int(last or first)))
    return tuple(found)


def find_container(root: Path) -> str:
    """What this process is contained in, in words; empty where nothing shows."""
    if (root / "run/.containerenv").exists():
        return "a container (podman)"
    if (root / ".dockerenv").exists():
        return "a container (docker)"
    if kind := _text(root / "run/systemd/container"):
        return f"a container ({kind})"
    groups = _text(root / "proc/1/cgroup") or ""
    if any(name in groups for name in _CONTAINERS):
        return "a container"
    return "a network namespace of its own" if _has_own_network(root) else ""


def _has_own_network(root: Path) -> bool:
    """Whether the first process has another network; only the privileged may ask."""
    try:
        return (root / "proc/self/ns/net").readlink() != (root / "proc/1/ns/net").readlink()
    except OSError:
        return False


def _port_range(root: Path) -> PortRange | None:
    words = (_setting(root, "ipv4/ip_local_port_range") or "").split()
    if len(words) != 2 or not all(word.isdigit() for word in words):  # noqa: PLR2004 - first, last
        return None
    return PortRange(int(words[0]), int(words[1]))


def _setting(root: Path, name: str) -> str | None:
    return _text(root / "proc/sys/net" / name)


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeError):
        return None


def _open_files(root: Path) -> int | None:
    try:
        return len(os.listdir(root / "proc/self/fd"))  # noqa: PTH208 - Path has no cheaper count
    except OSError:
        return None


def _most_open_files() -> int | None:
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return None
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _uvloop() -> str | None:
    try:
        return importlib.metadata.version("uvloop")
    except importlib.metadata.PackageNotFoundError:
        return None


def _kernel_tick() -> float | None:
    try:
        return time.clock_getres(_COARSE_CLOCK) if platform.system() == "Linux" else None
    except OSError:
        return None

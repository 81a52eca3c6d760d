"""What the figures were taken on: kernel, versions, loop, and the settings that matter to a SYN."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

SYSCTLS = (
    "tcp_syn_retries",
    "tcp_syn_linear_timeouts",
    "tcp_timestamps",
    "tcp_tw_reuse",
    "tcp_syncookies",
    "ip_local_port_range",
)
PACKAGES = ("simopen", "anyio", "uvloop", "trio")

_IPV4 = Path("/proc/sys/net/ipv4")


def environment(loop: str) -> dict[str, Any]:
    """This host; what cannot be read is None.

    Args:
        loop: The event loop that the trials run on.
    """
    return {
        "system": platform.system(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "loop": loop,
        **{name: _version(name) for name in PACKAGES},
        "sysctls": {name: _sysctl(name) for name in SYSCTLS},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _sysctl(name: str) -> str | None:
    try:
        return " ".join((_IPV4 / name).read_text().split())
    except OSError:  # another system, or an older kernel
        return None

"""The few Linux calls a supervisor needs that Python 3.11 has no function for.

Everything here acts on the calling process, which must have a single thread: a user namespace can
only be entered by such a one (unshare(2)).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
import sys
from pathlib import Path

_CLONE_NEWNET = 0x40000000  # linux/sched.h
_CLONE_NEWUSER = 0x10000000  # linux/sched.h
_TUNSETIFF = 0x400454CA  # linux/if_tun.h
_IFF_TUN = 0x0001  # linux/if_tun.h: IP packets, no Ethernet
_IFF_NO_PI = 0x1000  # linux/if_tun.h: no header of the device's own
_IFREQ = struct.Struct("16sH22x")  # struct ifreq: name, flags, the rest of its union


def new_net_namespace() -> None:
    """Move this process to a new network namespace, empty but for a loopback device."""
    _unshare(_CLONE_NEWNET)


def new_user_namespace() -> None:
    """Move this process to a user namespace of its own, as root there."""
    uid, gid = os.geteuid(), os.getegid()
    _unshare(_CLONE_NEWUSER)
    process = Path("/proc/self")
    (process / "setgroups").write_text("deny")  # or an ordinary user may not set gid_map
    (process / "uid_map").write_text(f"0 {uid} 1")
    (process / "gid_map").write_text(f"0 {gid} 1")


def open_net_namespace() -> int:
    """Return a descriptor of this process's network namespace, which keeps it alive."""
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def open_tun(name: str) -> int:
    """Make a TUN device in this network namespace.

    Args:
        name: What the device is called.

    Returns:
        A non-blocking descriptor that reads what the namespace sends and writes what it receives.
    """
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(tun, _TUNSETIFF, _IFREQ.pack(name.encode(), _IFF_TUN | _IFF_NO_PI))
    except OSError:
        os.close(tun)
        raise
    return tun


def _unshare(flags: int) -> None:
    if sys.version_info >= (3, 12):
        os.unshare(flags)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"unshare: {os.strerror(error)}")

"""A host: a network namespace with a TUN device, addresses and routes, held by descriptors alone.

Theory of operation
-------------------
`build` moves the process on to a new namespace and furnishes it. Nobody lives there yet; the
descriptors in `Namespace` hold it, so that it vanishes when they are closed or their owner dies,
and other processes enter it through `/proc/<owner>/fd/<net>`. The descriptors of `/proc/net/tcp`
and `tcp6` stay bound to the namespace they were opened in, which lets anyone who may look at the
owner read that host's sockets without entering it.

The parts of `build` serve routers too, which are namespaces with two devices.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simopen.lab.supervisor import _kernel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyroute2 import IPRoute

    from simopen.lab._plan import HostPlan

DEVICE = "eth0"
_QUEUE_PACKETS = 10_000  # between a host's kernel and the wire; 500 would lose a burst of SYNs
_IFA_F_NODAD = 0x02  # linux/if_addr.h: usable at once, no duplicate address detection
_QUIET = {  # nobody answers these, and they would only litter the captures
    "accept_ra": "0",
    "addr_gen_mode": "1",  # no link-local address of its own accord
    "router_solicitations": "0",
}


@dataclass(frozen=True, slots=True)
class Namespace:
    """One host's descriptors.

    Attributes:
        name: Name of the host.
        net: The namespace.
        tun: The wire's end of its device.
        tables: Its tables of TCP sockets, IPv4 and IPv6.
    """

    name: str
    net: int
    tun: int
    tables: tuple[int, int]

    def describe(self, owner: int) -> dict[str, object]:
        """Return what the front must know to use it, as paths through process `owner`."""
        path = f"/proc/{owner}/fd/{{}}".format
        return {"ns": path(self.net), "tables": [path(table) for table in self.tables]}


def build(plan: HostPlan, mtu_bytes: int) -> Namespace:
    """Move to a new network namespace and make it the planned host.

    Raises:
        ModuleNotFoundError: pyroute2 is not installed.
    """
    _kernel.new_net_namespace()
    tun = open_device(DEVICE)
    with netlink() as route:
        device = bring_up(route, DEVICE, mtu_bytes)
        settle(route, device, f"{plan.ipv4}/24", f"{plan.ipv6}/64")
    tables = [os.open(f"/proc/self/net/{name}", os.O_RDONLY) for name in ("tcp", "tcp6")]
    return Namespace(plan.name, _kernel.open_net_namespace(), tun, (tables[0], tables[1]))


def open_device(name: str) -> int:
    """Make a TUN device that sends nothing of its own accord; return the wire's end of it."""
    tun = _kernel.open_tun(name)
    for setting, value in _QUIET.items():
        with contextlib.suppress(OSError):  # read-only in some containers; then captures are noisy
            Path(f"/proc/sys/net/ipv6/conf/{name}/{setting}").write_text(value)
    return tun


@contextlib.contextmanager
def netlink() -> Iterator[IPRoute]:
    """Yield what configures this namespace, its loopback device already up.

    Raises:
        ModuleNotFoundError: pyroute2 is not installed.
    """
    from pyroute2 import IPRoute  # noqa: PLC0415  # an extra, so the module must do without

    with IPRoute() as route:
        route.link("set", index=socket.if_nametoindex("lo"), state="up")
        yield route


def bring_up(route: IPRoute, name: str, mtu_bytes: int) -> int:
    """Take a device into service and return its index."""
    index = socket.if_nametoindex(name)
    route.link("set", index=index, state="up", mtu=mtu_bytes, txqlen=_QUEUE_PACKETS)
    return index


def settle(route: IPRoute, index: int, *addresses: str) -> None:
    """Give a device its addresses, with prefix lengths, and the default routes."""
    for address in addresses:
        route.addr("add", index=index, address=address, flags=_IFA_F_NODAD)
    for family in (socket.AF_INET, socket.AF_INET6):
        route.route("add", dst="default", oif=index, family=family)


def kill_inhabitants(namespaces: Sequence[Namespace]) -> None:
    """Close the namespaces to newcomers and kill every process inside or about to enter.

    What is born meanwhile dies, too. A path through our descriptors leads nowhere once they are
    closed, so that whoever comes late fails, and who came early enough holds one of its own.
    """
    inodes = {os.fstat(namespace.net).st_ino for namespace in namespaces}
    for namespace in namespaces:
        os.close(namespace.net)
    while inhabitants := list(_inhabitants(inodes)):
        for pid in inhabitants:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _inhabitants(inodes: set[int]) -> Iterator[int]:
    for entry in Path("/proc").glob("[1-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile, or is another user's
            # in this order: between the two looks a process can go in, but no longer set out
            if _is_entering(entry, inodes) or (entry / "ns/net").stat().st_ino in inodes:
                yield int(entry.name)


def _is_entering(entry: Path, inodes: set[int]) -> bool:
    """Return whether a process is between opening one of the namespaces and moving there."""
    if (entry / "comm").read_text() != "nsenter\n":
        return False
    for descriptor in (entry / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if descriptor.stat().st_ino in inodes:
                return True
    return False

"""A host: a network namespace with a TUN device, addresses and routes, held by descriptors alone.

Theory of operation
-------------------
`build` moves the process on to a new namespace and furnishes it. Nobody lives there yet; the
descriptors in `Namespace` hold it, so that it vanishes when they are closed or their owner dies,
and other processes enter it through `/proc/<owner>/fd/<net>`. The descriptors of `/proc/net/tcp`
and `tcp6` stay bound to the namespace they were opened in, which lets anyone who may look at the
owner read that host's sockets without entering it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simopen.lab import _kernel

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
    from pyroute2 import IPRoute  # noqa: PLC0415  # an extra, so the module must do without

    _kernel.new_net_namespace()
    tun = _kernel.open_tun(DEVICE)
    _quieten()
    with IPRoute() as route:
        _bring_up(route, route.link_lookup(ifname="lo")[0])
        device = route.link_lookup(ifname=DEVICE)[0]
        _bring_up(route, device, mtu=mtu_bytes, txqlen=_QUEUE_PACKETS)
        route.addr("add", index=device, address=plan.ipv4, prefixlen=24)
        route.addr("add", index=device, address=plan.ipv6, prefixlen=64, flags=_IFA_F_NODAD)
        for family in (socket.AF_INET, socket.AF_INET6):
            route.route("add", dst="default", oif=device, family=family)
    tables = [os.open(f"/proc/self/net/{name}", os.O_RDONLY) for name in ("tcp", "tcp6")]
    return Namespace(plan.name, _kernel.open_net_namespace(), tun, (tables[0], tables[1]))


def kill_inhabitants(namespaces: Sequence[Namespace]) -> None:
    """Kill every process inside any of the namespaces, also those born meanwhile."""
    inodes = {os.fstat(namespace.net).st_ino for namespace in namespaces}
    while inhabitants := list(_inhabitants(inodes)):
        for pid in inhabitants:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _inhabitants(inodes: set[int]) -> Iterator[int]:
    for entry in Path("/proc").glob("[1-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile, or is another user's
            if (entry / "ns/net").stat().st_ino in inodes:
                yield int(entry.name)


def _bring_up(route: IPRoute, index: int, **attributes: int) -> None:
    route.link("set", index=index, state="up", **attributes)


def _quieten() -> None:
    for name, value in _QUIET.items():
        with contextlib.suppress(OSError):  # read-only in some containers; then captures are noisy
            Path(f"/proc/sys/net/ipv6/conf/{DEVICE}/{name}").write_text(value)

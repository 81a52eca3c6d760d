"""A router: a namespace between two TUN devices, whose kernel translates and filters.

Theory of operation
-------------------
`build` moves the process on to a new namespace with a device `outside`, which has the router's
addresses and both default routes, and a device `inside`, which has none and leads to the inside
networks; where the kernel needs a source address towards the inside, it takes the outside one.
Then nftables gets its rules and forwarding is turned on, last, in this namespace alone. What is
written into one device comes out of the other as Linux would have it, or is answered, or vanishes.

The answers are Linux's own, good and bad, and nothing here mends them:

- Who crosses SYNs with a peer and then sends a SYN of another sequence number has it called invalid
  by connection tracking. Invalid packets are not translated, so it leaves `outside` with its
  private source address.
- ICMP errors are limited, for each destination, to a burst of six and then, as measured, one a
  second over IPv4 and ten over IPv6. The excess is silence.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from simopen.lab._errors import LabUnavailable
from simopen.lab.nat import KernelFirewall, KernelNat
from simopen.lab.supervisor import _kernel, _namespace
from simopen.lab.supervisor._ruleset import Json, ruleset

if TYPE_CHECKING:
    from pyroute2 import IPRoute

OUTSIDE = "outside"
INSIDE = "inside"

_FORWARDING = (
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    # the greater of "all" and the device's holds; the rules are to decide, and they alone
    *((f"ipv4/conf/{device}/rp_filter", "0") for device in ("all", OUTSIDE, INSIDE)),
    *((f"ipv4/conf/{device}/send_redirects", "0") for device in ("all", OUTSIDE, INSIDE)),
)
_IFF_MULTICAST = 0x1000  # linux/if.h
_MODULES = "nf_tables nft_ct nft_reject_inet nft_chain_nat nft_masq"
_ADMIN_PATH = "/usr/sbin:/sbin"  # not in an ordinary user's PATH on Debian


class RouterPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One router.

    Attributes:
        name: What it is called, also in captures.
        gateway: What it does.
        ipv4: Its address outside, which it gives to what it translates.
        ipv6: Its address outside.
        inside_ipv4: What is reached through its inside: networks, or addresses of hosts.
        inside_ipv6: Likewise.
    """

    name: str
    gateway: KernelNat | KernelFirewall
    ipv4: str
    ipv6: str
    inside_ipv4: tuple[str, ...]
    inside_ipv6: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Router:
    """One router's descriptors.

    Attributes:
        name: Name of the router.
        net: The namespace.
        outside: The wire's end of its device towards the outside.
        inside: The wire's end of its device towards the inside.
    """

    name: str
    net: int
    outside: int
    inside: int


def build(plan: RouterPlan, mtu_bytes: int) -> Router:
    """Move to a new network namespace and make it the planned router.

    Raises:
        LabUnavailable: nft is missing, or the kernel cannot translate, filter or forward.
        ModuleNotFoundError: pyroute2 is not installed.
    """
    _kernel.new_net_namespace()
    tuns = [_namespace.open_device(name) for name in (OUTSIDE, INSIDE)]
    with _namespace.netlink() as route:
        outside, inside = (_bring_up(route, name, mtu_bytes) for name in (OUTSIDE, INSIDE))
        _namespace.settle(route, outside, f"{plan.ipv4}/32", f"{plan.ipv6}/128")
        for network in (*plan.inside_ipv4, *plan.inside_ipv6):
            route.route("add", dst=network, oif=inside)
    _load(ruleset(plan.gateway, outside=OUTSIDE, inside=INSIDE))
    _forward()
    return Router(plan.name, _kernel.open_net_namespace(), *tuns)


def _bring_up(route: IPRoute, name: str, mtu_bytes: int) -> int:
    """Take a device into service without multicast: forwarding IPv6, it would report groups."""
    index = _namespace.bring_up(route, name, mtu_bytes)
    route.link("set", index=index, flags=0, change=_IFF_MULTICAST)
    return index


def _load(rules: Json) -> None:
    """Give this network namespace its nftables rules."""
    nft = shutil.which("nft", path=f"{os.environ.get('PATH', os.defpath)}:{_ADMIN_PATH}")
    if nft is None:
        raise LabUnavailable("nft (of nftables) is missing: install the package nftables")
    done = subprocess.run(  # noqa: S603  # nothing of a user's in it
        [nft, "-j", "-f", "-"],
        input=json.dumps(rules).encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        complaint = " ".join(done.stderr.decode(errors="replace").split())
        raise LabUnavailable(
            f"nft did not take a router's rules: {complaint};"
            f" it must be built with JSON, and the kernel have {_MODULES} (modprobe -a)"
        )


def _forward() -> None:
    """Turn forwarding on; /proc/sys/net is that of the namespace of whoever opens it."""
    for name, value in _FORWARDING:
        path = Path("/proc/sys/net") / name
        try:
            path.write_text(value)
        except OSError as error:
            raise LabUnavailable(
                f"a router may not write {path}: {error.strerror};"
                " a container needs /proc/sys writable, as with --privileged"
            ) from error

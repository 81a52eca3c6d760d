"""A file is a topology that can be planned, or a TopologyError; nobody has to read a traceback.

What can be planned has addresses of their families, no two hosts of one area the same one; the plan
reads back from the line that a supervisor is sent. A control byte, which TOML does not have, stands
for deep nesting or a long number.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import cast

from simopen.lab import _topologies
from simopen.lab._errors import TopologyError
from simopen.lab._plan import Plan, SitePlan
from simopen.lab._planning import plan

LONGEST = 160

_LONG = {b"\1": b"[" * 2000, b"\2": b"9" * 5000}

SEEDS = (
    b'[[sites]]\nname="a"\nhosts=["x","y"]\ngateway="home-router"\nlink={latency=0.01,loss=1e-2}',
    b'sites=[{name="a",hosts=["x"],gateway={kind="nat",ports="random"}}]\nseed=7\nmtu=1280',
    b'sites=[{name="a",ipv4="203.0.113.7",gateway={kind="kernel-nat"},lan="10.0.0.0/30",hosts=["x"]}]',
    b'sites=[{name="a",hosts=[{name="x",ipv4="192.0.2.1",ipv6="2001:db8::1"}]}]\nsummary="\\u00e4"',
    b'sites=[{name="a",gateway="carrier-nat",sites=[{name="b",hosts=["x"]}]}]',
    b'[[sites]]\nname="a"\nhosts=["x"]\ngateway={kind="firewall",udp_timeout=1e400}',
    b"seed=1979-05-27T07:32:00Z",
    b"sites=\1",
    b'sites=[{name="a",hosts=["x"]}]\nseed=\2',
)


class File:
    """What the reader needs of a path."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __str__(self) -> str:
        return "file.toml"

    def read_text(self, encoding: str) -> str:
        """As a file would be."""
        return self._data.decode(encoding)


def check(data: bytes) -> None:
    """Try some bytes."""
    for place, text in _LONG.items():
        data = data.replace(place, text, 1)
    try:
        topology = _topologies._read(cast("Path", File(data)))
    except TopologyError as error:
        assert str(error).startswith("file.toml: ")
        return
    try:
        found = plan(topology)
    except ValueError:
        return
    assert Plan.from_json(found.to_json()) == found
    _check_area(found.sites)


def _check_area(sites: tuple[SitePlan, ...]) -> None:
    """No two of those that reach each other without a translation have one address."""
    for version in (4, 6):
        addresses = [address for site in sites for address in site.addresses(version)]
        assert len(set(addresses)) == len(addresses)
        assert all(ipaddress.ip_address(each).version == version for each in addresses)
    for site in sites:
        _check_area(site.sites)

"""Which rows of the table about this host apply, and with which values. Pure.

One function for each condition; :mod:`._machine_findings` has the table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from simopen._endpoints import IPV4, is_private, numeric_address
from simopen._report import format_seconds

from ._facts import Chain, Machine
from ._findings import Words
from ._syn_schedule import LONGEST_RTO, SynSchedule, syn_schedule

if TYPE_CHECKING:
    from simopen._endpoints import IPAddress

CROSSING_SINCE = (6, 10, 10)  # Linux: "tcp: Don't drop SYN+ACK for simultaneous connect()"
LINEAR_SINCE = (6, 5)  # Linux: tcp_syn_linear_timeouts
FEW_RETRIES = 2  # tcp_syn_retries up to which a path that loses a little is given up soon
FEW_PORTS = 1000  # ephemeral ports that a busy host uses up
FEW_FILES = 16  # descriptors left; a lane takes two for a moment, and there can be several
FULL_SHARE = 0.9  # of the connection tracking's table
COARSE_CLOCK = 0.001  # seconds; refires are jittered by less than two milliseconds
LOWEST_PORT = 1024  # that needs no privilege
HIGHEST_PORT = 65535  # RFC 9293 §3.1: 16 bits

COOKIES = {
    0: "off",
    1: "on when a listener's queue is full",
    2: "always on",
}
REUSE = {0: "off", 1: "on", 2: "on for loopback alone"}


def kernel_version(release: str) -> tuple[int, ...]:
    """The numbers at the beginning of a kernel's release: ``6.18.44-amd64`` is (6, 18, 44)."""
    match = re.match(r"\d+(\.\d+)*", release)
    return tuple(int(each) for each in match[0].split(".")) if match else ()


def schedule_of(machine: Machine) -> SynSchedule | None:
    """When a SYN leaves again on this host, where that is known."""
    if machine.syn_retries is None:
        return None
    longest = machine.longest_rto or LONGEST_RTO
    linear = machine.syn_linear_timeouts or 0
    return syn_schedule(machine.syn_retries, linear, longest_rto=longest)


def seconds_listed(times: tuple[float, ...]) -> str:
    """Moments as a person lists them: ``1, 2 and 4 s``."""
    *others, last = [f"{each:g}" for each in times]
    return f"{', '.join(others)} and {last} s" if others else f"{last} s"


def when(test: Callable[[Machine], bool]) -> Callable[[Machine], Words | None]:
    """A row without values of its own."""
    return lambda machine: {} if test(machine) else None


def _is_linux(machine: Machine) -> bool:
    return machine.system == "Linux"


def other_system(machine: Machine) -> Words | None:
    return None if _is_linux(machine) else {"system": machine.system or "an unknown system"}


def kernel(*, crosses: bool) -> Callable[[Machine], Words | None]:
    def look(machine: Machine) -> Words | None:
        version = kernel_version(machine.release)
        if not _is_linux(machine) or (version >= CROSSING_SINCE) is not crosses or not version:
            return None
        return {"release": machine.release}

    return look


def schedule(machine: Machine) -> Words | None:
    schedule = schedule_of(machine)
    if schedule is None or not schedule.retransmissions:
        return None
    times = schedule.retransmissions
    return {
        "times": seconds_listed(times),
        "gives_up": f"{schedule.gives_up:g}",
        "took": "; ".join(
            f"one that takes {each:.1f} s has lost {lost}"
            for each, lost in zip(times[:3], ("one", "two", "three"), strict=False)
        ),
    }


def no_linear(machine: Machine) -> Words | None:
    wanted = _is_linux(machine) and machine.syn_retries is not None
    return {} if wanted and not machine.syn_linear_timeouts else None


def few_retries(machine: Machine) -> Words | None:
    schedule = schedule_of(machine)
    if schedule is None or machine.syn_retries is None or machine.syn_retries > FEW_RETRIES:
        return None
    return {"retries": machine.syn_retries, "gives_up": f"{schedule.gives_up:g}"}


def ephemeral_range(machine: Machine) -> Words | None:
    ports = machine.port_range
    if ports is None:
        return None
    reserved = ", ".join(map(str, machine.reserved_ports)) or "none"
    return {"range": ports, "count": f"{len(ports):,}", "reserved": reserved}


def range_of_everything(machine: Machine) -> Words | None:
    ports = machine.port_range
    if ports is None or ports.first > LOWEST_PORT or ports.last < HIGHEST_PORT:
        return None
    return {"range": ports}


def narrow_range(machine: Machine) -> Words | None:
    ports = machine.port_range
    return {"range": ports} if ports is not None and len(ports) < FEW_PORTS else None


def setting(name: str, words: Mapping[int, str]) -> Callable[[Machine], Words | None]:
    def look(machine: Machine) -> Words | None:
        value = getattr(machine, name)
        return None if value is None else {"value": value, "words": words.get(value, "on")}

    return look


def fin_timeout(machine: Machine) -> Words | None:
    return None if machine.fin_timeout is None else {"seconds": machine.fin_timeout}


def _chains(machine: Machine, hook: str) -> list[Chain]:
    return [each for each in machine.firewall.chains or () if each.hook == hook]


def firewall_open(machine: Machine) -> Words | None:
    if machine.firewall.chains is None:
        return None
    closed = any(each.policy == "drop" for each in machine.firewall.chains)
    rules = sum(each.rules for each in machine.firewall.chains)
    return None if closed else {"rules": rules or "no"}


def firewall_tracks(machine: Machine) -> Words | None:
    closed = [each for each in _chains(machine, "input") if each.policy == "drop"]
    return {} if closed and all(each.tracks for each in closed) else None


def firewall_blocks(machine: Machine) -> Words | None:
    closed = [each for each in _chains(machine, "input") if each.policy == "drop"]
    return {} if any(not each.tracks for each in closed) else None


def firewall_output(machine: Machine) -> Words | None:
    closed = [each for each in _chains(machine, "output") if each.policy == "drop"]
    return {"rules": sum(each.rules for each in closed)} if closed else None


def firewall_unseen(machine: Machine) -> Words | None:
    firewall = machine.firewall
    if firewall.chains is not None or not _is_linux(machine):
        return None
    services = " and ".join(firewall.services)
    hint = f"; {services} is switched on" if services else ""
    return {"obstacle": firewall.obstacle or "not readable", "hint": hint}


def tracking(*, full: bool) -> Callable[[Machine], Words | None]:
    def look(machine: Machine) -> Words | None:
        if machine.tracked is None or not machine.most_tracked:
            return None
        if (machine.tracked >= FULL_SHARE * machine.most_tracked) is not full:
            return None
        return {"tracked": f"{machine.tracked:,}", "most": f"{machine.most_tracked:,}"}

    return look


def open_files(*, few: bool) -> Callable[[Machine], Words | None]:
    def look(machine: Machine) -> Words | None:
        if machine.most_open_files is None:
            return None
        left = machine.most_open_files - (machine.open_files or 0)
        if (left < FEW_FILES) is not few:
            return None
        return {"left": f"{left:,}", "most": f"{machine.most_open_files:,}"}

    return look


def uvloop(machine: Machine) -> Words | None:
    return None if machine.uvloop is None else {"version": machine.uvloop}


def clock(*, coarse: bool) -> Callable[[Machine], Words | None]:
    def look(machine: Machine) -> Words | None:
        resolution = machine.clock_resolution
        if (resolution > COARSE_CLOCK) is not coarse:
            return None
        tick = machine.kernel_tick
        ticks = f", the kernel's timers to {tick * 1000:g} ms" if tick else ""
        fine = f"{resolution * 1e9:.0f} ns" if resolution < 1e-6 else format_seconds(resolution)  # noqa: PLR2004 - a microsecond
        return {"resolution": fine, "ticks": ticks}

    return look


def _outward(machine: Machine, version: int) -> list[IPAddress]:
    """The addresses that are not loopback's nor of one link only."""
    found = [numeric_address(host) for host in machine.addresses]
    return [
        each
        for each in found
        if each.version == version and not each.is_loopback and not each.is_link_local
    ]


def no_address(machine: Machine) -> Words | None:
    known = bool(machine.addresses)  # loopback's at least
    return {} if known and not _outward(machine, IPV4) + _outward(machine, 6) else None


def ipv4(*, private: bool) -> Callable[[Machine], Words | None]:
    def look(machine: Machine) -> Words | None:
        found = _outward(machine, IPV4)
        if not found or all(map(is_private, found)) is not private:
            return None
        public = [each for each in found if not is_private(each)]
        return {"address": (public or found)[0]}

    return look


def ipv6(machine: Machine) -> Words | None:
    found = [each for each in _outward(machine, 6) if not is_private(each)]
    return {"address": found[0]} if found else None


def no_ipv6(machine: Machine) -> Words | None:
    has_others = bool(_outward(machine, IPV4))
    return {} if has_others and ipv6(machine) is None else None


def container(machine: Machine) -> Words | None:
    return {"container": machine.container} if machine.container else None

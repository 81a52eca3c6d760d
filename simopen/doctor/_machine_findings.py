"""What the settings of this host mean for connecting. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from simopen._endpoints import IPV4, is_private, numeric_address
from simopen._report import format_seconds

from ._facts import Chain, Machine
from ._findings import Row, Severity, Subject, Table, Words
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
HIGHEST_PORT = 65535

_MAIN_COOKIES = {
    0: "off",
    1: "on when a listener's queue is full",
    2: "always on",
}
_REUSE = {0: "off", 1: "on", 2: "on for loopback alone"}


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


# -- looks ----------------------------------------------------------------------------------------


def _when(test: Callable[[Machine], bool]) -> Callable[[Machine], Words | None]:
    """A row without values of its own."""
    return lambda machine: {} if test(machine) else None


def _is_linux(machine: Machine) -> bool:
    return machine.system == "Linux"


def _other_system(machine: Machine) -> Words | None:
    return None if _is_linux(machine) else {"system": machine.system or "an unknown system"}


def _kernel(*, crosses: bool) -> Callable[[Machine], Words | None]:
    def look(machine: Machine) -> Words | None:
        version = kernel_version(machine.release)
        if not _is_linux(machine) or (version >= CROSSING_SINCE) is not crosses or not version:
            return None
        return {"release": machine.release}

    return look


def _schedule(machine: Machine) -> Words | None:
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


def _no_linear(machine: Machine) -> Words | None:
    wanted = _is_linux(machine) and machine.syn_retries is not None
    return {} if wanted and not machine.syn_linear_timeouts else None


def _few_retries(machine: Machine) -> Words | None:
    schedule = schedule_of(machine)
    if schedule is None or machine.syn_retries is None or machine.syn_retries > FEW_RETRIES:
        return None
    return {"retries": machine.syn_retries, "gives_up": f"{schedule.gives_up:g}"}


def _range(machine: Machine) -> Words | None:
    ports = machine.port_range
    if ports is None:
        return None
    reserved = ", ".join(map(str, machine.reserved_ports)) or "none"
    return {"range": ports, "count": f"{len(ports):,}", "reserved": reserved}


def _range_of_everything(machine: Machine) -> Words | None:
    ports = machine.port_range
    if ports is None or ports.first > LOWEST_PORT or ports.last < HIGHEST_PORT:
        return None
    return {"range": ports}


def _narrow_range(machine: Machine) -> Words | None:
    ports = machine.port_range
    return {"range": ports} if ports is not None and len(ports) < FEW_PORTS else None


def _setting(name: str, words: Mapping[int, str]) -> Callable[[Machine], Words | None]:
    def look(machine: Machine) -> Words | None:
        value = getattr(machine, name)
        return None if value is None else {"value": value, "words": words.get(value, "on")}

    return look


def _fin_timeout(machine: Machine) -> Words | None:
    return None if machine.fin_timeout is None else {"seconds": machine.fin_timeout}


def _chains(machine: Machine, hook: str) -> list[Chain]:
    return [each for each in machine.firewall.chains or () if each.hook == hook]


def _firewall_open(machine: Machine) -> Words | None:
    if machine.firewall.chains is None:
        return None
    closed = any(each.policy == "drop" for each in machine.firewall.chains)
    rules = sum(each.rules for each in machine.firewall.chains)
    return None if closed else {"rules": rules or "no"}


def _firewall_tracks(machine: Machine) -> Words | None:
    closed = [each for each in _chains(machine, "input") if each.policy == "drop"]
    return {} if closed and all(each.tracks for each in closed) else None


def _firewall_blocks(machine: Machine) -> Words | None:
    closed = [each for each in _chains(machine, "input") if each.policy == "drop"]
    return {} if any(not each.tracks for each in closed) else None


def _firewall_output(machine: Machine) -> Words | None:
    closed = [each for each in _chains(machine, "output") if each.policy == "drop"]
    return {"rules": sum(each.rules for each in closed)} if closed else None


def _firewall_unseen(machine: Machine) -> Words | None:
    firewall = machine.firewall
    if firewall.chains is not None or not _is_linux(machine):
        return None
    services = " and ".join(firewall.services)
    hint = f"; {services} is switched on" if services else ""
    return {"obstacle": firewall.obstacle or "not readable", "hint": hint}


def _tracking(*, full: bool) -> Callable[[Machine], Words | None]:
    def look(machine: Machine) -> Words | None:
        if machine.tracked is None or not machine.most_tracked:
            return None
        if (machine.tracked >= FULL_SHARE * machine.most_tracked) is not full:
            return None
        return {"tracked": f"{machine.tracked:,}", "most": f"{machine.most_tracked:,}"}

    return look


def _files(*, few: bool) -> Callable[[Machine], Words | None]:
    def look(machine: Machine) -> Words | None:
        if machine.most_open_files is None:
            return None
        left = machine.most_open_files - (machine.open_files or 0)
        if (left < FEW_FILES) is not few:
            return None
        return {"left": f"{left:,}", "most": f"{machine.most_open_files:,}"}

    return look


def _uvloop(machine: Machine) -> Words | None:
    return None if machine.uvloop is None else {"version": machine.uvloop}


def _clock(*, coarse: bool) -> Callable[[Machine], Words | None]:
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


def _no_address(machine: Machine) -> Words | None:
    return None if _outward(machine, IPV4) or _outward(machine, 6) else {}


def _ipv4(*, private: bool) -> Callable[[Machine], Words | None]:
    def look(machine: Machine) -> Words | None:
        found = _outward(machine, IPV4)
        if not found or all(map(is_private, found)) is not private:
            return None
        public = [each for each in found if not is_private(each)]
        return {"address": (public or found)[0]}

    return look


def _ipv6(machine: Machine) -> Words | None:
    found = [each for each in _outward(machine, 6) if not is_private(each)]
    return {"address": found[0]} if found else None


def _no_ipv6(machine: Machine) -> Words | None:
    has_others = bool(_outward(machine, IPV4))
    return {} if has_others and _ipv6(machine) is None else None


def _container(machine: Machine) -> Words | None:
    return {"container": machine.container} if machine.container else None


FINE, NOTE, HINDERS = Severity.FINE, Severity.NOTE, Severity.HINDERS

MACHINE = Table(
    Subject.MACHINE,
    (
        Row(
            "other-system",
            NOTE,
            _other_system,
            "this is {system}, not Linux",
            "Its settings cannot be read here, and simopen is tested on Linux alone; what follows "
            "is what any system tells",
        ),
        Row(
            "kernel",
            FINE,
            _kernel(crosses=True),
            "Linux {release}",
            "SYNs that cross become a connection in one round trip",
        ),
        Row(
            "kernel-old",
            NOTE,
            _kernel(crosses=False),
            "Linux {release}, before 6.10.10",
            "Where SYNs cross, the peer's SYN-ACK is not taken at once, and the connection opens "
            "one leg later",
            "A newer kernel, if that matters",
        ),
        Row(
            "syn-schedule",
            FINE,
            _schedule,
            "a SYN that nobody answers leaves again after {times}; connect() gives up after "
            "{gives_up} s",
            "A connect() that takes a whole number of these seconds has lost packets, SYNs or "
            "their answers: {took}. simopen itself does not wait for this: it sends a fresh SYN "
            "after half a second",
        ),
        Row(
            "syn-doubling",
            NOTE,
            _no_linear,
            "the wait doubles from the first retransmission on (no tcp_syn_linear_timeouts)",
            "An ordinary connect() whose first two SYNs are lost takes 3 s, not 2; kernels from "
            "6.5 on wait one second four times first",
        ),
        Row(
            "syn-few",
            NOTE,
            _few_retries,
            "tcp_syn_retries is {retries}",
            "An ordinary connect() gives up after {gives_up} s; simopen goes on with a fresh SYN",
            "sysctl net.ipv4.tcp_syn_retries=6 is the usual value",
        ),
        Row(
            "port-range",
            FINE,
            _range,
            "unbound sockets are given ports of {range} ({count}); reserved: {reserved}",
            "A port outside that range, or a reserved one, is never given to another program by "
            "chance, nor can a socket meet itself on it",
        ),
        Row(
            "port-range-everything",
            NOTE,
            _range_of_everything,
            "ip_local_port_range is {range}: every port that needs no privilege",
            "Whatever port is chosen to connect from, another program may be using it at that "
            "moment",
            "Reserve the ports you agree on: sysctl net.ipv4.ip_local_reserved_ports=40000-40003",
        ),
        Row(
            "port-range-narrow",
            NOTE,
            _narrow_range,
            "ip_local_port_range has few ports: {range}",
            "A busy host runs out of them, and then what does not name its port cannot connect",
            "Widen it: sysctl net.ipv4.ip_local_port_range='32768 60999'",
        ),
        Row(
            "timestamps",
            FINE,
            _when(lambda machine: bool(machine.timestamps)),
            "TCP timestamps are on",
            "The same pair of ports can be connected again at once after a connection that we have "
            "closed: TIME_WAIT gives way to a newer timestamp",
        ),
        Row(
            "timestamps-off",
            NOTE,
            _when(lambda machine: machine.timestamps == 0),
            "TCP timestamps are off",
            "After a connection that we have closed, connect() on the same pair of ports fails "
            "with EADDRNOTAVAIL for 60 s (TIME_WAIT)",
            "sysctl net.ipv4.tcp_timestamps=1, or another port for the next connection",
        ),
        Row(
            "time-wait-reuse",
            FINE,
            _setting("time_wait_reuse", _REUSE),
            "tcp_tw_reuse is {value} ({words})",
            "Concerns ports that the kernel chooses; a port that is bound, as in a punch, gets its "
            "TIME_WAIT back by timestamps alone",
        ),
        Row(
            "syncookies",
            FINE,
            _setting("syncookies", _MAIN_COOKIES),
            "tcp_syncookies is {value} ({words})",
            "Concerns listeners; where SYNs cross there is no listener, no queue and no cookie",
        ),
        Row(
            "fin-timeout",
            FINE,
            _fin_timeout,
            "tcp_fin_timeout is {seconds} s",
            "So long a closed connection whose peer does not close its end keeps its pair of ports",
        ),
        Row(
            "firewall-open",
            FINE,
            _firewall_open,
            "the packet filter lets in what no rule decides on ({rules} rules)",
            "The peer's SYN reaches us, unless one of the rules stops it",
        ),
        Row(
            "firewall-tracks",
            FINE,
            _firewall_tracks,
            "the packet filter drops what nobody has asked for, and knows connections",
            "Our own SYN opens the way for the peer's, which crosses it: a filter like this one "
            "does not hinder, it even keeps early SYNs from being refused",
        ),
        Row(
            "firewall-blocks",
            HINDERS,
            _firewall_blocks,
            "the packet filter drops all input, and no rule lets in what belongs to a connection",
            "The peer's SYN does not reach us, nor does any answer to ours",
            "Let in what belongs to a connection: nft add rule inet filter input ct state "
            "established,related accept (in your own table and chain)",
        ),
        Row(
            "firewall-output",
            NOTE,
            _firewall_output,
            "the packet filter drops output that none of its {rules} rules allows",
            "Our SYNs leave only if a rule lets them; if none does, connect() fails with EPERM",
            "Allow outgoing TCP from the port you connect from",
        ),
        Row(
            "firewall-unseen",
            NOTE,
            _firewall_unseen,
            "the packet filter cannot be seen: {obstacle}{hint}",
            "One that drops all input, answers included, would hinder; the usual ones do not",
            "Run the doctor as root to have it looked at",
        ),
        Row(
            "tracking",
            FINE,
            _tracking(full=False),
            "connection tracking holds {tracked} of {most}",
            "There is room for ours",
        ),
        Row(
            "tracking-full",
            HINDERS,
            _tracking(full=True),
            "connection tracking is nearly full: {tracked} of {most}",
            "New connections are dropped without a word once it is full",
            "Raise it: sysctl net.netfilter.nf_conntrack_max",
        ),
        Row(
            "files",
            FINE,
            _files(few=False),
            "{left} open files are left of {most}",
            "A punch takes one for each pair of ports, and one more for a moment",
        ),
        Row(
            "files-few",
            HINDERS,
            _files(few=True),
            "only {left} open files are left of {most}",
            "A punch takes one for each pair of ports, and one more for a moment; without, it "
            "cannot begin (EMFILE)",
            "Raise the limit: ulimit -n 4096",
        ),
        Row(
            "uvloop",
            FINE,
            _uvloop,
            "uvloop {version} is installed",
            "The commands use it; a program of yours does if it runs on it",
        ),
        Row(
            "uvloop-missing",
            NOTE,
            _when(lambda machine: machine.uvloop is None),
            "uvloop is not installed",
            "All works without; a fresh SYN leaves a little later after a refusal",
            "pip install uvloop",
        ),
        Row(
            "clock",
            FINE,
            _clock(coarse=False),
            "the clock counts to {resolution}{ticks}",
            "SYNs leave when they are meant to; the kernel's own retransmissions come up to an "
            "eighth late, never early",
        ),
        Row(
            "clock-coarse",
            NOTE,
            _clock(coarse=True),
            "the clock counts to {resolution} only{ticks}",
            "Refires are spread by less than two milliseconds, which this clock does not see: two "
            "hosts like this can refuse each other in step for longer",
        ),
        Row(
            "container",
            NOTE,
            _container,
            "this is inside {container}",
            "Addresses, ports and these settings are those in here; the host around it may "
            "translate them once more, as a NAT does",
            "Give the container the host's network, or let a coordinator find out the port",
        ),
        Row(
            "no-address",
            HINDERS,
            _no_address,
            "this host has no address but loopback's",
            "Nobody else can be reached",
            "Bring an interface up (ip address)",
        ),
        Row(
            "ipv4-private",
            NOTE,
            _ipv4(private=True),
            "over IPv4 this host has private addresses only ({address})",
            "A NAT is between us and the internet; what it does to our port decides whether a peer "
            "meets us",
            "Ask a coordinator what the NAT does: --rendezvous URL",
        ),
        Row(
            "ipv4-public",
            FINE,
            _ipv4(private=False),
            "over IPv4 this host has an address that is not private ({address})",
            "Most likely no NAT is in between, and the peer can be told this address and our port; a "
            "coordinator tells for certain",
        ),
        Row(
            "ipv6",
            FINE,
            _ipv6,
            "this host has a global IPv6 address ({address})",
            "With a peer that has one as well there is no NAT in between, at most a firewall",
        ),
        Row(
            "ipv6-none",
            NOTE,
            _no_ipv6,
            "this host has no global IPv6 address",
            "Peers are met over IPv4 alone, through whatever NATs there are",
        ),
    ),
)
"""All that can be found about this host."""

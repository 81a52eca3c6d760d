"""What the doctor has seen, as values: the readers make them, the judgements take them. Pure.

None means throughout that this system does not tell.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from simopen._endpoints import Endpoint


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ports from ``first`` to ``last``, both included.

    Attributes:
        first: The lowest.
        last: The highest.
    """

    first: int
    last: int

    def __contains__(self, port: int) -> bool:
        return self.first <= port <= self.last

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A base chain of the packet filter.

    Attributes:
        hook: ``"input"`` or ``"output"``.
        policy: What becomes of a packet that no rule decides on: ``"accept"`` or ``"drop"``.
        rules: How many rules there are in it.
        tracks: Whether a rule of its table looks at the state of a connection.
    """

    hook: str
    policy: str
    rules: int = 0
    tracks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Firewall:
    """The packet filter of this host.

    Attributes:
        chains: Those for packets to and from this host; None where they cannot be seen.
        obstacle: Why they cannot be seen.
        services: Programs that keep a filter and that are switched on, by their own files.
    """

    chains: tuple[Chain, ...] | None = None
    obstacle: str = ""
    services: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """This host.

    Attributes:
        system: The operating system (``"Linux"``).
        release: Of its kernel.
        syn_retries: ``tcp_syn_retries``.
        syn_linear_timeouts: ``tcp_syn_linear_timeouts``.
        longest_rto: ``tcp_rto_max_ms``, in seconds.
        timestamps: ``tcp_timestamps``.
        time_wait_reuse: ``tcp_tw_reuse``.
        syncookies: ``tcp_syncookies``.
        fin_timeout: ``tcp_fin_timeout``, in seconds.
        port_range: ``ip_local_port_range``.
        reserved_ports: ``ip_local_reserved_ports``.
        firewall: Its packet filter.
        tracked: Connections that its connection tracking holds.
        most_tracked: And how many it may.
        open_files: Descriptors this process has.
        most_open_files: And how many it may.
        uvloop: Its version, where it is installed.
        clock_resolution: Seconds; of the monotonic clock.
        kernel_tick: Seconds from one tick of the kernel's timers to the next.
        container: What this process is contained in, in words; empty for nothing known.
        addresses: The addresses of its interfaces, loopback's included.
    """

    system: str
    release: str = ""
    syn_retries: int | None = None
    syn_linear_timeouts: int | None = None
    longest_rto: float | None = None
    timestamps: int | None = None
    time_wait_reuse: int | None = None
    syncookies: int | None = None
    fin_timeout: int | None = None
    port_range: PortRange | None = None
    reserved_ports: tuple[PortRange, ...] = ()
    firewall: Firewall = field(default_factory=Firewall)
    tracked: int | None = None
    most_tracked: int | None = None
    open_files: int | None = None
    most_open_files: int | None = None
    uvloop: str | None = None
    clock_resolution: float = 1e-9
    kernel_tick: float | None = None
    container: str = ""
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPort:
    """The port to connect from.

    Attributes:
        local: The endpoint as given, resolved.
        remote: The remote, where one was given and has an address.
        states: TCP states of the sockets that are on this port now (``"LISTEN"``, …).
        pair_state: That of the socket between exactly ``local`` and ``remote``; None for none.
        bind_error: Why it cannot be bound, in words; empty where it can.
    """

    local: Endpoint
    remote: Endpoint | None = None
    states: frozenset[str] = frozenset()
    pair_state: str | None = None
    bind_error: str = ""


class Answer(enum.Enum):
    """What came back on one knock."""

    OPEN = "open"
    RESET = "reset"
    ICMP = "ICMP error"
    ERROR = "error"  # an answer of a kind that the system does not tell apart
    SILENT = "silent"
    UNSENT = "unsent"


@dataclass(frozen=True, slots=True, kw_only=True)
class IcmpError:
    """An ICMP error that a SYN was answered with.

    Attributes:
        version: Of IP: 4 for ICMP, 6 for ICMPv6.
        type: As in the message.
        code: Likewise.
        sender: The address it came from; empty where the system does not tell.
    """

    version: int
    type: int
    code: int
    sender: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """One ``connect()`` and what became of it.

    Attributes:
        answer: What came back.
        after: Seconds to the answer, or of silence.
        reason: The error in words; empty for OPEN and SILENT.
        icmp: The ICMP error, where it was one and the system tells.
    """

    answer: Answer
    after: float
    reason: str = ""
    icmp: IcmpError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """What the remote does with SYNs.

    Attributes:
        remote: The endpoint, resolved; as given where that failed.
        port_is_named: Whether the knocks came from the port that a peer would expect.
        knocks: In order.
        stranger: A knock from another port, after one that opened.
        unresolved: Why it has no address; empty where it has.
    """

    remote: Endpoint
    port_is_named: bool = False
    knocks: tuple[Knock, ...] = ()
    stranger: Knock | None = None
    unresolved: str = ""


class Trouble(enum.Enum):
    """What was wrong with a coordinator."""

    NAME = "name"
    UNREACHABLE = "unreachable"
    CERTIFICATE = "certificate"
    TLS = "tls"
    PROTOCOL = "protocol"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A visit at a coordinator over one family.

    Attributes:
        url: The coordinator.
        remote: Its endpoint; as in the URL where it was not found.
        local: Our end of the connection; None where there was none.
        observed: The same in the coordinator's word.
        probed: And in that of its probe ports, those that answered.
        round_trip: Seconds to the coordinator and back.
        trouble: What was wrong; None where nothing was.
        reason: That in words.
    """

    url: str
    remote: Endpoint
    local: Endpoint | None = None
    observed: Endpoint | None = None
    probed: tuple[Endpoint, ...] = ()
    round_trip: float | None = None
    trouble: Trouble | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """What the NAT in front of us makes of our port, over one family.

    Attributes:
        version: Of IP.
        local: Our endpoint.
        observed: It in the words of all coordinators and their probe ports, repeats included.
        by_port: Whether two ports of one coordinator saw different endpoints.
        is_own: Whether what was observed is an address of this host.
    """

    version: int
    local: Endpoint
    observed: tuple[Endpoint, ...]
    by_port: bool = False
    is_own: bool = False

"""What the settings of this host mean for connecting. Pure."""

from __future__ import annotations

from . import _machine_looks as looks
from ._findings import Row, Severity, Subject, Table

FINE, NOTE, HINDERS = Severity.FINE, Severity.NOTE, Severity.HINDERS

MACHINE = Table(
    Subject.MACHINE,
    (
        Row(
            "other-system",
            NOTE,
            looks.other_system,
            "this is {system}, not Linux",
            "Its settings cannot be read here, and simopen is tested on Linux alone; what follows "
            "is what any system tells",
        ),
        Row(
            "kernel",
            FINE,
            looks.kernel(crosses=True),
            "Linux {release}",
            "SYNs that cross become a connection in one round trip",
        ),
        Row(
            "kernel-old",
            NOTE,
            looks.kernel(crosses=False),
            "Linux {release}, before 6.10.10",
            "Where SYNs cross, the peer's SYN-ACK is not taken at once, and the connection opens "
            "one leg later",
            "A newer kernel, if that matters",
        ),
        Row(
            "syn-schedule",
            FINE,
            looks.schedule,
            "a SYN that nobody answers leaves again after {times}; connect() gives up after "
            "{gives_up} s",
            "A connect() that takes a whole number of these seconds has lost packets, SYNs or "
            "their answers: {took}. simopen itself does not wait for this: it sends a fresh SYN "
            "after half a second",
        ),
        Row(
            "syn-doubling",
            NOTE,
            looks.no_linear,
            "the wait doubles from the first retransmission on (no tcp_syn_linear_timeouts)",
            "An ordinary connect() whose first two SYNs are lost takes 3 s, not 2; kernels from "
            "6.5 on wait one second four times first",
        ),
        Row(
            "syn-few",
            NOTE,
            looks.few_retries,
            "tcp_syn_retries is {retries}",
            "An ordinary connect() gives up after {gives_up} s; simopen goes on with a fresh SYN",
            "sysctl net.ipv4.tcp_syn_retries=6 is the usual value",
        ),
        Row(
            "port-range",
            FINE,
            looks.ephemeral_range,
            "unbound sockets are given ports of {range} ({count}); reserved: {reserved}",
            "A port outside that range, or a reserved one, is never given to another program by "
            "chance, nor can a socket meet itself on it",
        ),
        Row(
            "port-range-everything",
            NOTE,
            looks.range_of_everything,
            "ip_local_port_range is {range}: every port that needs no privilege",
            "Whatever port is chosen to connect from, another program may be using it at that "
            "moment",
            "Reserve the ports you agree on: sysctl net.ipv4.ip_local_reserved_ports=40000-40003",
        ),
        Row(
            "port-range-narrow",
            NOTE,
            looks.narrow_range,
            "ip_local_port_range has few ports: {range}",
            "A busy host runs out of them, and then what does not name its port cannot connect",
            "Widen it: sysctl net.ipv4.ip_local_port_range='32768 60999'",
        ),
        Row(
            "timestamps",
            FINE,
            looks.when(lambda machine: bool(machine.timestamps)),
            "TCP timestamps are on",
            "The same pair of ports can be connected again at once after a connection that we have "
            "closed: TIME_WAIT gives way to a newer timestamp",
        ),
        Row(
            "timestamps-off",
            NOTE,
            looks.when(lambda machine: machine.timestamps == 0),
            "TCP timestamps are off",
            "After a connection that we have closed, connect() on the same pair of ports fails "
            "with EADDRNOTAVAIL for 60 s (TIME_WAIT)",
            "sysctl net.ipv4.tcp_timestamps=1, or another port for the next connection",
        ),
        Row(
            "time-wait-reuse",
            FINE,
            looks.setting("time_wait_reuse", looks.REUSE),
            "tcp_tw_reuse is {value} ({words})",
            "Concerns ports that the kernel chooses; a port that is bound, as in a punch, gets its "
            "TIME_WAIT back by timestamps alone",
        ),
        Row(
            "syncookies",
            FINE,
            looks.setting("syncookies", looks.COOKIES),
            "tcp_syncookies is {value} ({words})",
            "Concerns listeners; where SYNs cross there is no listener, no queue and no cookie",
        ),
        Row(
            "fin-timeout",
            FINE,
            looks.fin_timeout,
            "tcp_fin_timeout is {seconds} s",
            "So long a closed connection whose peer does not close its end keeps its pair of ports",
        ),
        Row(
            "firewall-open",
            FINE,
            looks.firewall_open,
            "the packet filter lets in what no rule decides on ({rules} rules)",
            "The peer's SYN reaches us, unless one of the rules stops it",
        ),
        Row(
            "firewall-tracks",
            FINE,
            looks.firewall_tracks,
            "the packet filter drops what nobody has asked for, and knows connections",
            "Our own SYN opens the way for the peer's, which crosses it: a filter like this one "
            "does not hinder, it even keeps early SYNs from being refused",
        ),
        Row(
            "firewall-blocks",
            HINDERS,
            looks.firewall_blocks,
            "the packet filter drops all input, and no rule lets in what belongs to a connection",
            "The peer's SYN does not reach us, nor does any answer to ours",
            "Let in what belongs to a connection: nft add rule inet filter input ct state "
            "established,related accept (in your own table and chain)",
        ),
        Row(
            "firewall-output",
            NOTE,
            looks.firewall_output,
            "the packet filter drops output that none of its {rules} rules allows",
            "Our SYNs leave only if a rule lets them; if none does, connect() fails with EPERM",
            "Allow outgoing TCP from the port you connect from",
        ),
        Row(
            "firewall-unseen",
            NOTE,
            looks.firewall_unseen,
            "the packet filter cannot be seen: {obstacle}{hint}",
            "One that drops all input, answers included, would hinder; the usual ones do not",
            "Run the doctor as root to have it looked at",
        ),
        Row(
            "tracking",
            FINE,
            looks.tracking(full=False),
            "connection tracking holds {tracked} of {most}",
            "There is room for ours",
        ),
        Row(
            "tracking-full",
            HINDERS,
            looks.tracking(full=True),
            "connection tracking is nearly full: {tracked} of {most}",
            "New connections are dropped without a word once it is full",
            "Raise it: sysctl net.netfilter.nf_conntrack_max",
        ),
        Row(
            "files",
            FINE,
            looks.open_files(few=False),
            "{left} open files are left of {most}",
            "A punch takes one for each pair of ports, and one more for a moment",
        ),
        Row(
            "files-few",
            HINDERS,
            looks.open_files(few=True),
            "only {left} open files are left of {most}",
            "A punch takes one for each pair of ports, and one more for a moment; without, it "
            "cannot begin (EMFILE)",
            "Raise the limit: ulimit -n 4096",
        ),
        Row(
            "uvloop",
            FINE,
            looks.uvloop,
            "uvloop {version} is installed",
            "The commands use it; a program of yours does if it runs on it",
        ),
        Row(
            "uvloop-missing",
            NOTE,
            looks.when(lambda machine: machine.uvloop is None),
            "uvloop is not installed",
            "All works without; a fresh SYN leaves a little later after a refusal",
            "pip install uvloop",
        ),
        Row(
            "clock",
            FINE,
            looks.clock(coarse=False),
            "the clock counts to {resolution}{ticks}",
            "SYNs leave when they are meant to; the kernel's own retransmissions come up to an "
            "eighth late, never early",
        ),
        Row(
            "clock-coarse",
            NOTE,
            looks.clock(coarse=True),
            "the clock counts to {resolution} only{ticks}",
            "Refires are spread by less than two milliseconds, which this clock does not see: two "
            "hosts like this can refuse each other in step for longer",
        ),
        Row(
            "container",
            NOTE,
            looks.container,
            "this is inside {container}",
            "Addresses, ports and these settings are those in here; the host around it may "
            "translate them once more, as a NAT does",
            "Give the container the host's network, or let a coordinator find out the port",
        ),
        Row(
            "no-address",
            HINDERS,
            looks.no_address,
            "this host has no address but loopback's",
            "Nobody else can be reached",
            "Bring an interface up (ip address)",
        ),
        Row(
            "ipv4-private",
            NOTE,
            looks.ipv4(private=True),
            "over IPv4 this host has private addresses only ({address})",
            "A NAT is between us and the internet; what it does to our port decides whether a peer "
            "meets us",
            "Ask a coordinator what the NAT does: --rendezvous URL",
        ),
        Row(
            "ipv4-public",
            FINE,
            looks.ipv4(private=False),
            "over IPv4 this host has an address that is not private ({address})",
            "Most likely no NAT is in between, and the peer can be told this address and our port; "
            "a coordinator tells for certain",
        ),
        Row(
            "ipv6",
            FINE,
            looks.ipv6,
            "this host has a global IPv6 address ({address})",
            "With a peer that has one as well there is no NAT in between, at most a firewall",
        ),
        Row(
            "ipv6-none",
            NOTE,
            looks.no_ipv6,
            "this host has no global IPv6 address",
            "Peers are met over IPv4 alone, through whatever NATs there are",
        ),
    ),
)
"""All that can be found about this host."""

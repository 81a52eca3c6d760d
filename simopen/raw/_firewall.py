"""What keeps the kernel from sending resets to those whose handshake we do.

Theory of operation
===================

The kernel knows of no socket for our port, so it answers every segment of a handshake by a reset
(RFC 9293 §3.10.7.1). A table of nftables of our own drops these on their way out, and no others:

- for an *acceptor*, resets that answer a SYN (their sequence number is 0), and resets that answer
  an acknowledgement from somebody to whom a SYN-ACK of ours has gone in the last 20 seconds, which
  the table notes by itself. So a segment of a connection long over still gets its reset, and so do
  the peers of connections that were handed over: resets of their sockets carry an ACK.
- for a *connector*, resets from its own endpoint to that of its peer, until it is connected.

What we send ourselves is marked, and passes. The rules come before connection tracking (``raw``),
which would take a reset that then is dropped for the end of the connection.

A table outlives its process. So each has a name of its own, and its process holds a lock of the
same name for as long as it lives: an abstract UNIX socket, which like the table belongs to the
network namespace, and which the kernel frees however the process ends. Whoever starts takes the
locks of all tables that it finds; a table whose lock is free is a dead process's, and goes.

Invariants
==========

- The lock is held before the table is there, and until it is gone.
- No table but those of our own name is ever touched.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ._errors import RawUnavailableError, lacking
from ._segments import Address, Flow
from ._wire import MARK

PREFIX = "simopen_raw_"
# The longest pause between two SYN-ACKs is 16 s (_handshake.SYN_ACK_RETRIES).
REMEMBERED = 20  # seconds
# Entries; at the 20,000 SYN-ACKs a second that this process can send, all of that time fits.
MOST_REMEMBERED = 524_288
LONGEST = 10  # seconds that nft may take
# Starting nft takes four pipes. Their descriptors are kept as long as a table is there, so that it
# can be removed by a process that has run out of them.
NFT_DESCRIPTORS = 8

_TABLE = re.compile(rf"^table inet ({PREFIX}[0-9a-f]{{16}})$", re.MULTILINE)
_SEARCHED = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


@contextmanager
def quiet_port(local: Address) -> Iterator[None]:
    """For an acceptor: no resets from a port to whoever is about to connect to it.

    Args:
        local: Our end; its address may be the wildcard.

    Raises:
        RawUnavailableError: There is no nft, or it may not or cannot do that.
    """
    with _table(_acceptor_rules(local)):
        yield


@contextmanager
def quiet_flow(flow: Flow) -> Iterator[None]:
    """For a connector: no resets between two endpoints.

    Args:
        flow: The connection.

    Raises:
        RawUnavailableError: There is no nft, or it may not or cannot do that.
    """
    with _table(_connector_rules(flow)):
        yield


def remove_leftovers() -> None:
    """Remove the tables of processes that have died.

    Raises:
        RawUnavailableError: There is no nft, or it may not.
    """
    for name in _TABLE.findall(_nft("list tables")):
        lock = take_lock(name)
        if lock is not None:
            with lock:
                _remove(name)


@contextmanager
def _table(rules: str) -> Iterator[None]:
    remove_leftovers()
    name = PREFIX + secrets.token_hex(8)
    lock = take_lock(name)
    assert lock is not None  # noqa: S101 - nobody else has such a name
    with lock:
        try:
            _nft(f"table inet {name} {{\n{rules}}}\n")
            with ExitStack() as kept:
                for _ in range(NFT_DESCRIPTORS):
                    kept.callback(os.close, os.dup(lock.fileno()))
                yield
        finally:
            _remove(name)


def _acceptor_rules(local: Address) -> str:
    family, kind = ("ip", "ipv4_addr") if len(local.packed) == 4 else ("ip6", "ipv6_addr")  # noqa: PLR2004 - bytes of an IPv4 address
    ours = f"meta nfproto {'ipv4' if family == 'ip' else 'ipv6'} tcp sport {local.port}"
    if any(local.packed):
        ours = f"{family} saddr {_host(local)} {ours}"
    return f"""\
  set answered {{
    type {kind} . inet_service
    flags dynamic,timeout
    timeout {REMEMBERED}s
    size {MOST_REMEMBERED}
  }}
  chain output {{
    type filter hook output priority raw
    {ours} jump ours
  }}
  chain ours {{
    tcp flags & (syn | ack) == (syn | ack) update @answered {{ {family} daddr . tcp dport }} accept
    meta mark {MARK} accept
    tcp flags & (rst | ack) == (rst | ack) tcp sequence 0 drop
    tcp flags & (rst | ack) == rst {family} daddr . tcp dport @answered drop
  }}
"""


def _connector_rules(flow: Flow) -> str:
    family = "ip" if len(flow.local.packed) == 4 else "ip6"  # noqa: PLR2004 - bytes of an IPv4 address
    ends = f"{family} saddr {_host(flow.local)} {family} daddr {_host(flow.remote)}"
    ports = f"tcp sport {flow.local.port} tcp dport {flow.remote.port}"
    return f"""\
  chain output {{
    type filter hook output priority raw
    {ends} {ports} meta mark != {MARK} tcp flags & rst == rst drop
  }}
"""


def _host(address: Address) -> str:
    family = socket.AF_INET if len(address.packed) == 4 else socket.AF_INET6  # noqa: PLR2004 - bytes of an IPv4 address
    return socket.inet_ntop(family, address.packed)


def take_lock(name: str) -> socket.socket | None:
    """A lock of this network namespace, held until it is closed; None where somebody has it.

    Args:
        name: Of the lock.
    """
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lock.bind(f"\0{name}")
    except OSError:
        lock.close()
        return None
    return lock


def _remove(name: str) -> None:
    """Remove a table that may be gone: somebody else may have found it dead, or flushed it all."""
    # Adding it first, which does nothing to one that is there, makes the deletion sure to succeed.
    _nft(f"add table inet {name}\ndelete table inet {name}\n")


def _nft(commands: str) -> str:
    """Run commands, all of them or none; what it says."""
    program = shutil.which("nft", path=_SEARCHED)
    if program is None:
        raise RawUnavailableError(
            errno.ENOENT,
            "nft (of nftables) is missing, which keeps the kernel from resetting the connections: "
            "install the package nftables",
        )
    try:
        done = subprocess.run(  # noqa: S603 - rules of our own making
            [program, "-f", "-"],
            input=commands,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RawUnavailableError(
            errno.ETIMEDOUT, f"nft has not done its work in {LONGEST} s: try again"
        ) from None
    if done.returncode:
        if "Operation not permitted" in done.stderr:
            raise lacking("CAP_NET_ADMIN")
        said = done.stderr.strip().partition("\n")[0]
        raise RawUnavailableError(errno.EOPNOTSUPP, f"nft refuses the rule: {said}")
    return done.stdout

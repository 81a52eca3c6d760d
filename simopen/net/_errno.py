"""What an error number of ``connect()`` or ``SO_ERROR`` means for a punch."""

from __future__ import annotations

import errno
import os
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

IN_PROGRESS = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY, errno.EISCONN})

# Systems that do not wait can have the answer to the SYN before connect() returns.
REFUSED_AT_ONCE = frozenset({errno.ECONNREFUSED, errno.ECONNRESET})

# Answers that came over the network (Linux: tcp_reset(), and icmp_err_convert for ICMP). Linux
# aborts SYN_SENT on every ICMP error; RFC 1122 §4.2.3.9 calls most of them soft, so we refire.
REFUSALS: Mapping[int, str] = MappingProxyType({
    errno.ECONNREFUSED: "reset",  # a reset, or ICMP port unreachable
    errno.ECONNRESET: "reset",  # a reset that came in SYN_RECEIVED or later
    errno.EPIPE: "reset",  # a reset in CLOSE_WAIT
    errno.EHOSTUNREACH: "host unreachable",
    errno.EHOSTDOWN: "host unreachable",
    errno.ENETUNREACH: "network unreachable",
    errno.EACCES: "prohibited",  # ICMPv6 administratively prohibited
    errno.ETIMEDOUT: "timed out",
})  # fmt: skip

# What connect() itself says before any packet has left.
UNSENT: Mapping[int, str] = MappingProxyType({
    errno.EADDRNOTAVAIL: "port pair in use",  # a socket of this very 4-tuple still exists
    errno.EADDRINUSE: "port pair in use",
    errno.ENETUNREACH: "no route",
    errno.EHOSTUNREACH: "no route",
    errno.ENETDOWN: "no route",
    errno.EPERM: "blocked by a local firewall",  # netfilter dropped it on the way out
    errno.EACCES: "blocked by a local firewall",
    errno.EINVAL: "unusable source address",  # loopback to the outside, link-local to elsewhere
    errno.ENOBUFS: "out of buffers",
})  # fmt: skip


def refusal_reason(code: int) -> str:
    """The kind of refusal, in words a report can tally."""
    return REFUSALS.get(code) or _text(code)


def unsent_reason(code: int) -> str:
    """Why ``connect()`` sent nothing, in words a report can tally."""
    return UNSENT.get(code) or _text(code)


def _text(code: int) -> str:
    return os.strerror(code).lower()

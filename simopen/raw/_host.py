"""What this host's kernel would offer in a SYN, read from where it keeps it."""

from __future__ import annotations

import contextlib
import errno
import socket
from pathlib import Path

from ._errors import RawUnavailableError
from ._handshake import Offer
from ._segments import LARGEST_SCALE, Address
from ._wire import family_of, sockaddr

_IP_MTU, _IPV6_MTU = 14, 24
_HEADERS = {4: 40, 16: 60}  # bytes of IP and TCP, by length of address
_LEAST_MTU = {4: 576, 16: 1280}  # where the route tells none
_LARGEST_WINDOW = 65_535
_SYSCTL = Path("/proc/sys/net")


class OfferMaker:
    """Makes offers; what is the same for all is read once."""

    def __init__(self) -> None:
        """Read the kernel's settings."""
        self._timestamps = _setting("ipv4/tcp_timestamps") != "0"
        self._sack = _setting("ipv4/tcp_sack") != "0"
        self._scale = _window_scale() if _setting("ipv4/tcp_window_scaling") != "0" else None

    def offer(self, remote: Address) -> Offer:
        """The offer to one peer, by the MTU of the route to it."""
        size = len(remote.packed)
        mss = min((_route_mtu(remote) or _LEAST_MTU[size]) - _HEADERS[size], _LARGEST_WINDOW)
        return Offer(
            mss=mss,
            window=_LARGEST_WINDOW // mss * mss,  # in whole segments
            window_scale=self._scale,
            sack=self._sack,
            timestamps=self._timestamps,
        )


def source_of(remote: Address) -> Address:
    """The address the kernel would send from to a peer, with port 0.

    Raises:
        OSError: There is no route.
    """
    with _probe(remote) as probe:
        host, _, *rest = probe.getsockname()
    packed = socket.inet_pton(family_of(remote), host.partition("%")[0])
    return Address(packed, 0, rest[1] if rest else 0)


def _route_mtu(remote: Address) -> int:
    try:
        with _probe(remote) as probe:
            if probe.family == socket.AF_INET:
                return probe.getsockopt(socket.IPPROTO_IP, _IP_MTU)
            return probe.getsockopt(socket.IPPROTO_IPV6, _IPV6_MTU)
    except OSError:
        return 0


def _probe(remote: Address) -> socket.socket:
    """A UDP socket that is connected, for which nothing is sent."""
    probe = socket.socket(family_of(remote), socket.SOCK_DGRAM)
    try:
        probe.connect(sockaddr(remote))
    except BaseException:
        probe.close()
        raise
    return probe


def _window_scale() -> int:
    """So that the largest receive buffer can be told of, as the kernel chooses it."""
    largest = int(_setting("ipv4/tcp_rmem").split()[2])
    with contextlib.suppress(RawUnavailableError):  # not in every namespace
        largest = max(largest, int(_setting("core/rmem_max")))
    return min(max(largest.bit_length() - 16, 0), LARGEST_SCALE)


def _setting(name: str) -> str:
    try:
        return (_SYSCTL / name).read_text().strip()
    except OSError:
        raise RawUnavailableError(
            errno.ENOSYS, f"handshakes of our own need Linux, and /proc/sys/net/{name}"
        ) from None

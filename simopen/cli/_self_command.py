"""``simopen self`` and its options."""

from __future__ import annotations


def connect_self(endpoint: str, /, *, timeout: float = 5.0) -> int:
    """Connect one socket to itself, and show it.

    Nobody listens and no other program takes part: the socket's SYN comes back to the socket that
    sent it, and so does every byte. Shown are both its ends, its TCP state, what else has the
    port, and some bytes on their way round.

    Exit code: 0 shown, 1 could not connect, 2 wrong use, 130 interrupted.

        simopen self 127.0.0.1:40000

        simopen self '[::1]:40000'

    Parameters
    ----------
    endpoint
        An address of this host with a port: host:port or [v6]:port. Port 0 is any free one.
    timeout
        Seconds it may take; only a firewall on this host makes it wait at all.
    """
    from simopen.cli import _self  # noqa: PLC0415 - keeps --help quick

    return _self.show(endpoint, timeout=timeout)

"""The command ``simopen trace`` and its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

_File = Annotated[Path | None, cyclopts.Parameter(allow_leading_hyphen=False)]


def trace(  # noqa: PLR0913 - one for each option
    remote: str | None = None,
    /,
    *,
    local: str | None = None,
    rendezvous: str | None = None,
    room: str | None = None,
    invite_file: _File = None,
    secret_file: _File = None,
    timeout: float = 10.0,
    svg: _File = None,
    pcapng: _File = None,
) -> int:
    """Connect, and show the handshake: a ladder of its packets, our TCP state, what happened.

    The connection is closed as soon as it is there. Whoever may record packets (root, or
    CAP_NET_RAW) sees them all with the kernel's times; otherwise the socket's states are shown, at
    the times somebody looked. Payload is never recorded. The ladder goes to standard output.

    Exit code: 0 connected, 1 could not connect (what was seen is shown all the same), 2 wrong use,
    130 interrupted.

    To whoever listens there:

        simopen trace example.com:443

    To a peer that runs the mirror image, with nobody listening; or through a coordinator, where
    both sides run the same line:

        simopen trace 203.0.113.2:40001 --local 0.0.0.0:40000

        simopen trace --rendezvous tcp://198.51.100.1 --invite-file invite

    To oneself: a socket that is bound to the address it connects to:

        simopen trace 127.0.0.1:40000 --local 127.0.0.1:40000

    Parameters
    ----------
    remote
        Where to connect: host:port or [v6]:port.
    local
        The endpoint to connect from; REMOTE is then a peer, or with the same endpoint ourselves.
        Without it REMOTE is taken for a listener.
    rendezvous
        The coordinator that finds the peer: tcp://host:port or tls://host:port.
    room
        The room of a secret that is no invite; the same on both sides.
    invite_file
        A file with the invite.
    secret_file
        A file with a secret: text of 20 characters or more, or bytes, 16 or more.
    timeout
        Seconds to wait for the connection.
    svg
        Draw the ladder into this file as well.
    pcapng
        Write the packets' headers to this file, for Wireshark; without the right to record
        packets there are none in it.
    """
    from simopen.cli import _trace  # noqa: PLC0415 - keeps --help quick

    return _trace.show(
        _trace.Settings(
            remote=remote,
            local=local,
            rendezvous=rendezvous,
            room=room,
            invite_file=invite_file,
            secret_file=secret_file,
            timeout=timeout,
            svg=svg,
            pcapng=pcapng,
        )
    )

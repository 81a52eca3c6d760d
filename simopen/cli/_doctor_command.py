"""``simopen doctor``, as the command line has it."""

from __future__ import annotations

from typing import Annotated

import cyclopts

Coordinators = Annotated[list[str] | None, cyclopts.Parameter(negative="")]


def doctor(
    remote: str | None = None,
    /,
    *,
    local: str | None = None,
    rendezvous: Coordinators = None,
    json: bool = False,
) -> int:
    """Say what on this machine, in its NAT and at the other end hinders connecting.

    Without arguments it reads this machine alone and sends nothing. The report goes to standard
    output, what is being done to standard error.

    Exit code: 0 nothing stands in the way, 1 something will hinder connecting, 2 wrong use, 130
    interrupted.

    Before a direct connection, and before one through a coordinator:

        simopen doctor 203.0.113.2:40001 --local 0.0.0.0:40000

        simopen doctor --rendezvous tcp://198.51.100.1

    Parameters
    ----------
    remote
        The peer: host:port or [v6]:port. It gets six SYNs at most. Not while the peer is
        connecting without a secret: it would meet the doctor.
    local
        The endpoint to connect from, for example 0.0.0.0:40000. Without it the doctor connects
        from any port.
    rendezvous
        A coordinator, which shows what the NAT does: tcp://host:port or tls://host:port; may be
        given several times.
    json
        Write facts and findings as one JSON object.
    """
    from simopen.cli import _doctor  # noqa: PLC0415 - keeps --help quick

    return _doctor.show(remote, local=local, rendezvous=rendezvous or [], json=json)

"""The commands of ``simopen raw`` and their options."""

from __future__ import annotations

import cyclopts

from simopen.cli._groups import CONNECT

raw_app = cyclopts.App(
    name="raw",
    group=CONNECT,
    help=(
        "Connections whose handshake is done here, and not by the kernel.\n\n"
        "The other side is any TCP: curl, a browser, nc. Needs Linux, nft, and CAP_NET_RAW and\n"
        "CAP_NET_ADMIN, as root has them."
    ),
    help_format="plaintext",  # examples as they are typed
    help_epilogue="Try: simopen raw accept 0.0.0.0:7777 -- cat",
)


@raw_app.command(usage="Usage: simopen raw accept ENDPOINT [-- PROGRAM ...]")
def accept(endpoint: str, /, *program: str) -> int:
    """Accept connections on a port where nothing listens.

    Without a program: the first one's bytes go to standard output and standard input goes to it,
    as with simopen connect; then the command ends.

    With a program: it is started for each connection, with the connection as its standard input
    and output, until interrupted.

        simopen raw accept 0.0.0.0:7777 -- cat

    Exit code: 0 done, 1 not possible here, 2 wrong use, 3 the stream broke, 130 interrupted.

    Parameters
    ----------
    endpoint
        host:port or [v6]:port; 0.0.0.0 and [::] are all addresses of the host.
    program
        What to start, after a "--".
    """
    from simopen.cli import _raw  # noqa: PLC0415 - keeps --help quick

    return _raw.accept(endpoint, program)


@raw_app.command
def connect(remote: str, /, *, local: str | None = None, timeout: float | None = None) -> int:
    """Connect to whoever listens, or connects here, at an endpoint.

    Standard input goes there, what comes goes to standard output.

        echo hello | simopen raw connect 192.0.2.1:7

    Exit code: 0 done, 1 could not connect, 2 wrong use, 3 the stream broke, 130 interrupted.

    Parameters
    ----------
    remote
        host:port or [v6]:port.
    local
        The endpoint to connect from; any free port without it.
    timeout
        Seconds to wait; without it 127.
    """
    from simopen.cli import _raw  # noqa: PLC0415 - keeps --help quick

    return _raw.connect(remote, local=local, timeout=timeout)

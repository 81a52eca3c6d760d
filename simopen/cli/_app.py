"""The commands and their options; those of ``lab`` are in a module of their own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import cyclopts

from simopen import UsageError, __version__
from simopen.cli import _exit
from simopen.cli._completion import Shell, print_script
from simopen.cli._doctor_command import doctor
from simopen.cli._groups import CONNECT, HELP, MEASURE, SERVE, UNDERSTAND
from simopen.cli._lab_commands import lab_app
from simopen.cli._raw_commands import raw_app
from simopen.cli._secret import refuse_on_command_line
from simopen.cli._self_command import connect_self
from simopen.cli._trace_command import trace

app = cyclopts.App(
    name="simopen",
    help="Connect two hosts directly over TCP with nobody listening.",
    help_epilogue="Try it on this machine alone: simopen demo",
    version=__version__,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
for flag in ("--help", "--version"):
    app[flag].group = HELP


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        refuse_on_command_line(arguments)
        code = app(arguments, exit_on_error=False, print_error=False)
    except (cyclopts.CycloptsError, UsageError) as error:
        _say(f"simopen: {error}")
        _say(_hint(arguments))
        return _exit.USAGE
    except KeyboardInterrupt:
        _say("simopen: interrupted")
        return _exit.INTERRUPTED
    except OSError as error:  # of our own streams and files; the network's have been told
        _say(f"simopen: {error}")
        return _exit.FAILED
    return code if isinstance(code, int) else _exit.OK


SecretFile = Annotated[Path | None, cyclopts.Parameter(allow_leading_hyphen=False)]


@app.command(group=CONNECT)
def invite(*, room: str = "room") -> int:
    """Make an invite: one line that two hosts need to meet at a coordinator.

    It goes to standard output. Whoever has it can be the peer, so hand it over where nobody
    listens. Keep it in a file that is yours alone:

        (umask 077; simopen invite > invite)

    Parameters
    ----------
    room
        A name for people. Rooms of different invites never meet, whatever they are called.
    """
    from simopen.cli._invite import print_invite  # noqa: PLC0415 - keeps --help quick

    return print_invite(room)


@app.command(group=CONNECT)
def connect(  # noqa: PLR0913 - one for each option
    remote: str | None = None,
    /,
    *,
    local: str | None = None,
    rendezvous: str | None = None,
    room: str | None = None,
    invite_file: SecretFile = None,
    secret_file: SecretFile = None,
    timeout: float | None = None,
    json: bool = False,
    trace: Annotated[Path | None, cyclopts.Parameter(allow_leading_hyphen=False)] = None,
) -> int:
    """Connect to a peer: both sides run this command.

    Standard input goes to the peer, the peer's bytes go to standard output, and the end of input
    half-closes. Progress and the report go to standard error. With input from a terminal and
    output to a file or pipe, the command ends when the peer has sent everything.

    Exit code: 0 done, 1 could not connect, 2 wrong use, 3 the stream broke, 130 interrupted.

    Through a coordinator (simopen coordinator), encrypted; both sides run the same line and have
    the same invite (simopen invite). A directory from one host to the other:

        tar c photos | simopen connect --rendezvous tcp://198.51.100.1

        simopen connect --rendezvous tcp://198.51.100.1 | tar x

    Without one, where both know both endpoints, the commands are mirror images; the stream is
    encrypted if both have a secret:

        tar c photos | simopen connect 203.0.113.2:40001 --local 0.0.0.0:40000

        simopen connect 198.51.100.7:40000 --local 0.0.0.0:40001 | tar x

    The invite is read from --invite-file or $SIMOPEN_INVITE, or the terminal is asked for it;
    another secret is read from --secret-file or $SIMOPEN_SECRET.

    Parameters
    ----------
    remote
        The peer as this host reaches it: host:port or [v6]:port. A range of ports
        (host:40000-40003) races that many pairs, a list (one,other) several addresses.
    local
        The endpoint to connect from, for example 0.0.0.0:40000; the peer's REMOTE names its port.
        With as many ports as REMOTE; a list may have one of each family (0.0.0.0:40000,[::]:40000).
        With --rendezvous it may be left out.
    rendezvous
        The coordinator that finds the peer: tcp://host:port or tls://host:port. Without a port
        it is 7337.
    room
        The room of a secret that is no invite; the same on both sides.
    invite_file
        A file with the invite.
    secret_file
        A file with a secret: text of 20 characters or more, or bytes, 16 or more. A newline at
        its end is not part of it.
    timeout
        Seconds to wait for the connection; without it, until interrupted.
    json
        Write progress and report as JSON lines.
    trace
        Write every event of the punch to this file as JSON lines.
    """
    from simopen.cli import _connect  # noqa: PLC0415 - keeps --help quick

    settings = _connect.Settings(
        remote=remote,
        local=local,
        rendezvous=rendezvous,
        room=room,
        invite_file=invite_file,
        secret_file=secret_file,
        timeout=timeout,
        json=json,
        trace=trace,
    )
    return _connect.connect_pipes(settings)


@app.command(group=MEASURE)
def measure(  # noqa: PLR0913 - one for each option
    remote: str | None = None,
    /,
    *,
    local: str | None = None,
    rendezvous: str | None = None,
    room: str | None = None,
    invite_file: SecretFile = None,
    secret_file: SecretFile = None,
    trials: int = 20,
    timeout: float = 10.0,
    skew: str = "0,0.05,0.4",
    wait: float = 600.0,
    label: str | None = None,
    out: Annotated[Path | None, cyclopts.Parameter(allow_leading_hyphen=False)] = None,
    json: bool = False,
) -> int:
    """Measure how well two hosts connect: both sides run this command.

    It connects again and again, on fresh ports, with one side and then the other beginning first,
    and shows how often that succeeded and how long it took. Nothing else connects the two: what
    they tell each other goes over the connections that are measured. Both sides give the same
    --trials, --timeout and --skew, and print the same table to standard output.

    Exit code: 0 all trials were run, 1 none connected or the run ended early, 2 wrong use, 130
    interrupted, which still prints and keeps what there is.

    Through a coordinator (simopen coordinator); both sides run the same line and have the same
    invite (simopen invite):

        simopen measure --rendezvous tcp://198.51.100.1 --invite-file invite

    Without one, the commands are mirror images; each trial takes the next port on both sides:

        simopen measure 203.0.113.2:41000 --local 0.0.0.0:40000

        simopen measure 198.51.100.7:40000 --local 0.0.0.0:41000

    Parameters
    ----------
    remote
        The peer as this host reaches it: host:port or [v6]:port.
    local
        The endpoint to connect from. With --rendezvous it may be left out, or has port 0.
    rendezvous
        The coordinator that finds the peer: tcp://host:port or tls://host:port.
    room
        The room of a secret that is no invite; the same on both sides.
    invite_file
        A file with the invite.
    secret_file
        A file with a secret: text of 20 characters or more, or bytes, 16 or more.
    trials
        How many trials.
    timeout
        Seconds a trial may take.
    skew
        Seconds from one side's start to the other's, in turn.
    wait
        Seconds to wait for the peer at the beginning.
    label
        This host's name in the table and the file. Default: the host name.
    out
        The result file, which must not exist yet. Default: simopen-measure-TIME.jsonl.
    json
        Write the records to standard output in place of the table.
    """
    from simopen.cli import _measure  # noqa: PLC0415 - keeps --help quick

    return _measure.measure_peer(
        _measure.Settings(
            remote=remote,
            local=local,
            rendezvous=rendezvous,
            room=room,
            invite_file=invite_file,
            secret_file=secret_file,
            trials=trials,
            timeout=timeout,
            skew=skew,
            wait=wait,
            label=label,
            out=out,
            json=json,
        )
    )


@app.command(group=UNDERSTAND)
def demo() -> int:
    """Show a simultaneous open on this machine, packet by packet.

    Two hosts behind two NATs and a coordinator, in network namespaces: they are introduced,
    connect to each other with nobody listening, prove that they have the same invite, and send a
    file both ways. Needs root or unprivileged user namespaces; without them it shows the same on
    loopback, without packets. On a terminal, or kept in a file:

        simopen demo

        simopen demo > crossing.txt
    """
    from simopen.cli._demo import show  # noqa: PLC0415 - keeps --help quick

    return show()


@app.command(group=MEASURE)
def report(
    *files: Annotated[Path, cyclopts.Parameter(allow_leading_hyphen=False)],
    out: Annotated[Path, cyclopts.Parameter(allow_leading_hyphen=False)] = Path("simopen-report"),
) -> int:
    """Draw what measurements have found: a page, pictures and tables.

    Reads the files of simopen measure and of the benchmarks' grid, one or several. Curves of the
    time to connect, heat maps of success, and the best, the median and the worst trial of each
    run as ladders go to one page (report.html), and each to a file of its own; the tables are
    also printed, as Markdown. Files by the same names are replaced.

        simopen report --out tuesday simopen-measure-*.jsonl

    Needs simopen[plot].

    Parameters
    ----------
    files
        Result files.
    out
        The folder that is written to; it is made where it is missing.
    """
    if not files:
        raise UsageError("report needs a result file")
    from simopen.cli._report import report as draw  # noqa: PLC0415 - keeps --help quick

    return draw(files, out)


@app.command(group=SERVE)
def coordinator(  # noqa: PLR0913 - one for each option
    *,
    listen: str = "0.0.0.0:7337,[::]:7337",
    probe_listen: str | None = None,
    tls_cert: Annotated[Path | None, cyclopts.Parameter(allow_leading_hyphen=False)] = None,
    tls_key: Annotated[Path | None, cyclopts.Parameter(allow_leading_hyphen=False)] = None,
    proxy_protocol: Annotated[bool, cyclopts.Parameter(negative="")] = False,
    metrics: str | None = None,
    limit: Annotated[list[str] | None, cyclopts.Parameter(negative="")] = None,
    log_format: Literal["auto", "console", "json"] = "auto",
) -> int:
    """Run the server that introduces two hosts who share a room.

    It must be reachable by its clients directly, since the address it sees is the one that the
    peer will connect to; behind a load balancer, with --proxy-protocol. It sees no secrets and
    no traffic.

    On all addresses of this host, and with TLS and metrics:

        simopen coordinator

        simopen coordinator --tls-cert chain.pem --tls-key key.pem --metrics 9337

    SIGHUP reads the certificate again, which also happens when its files change. SIGTERM and
    Ctrl-C stop in order: nobody new is taken, who waits is told to come back, and those who are
    connecting have 10 seconds (--limit drain=10); once more stops at once.

    Exit code: 0 stopped, 1 could not listen or run, 2 wrong use, 130 interrupted.

    Parameters
    ----------
    listen
        host:port, or several with commas between.
    probe_listen
        The second port, which shows clients what their NAT does. Default: next to the first;
        "off" for none.
    tls_cert
        PEM file of a certificate with its chain: speak TLS.
    tls_key
        PEM file of its key, where that is in another file.
    proxy_protocol
        Every connection begins with a PROXY protocol header, version 2. Only for listeners that
        nobody but the load balancer can reach.
    metrics
        Answer /metrics, /healthz and /readyz over HTTP on this host:port; a port alone is on
        loopback. Default: off.
    limit
        Change one limit, for example connections=50000; may be given several times. A wrong name
        shows all of them.
    log_format
        How to log to standard error. Default: for a person on a terminal, else JSON lines.
    """
    from simopen.cli._coordinator import Settings, serve  # noqa: PLC0415 - keeps --help quick

    return serve(
        Settings(
            listen=listen,
            probe_listen=probe_listen,
            tls_cert=tls_cert,
            tls_key=tls_key,
            proxy_protocol=proxy_protocol,
            metrics=metrics,
            limits=limit or (),
            json=log_format == "json" or (log_format == "auto" and not sys.stderr.isatty()),
        )
    )


app.command(doctor, group=UNDERSTAND)
app.command(lab_app)
app.command(connect_self, name="self", group=UNDERSTAND)
app.command(trace, group=UNDERSTAND)
app.command(raw_app)


@app.command(group=HELP)
def completion(shell: Shell | None = None, /) -> int:
    """Print a script that lets a shell complete simopen's commands and options.

    It goes to standard output; put it where the shell looks for such scripts, in a folder that
    may have to be made. For bash (with bash-completion) and for fish:

        simopen completion bash > ~/.local/share/bash-completion/completions/simopen

        simopen completion fish > ~/.config/fish/completions/simopen.fish

    For zsh, a folder that is in $fpath before compinit runs:

        simopen completion zsh > ~/.zfunc/_cyclopts_simopen

    Parameters
    ----------
    shell
        Which one. Default: that of $SHELL.
    """
    return print_script(app, shell)


def _hint(arguments: Sequence[str]) -> str:
    commands, _, _ = app.parse_commands(arguments)
    return " ".join(("try: simopen", *commands, "--help"))


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # nobody to tell
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

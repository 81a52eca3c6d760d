"""The commands of ``simopen lab`` and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

from simopen.cli._groups import UNDERSTAND

lab_app = cyclopts.App(
    name="lab",
    group=UNDERSTAND,
    help=(
        "A small internet on this machine: hosts behind NATs, with your programs in them.\n\n"
        "Without a command: list the topologies and presets that come with simopen;\n"
        "where the output is no terminal, as lines of kind, name and text between tabs."
    ),
    help_format="plaintext",  # examples as they are typed
    help_epilogue="Try: simopen lab run two-homes -- alice: ping -c 3 {server.ipv4}",
)

Capture = Annotated[Path | None, cyclopts.Parameter(allow_leading_hyphen=False)]


@lab_app.default
def list_lab() -> int:
    """List the topologies and presets that come with simopen."""
    from simopen.cli import _lab_show  # noqa: PLC0415 - keeps --help quick

    return _lab_show.show_all()


@lab_app.command
def show(name: str, /) -> int:
    """Show one topology as a tree, or one preset with all its axes.

    For example:

        simopen lab show two-homes

        simopen lab show home-router

    Parameters
    ----------
    name
        A topology's name or TOML file, or a preset's name.
    """
    from simopen.cli import _lab_show  # noqa: PLC0415 - keeps --help quick

    return _lab_show.show(name)


@lab_app.command
def shell(topology: str, host: str, /, *, capture: Capture = None, seed: int | None = None) -> int:
    """Bring a network up and open a shell in one of its hosts.

    The shell has the addresses of all hosts: $LAB_BOB_IPV4, $LAB_BOB_IPV6, and
    $LAB_BOB_PUBLIC, which is what the internet sees of bob. The network is gone
    when the shell ends, and the exit code is the shell's.

    For example:

        simopen lab shell two-homes alice --capture alice.pcapng

    Parameters
    ----------
    topology
        A topology's name or TOML file.
    host
        The host.
    capture
        Write everything on the wire to this pcapng file.
    seed
        What all chance grows from, in place of the topology's own seed.
    """
    from simopen.cli import _lab  # noqa: PLC0415 - keeps --help quick

    return _lab.shell(topology, host, capture=capture, seed=seed)


@lab_app.command(
    name="run", usage="Usage: simopen lab run [OPTIONS] TOPOLOGY -- [HOST:] PROGRAM ..."
)
def run_lab(
    topology: str,
    /,
    *program: str,
    until: str | None = None,
    capture: Capture = None,
    seed: int | None = None,
) -> int:
    r"""Bring a network up and run programs in its hosts.

    Each "--" begins a program. "HOST:" before it says where it runs; without, it
    runs in every host. {bob.ipv4}, {bob.ipv6} and {bob.public} become bob's
    addresses, the last as the internet sees him; $LAB_BOB_IPV4 and so on are in the
    environment. One program alone has the terminal; several run at once, without
    input, and each of their lines is told with its host.

    When all have ended, the network goes, and with it whatever they have started.
    The exit code is the first that is not 0; after Ctrl-C, which they get too, 130.

    For example, a web server and a visitor:

        simopen lab run two-homes --until alice \
            -- server: python3 -m http.server 80 \
            -- alice: curl -s --retry 9 --retry-connrefused {server.ipv4}

    Parameters
    ----------
    topology
        A topology's name or TOML file.
    program
        Programs, each after a "--".
    until
        End everything when the programs of this host have ended.
    capture
        Write everything on the wire to this pcapng file.
    seed
        What all chance grows from, in place of the topology's own seed.
    """
    from simopen.cli import _lab  # noqa: PLC0415 - keeps --help quick

    return _lab.run(topology, program, until=until, capture=capture, seed=seed)


@lab_app.command(name="ladder")
def draw_ladder(
    capture: Path,
    /,
    *,
    conversation: int = 1,
    svg: Annotated[Path | None, cyclopts.Parameter(allow_leading_hyphen=False)] = None,
) -> int:
    """Draw a TCP conversation of a capture: who sent what when, and what crossed.

    For example, the first, on the terminal and as a picture:

        simopen lab ladder alice.pcapng

        simopen lab ladder alice.pcapng --svg alice.svg

    Parameters
    ----------
    capture
        A pcapng file that the lab has written.
    conversation
        Which one, counted in the order of their first packets.
    svg
        Write the picture to this SVG file instead.
    """
    from simopen.cli import _lab_show  # noqa: PLC0415 - keeps --help quick

    return _lab_show.draw(capture, conversation=conversation, svg_file=svg)

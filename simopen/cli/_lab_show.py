"""``simopen lab``, ``lab show`` and ``lab ladder``: what there is, and captures as pictures."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from rich.console import Console, OverflowMethod
from rich.markup import escape
from rich.tree import Tree

from simopen import UsageError, lab
from simopen._report import count
from simopen.capture import ladder, pcapng, picture, svg
from simopen.cli import _exit
from simopen.cli._display import write_line

_ENDLESS = 10_000  # columns: only a terminal's lines have an end


def show_all() -> int:
    """List topologies and presets: a line each on a terminal, else all of it between tabs."""
    topologies = {name: topology.summary for name, topology in lab.built_in().items()}
    presets = {name: preset.resembles for name, preset in lab.PRESETS.items()}
    if sys.stdout.isatty():
        _list("Topologies", topologies)
        _list("Presets: what may stand in front of a site", presets)
        sys.stdout.write("One of them in full: simopen lab show NAME\n")
        return _exit.OK
    for kind, rows in (("topology", topologies), ("preset", presets)):
        sys.stdout.writelines(f"{kind}\t{name}\t{text}\n" for name, text in rows.items())
    return _exit.OK


def show(name: str) -> int:
    """Show one topology as a tree, or the axes of one preset."""
    console = _console()
    if name not in lab.PRESETS:
        console.print(_tree(name, load(name)))
        return _exit.OK
    preset = lab.PRESETS[name]
    console.print(f"[bold]{name}[/]: {escape(preset.resembles)}", soft_wrap=True)
    for axis, value in _axes(preset.gateway):
        console.print(f"  {axis:22} {value}")
    return _exit.OK


def load(name: str) -> lab.Topology:
    """Return a topology that a network can be made of.

    Raises:
        UsageError: There is none of that name, or it is wrong.
    """
    try:
        topology = lab.load(name)
    except lab.TopologyError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from None
    try:
        lab.network(topology)  # plans it, and starts nothing
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None
    return topology


def draw(capture: Path, *, conversation: int, svg_file: Path | None) -> int:
    """Draw a conversation of a capture, as text or into an SVG file."""
    try:
        records = pcapng.read(capture.read_bytes(), growing=True)
    except OSError as error:
        raise UsageError(f"{capture}: {error.strerror}") from None
    except pcapng.CaptureError as error:
        raise UsageError(f"{capture} is no capture of a lab's: {error}") from None
    found = ladder.conversations(records)
    if not 1 <= conversation <= len(found):
        there_are = count(len(found), "TCP conversation")
        raise UsageError(f"{capture} has {there_are}; there is no conversation {conversation}")
    chosen = found[conversation - 1]
    if svg_file is None:
        ascii_only = not picture.can_show(sys.stdout)
        sys.stdout.write(picture.draw(ladder.steps(records, chosen), ascii_only=ascii_only))
    else:
        try:
            svg_file.write_text(svg.draw(records, conversation=chosen), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--svg: {error}") from None
    if len(found) > 1:
        text = f"conversation {conversation} of {len(found)}; --conversation N draws another"
        write_line(sys.stderr, text)
    return _exit.OK


def _list(title: str, rows: Mapping[str, str]) -> None:
    console = _console()
    overflow: OverflowMethod = "crop" if console.options.ascii_only else "ellipsis"
    width = max(map(len, rows))
    console.print(title)
    for name, text in rows.items():
        line = f"  [bold]{name:{width}}[/]  {escape(text)}"
        console.print(line, no_wrap=True, overflow=overflow)
    console.print()


def _axes(gateway: lab.Gateway | None) -> Iterator[tuple[str, str]]:
    words = {True: "yes", False: "no", None: "none"}
    for axis, value in ({} if gateway is None else msgspec.to_builtins(gateway)).items():
        if axis.endswith("_timeout"):
            yield axis, f"{value:g} s"
        else:
            yield axis, words[value] if isinstance(value, bool | None) else str(value)


def _tree(name: str, topology: lab.Topology) -> Tree:
    summary = f": {escape(topology.summary)}" if topology.summary else ""
    tree = Tree(f"[bold]{escape(name)}[/]{summary}")
    _grow(tree.add("the internet"), topology.sites)
    return tree


def _grow(branch: Tree, sites: Sequence[lab.Site]) -> None:
    for site in sites:
        gateway = site.gateway if isinstance(site.gateway, str) else _kind(site.gateway)
        link = _link_text(site.link)
        if site.downlink not in (None, site.link):
            link = f"up {link}; down {_link_text(site.downlink)}"
        sprout = branch.add(f"[bold]{site.name}[/]  {gateway}  {link}")
        for host in site.host_specs():
            own = "" if host.link == lab.Link() else f"  {_link_text(host.link)}"
            sprout.add(f"[cyan]{host.name}[/]{own}")
        _grow(sprout, site.sites)


def _kind(gateway: lab.Gateway | None) -> str:
    return "no gateway" if gateway is None else str(msgspec.to_builtins(gateway)["kind"])


def _link_text(link: lab.Link) -> str:
    words = [f"{link.latency * 1000:g} ms"]
    if link.jitter:
        words[0] += f" + up to {link.jitter * 1000:g} ms"
    chances = {name: getattr(link, name) for name in ("loss", "duplication", "reordering")}
    words += [f"{name} {chance * 100:g} %" for name, chance in chances.items() if chance]
    if link.rate:
        words.append(f"{link.rate / 1e6:g} Mbit/s")
    return ", ".join(words)


def _console() -> Console:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a summary has any letters, a terminal may not
    width = None if sys.stdout.isatty() else _ENDLESS
    return Console(highlight=False, emoji=False, width=width)

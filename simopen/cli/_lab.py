"""``simopen lab``: what there is, networks with programs in them, and captures as pictures."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from simopen import UsageError, lab
from simopen.cli import _exit
from simopen.lab.capture import ladder, pcapng, picture, svg

GRACE = 2.0  # seconds between asking a program to end and ending it
COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")
PLACEHOLDER = re.compile(r"\{([\w-]+)\.(ipv4|ipv6|public)\}")


# --- what there is --------------------------------------------------------------------------------


def show_all() -> int:
    """List topologies and presets: tables on a terminal, else tab-separated lines."""
    topologies = {name: topology.summary for name, topology in lab.built_in().items()}
    presets = {name: preset.resembles for name, preset in lab.PRESETS.items()}
    console = _stdout()
    if not console.is_terminal:
        for kind, rows in (("topology", topologies), ("preset", presets)):
            for name, text in rows.items():
                sys.stdout.write(f"{kind}\t{name}\t{text}\n")
        return _exit.OK
    console.print(_table("Topologies", topologies))
    console.print(_table("Presets: what may stand in front of a site", presets))
    console.print("One of them in full: simopen lab show NAME")
    return _exit.OK


def show(name: str) -> int:
    """Show one topology as a tree, or the axes of one preset."""
    if name in lab.PRESETS:
        preset = lab.PRESETS[name]
        console = _stdout()
        console.print(f"{name}: {preset.resembles}", soft_wrap=True)
        for axis, value in _axes(preset.gateway):
            console.print(f"  {axis:22} {value}")
        return _exit.OK
    topology = _load(name)
    _stdout().print(_tree(name, topology))
    return _exit.OK


def _axes(gateway: lab.Gateway | None) -> Iterator[tuple[str, str]]:
    for axis, value in ({} if gateway is None else msgspec.to_builtins(gateway)).items():
        yes_or_no = {True: "yes", False: "no", None: "none"}
        seconds = f"{value:g} s" if axis.endswith("_timeout") else str(value)
        yield axis, yes_or_no.get(value, seconds) if not isinstance(value, str) else value


def _tree(name: str, topology: lab.Topology) -> Tree:
    tree = Tree(f"{escape(name)}: {escape(topology.summary)}")
    _grow(tree.add("the internet"), topology.sites)
    return tree


def _grow(branch: Tree, sites: Sequence[lab.Site]) -> None:
    for site in sites:
        gateway = site.gateway if isinstance(site.gateway, str) else _kind(site.gateway)
        branches = branch.add(f"[bold]{site.name}[/]  {gateway}  {_link_text(site.link)}")
        for host in site.host_specs():
            own = "" if host.link == lab.Link() else f"  {_link_text(host.link)}"
            branches.add(f"[cyan]{host.name}[/]{own}")
        _grow(branches, site.sites)


def _kind(gateway: lab.Gateway | None) -> str:
    return "no gateway" if gateway is None else str(msgspec.to_builtins(gateway)["kind"])


def _link_text(link: lab.Link) -> str:
    words = [f"{link.latency * 1000:g} ms"]
    if link.jitter:
        words.append(f"+ up to {link.jitter * 1000:g} ms")
    chances = {name: getattr(link, name) for name in ("loss", "duplication", "reordering")}
    words += [f"{name} {chance * 100:g} %" for name, chance in chances.items() if chance]
    if link.rate:
        words.append(f"{link.rate / 1e6:g} Mbit/s")
    return ", ".join(words)


def _table(title: str, rows: Mapping[str, str]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, text in rows.items():
        table.add_row(name, escape(text))
    return table


# --- networks -------------------------------------------------------------------------------------


def shell(topology: str, host: str, *, capture: Path | None, seed: int | None) -> int:
    """Bring a network up and give a shell in one of its hosts."""
    declared = _load(topology)
    _check_hosts(declared, [host])
    with _network(declared, capture, seed) as net:
        _say(f"a shell in {host}; the network is gone when it ends. Hosts:")
        for line in _directory(net, host):
            _say(line)
        with tempfile.TemporaryDirectory(prefix="simopen-lab-") as folder, _ignoring_ctrl_c():
            command = net[host].command(_shell(host, Path(folder)))
            return subprocess.call(command, env=_environment(net, host))  # noqa: S603  # the user's


def _shell(host: str, folder: Path) -> list[str]:
    program = os.environ.get("SHELL") or "/bin/sh"
    if Path(program).name != "bash":
        return [program]
    startup = folder / "bashrc"
    startup.write_text(f'[ -f ~/.bashrc ] && . ~/.bashrc\nPS1="({host}) $PS1"\n')
    return [program, "--rcfile", str(startup)]


def _directory(net: lab.Network, here: str) -> Iterator[str]:
    width = max(map(len, net.hosts))
    for name, host in net.hosts.items():
        public = "" if host.public_ipv4 == host.ipv4 else f" (outside: {host.public_ipv4})"
        yield f"  {name:{width}}  {host.ipv4}{public}  {host.ipv6}"
        if name != here:
            yield f"  {'':{width}}  from another terminal: {' '.join(host.command(['bash']))}"


@dataclass(frozen=True)
class Job:
    """One program to run.

    Attributes:
        host: Where.
        argv: What.
    """

    host: str
    argv: list[str]


def run(
    topology: str,
    words: Sequence[str],
    *,
    until: str | None,
    capture: Path | None,
    seed: int | None,
) -> int:
    """Bring a network up and run programs in its hosts."""
    declared = _load(topology)
    jobs = list(_jobs(words, _host_names(declared)))
    if until is not None:
        _check_hosts(declared, [until])
        if until not in {job.host for job in jobs}:
            raise UsageError(f"--until {until}: nothing runs there")
    with _network(declared, capture, seed) as net:
        jobs = [Job(job.host, [_filled(word, net) for word in job.argv]) for job in jobs]
        if len(jobs) == 1:
            (job,) = jobs
            command = net[job.host].command(job.argv)
            return subprocess.call(command, env=_environment(net, job.host))  # noqa: S603  # likewise
        return _run_all(net, jobs, until)


def _jobs(words: Sequence[str], hosts: Sequence[str]) -> Iterator[Job]:
    """Cut the words at every ``--`` and give each part to the host it names, or to all."""
    parts: list[list[str]] = [[]]
    for word in words:
        if word == "--":
            parts.append([])
        else:
            parts[-1].append(word)
    for part in parts:
        name = part[0].removesuffix(":") if part and part[0].endswith(":") else None
        argv = part if name is None else part[1:]
        if name is not None and name not in hosts:
            raise UsageError(f"no host is called {name!r}; there are: {', '.join(hosts)}")
        if not argv:
            raise UsageError("nothing to run: simopen lab run TOPOLOGY -- [HOST:] PROGRAM ...")
        yield from (Job(host, argv) for host in hosts if name in (None, host))


def _filled(word: str, net: lab.Network) -> str:
    """Put addresses in the place of ``{host.ipv4}``, ``{host.ipv6}`` and ``{host.public}``."""

    def address(match: re.Match[str]) -> str:
        host = net.hosts.get(match[1])
        if host is None:
            raise UsageError(f"{match[0]}: no host is called {match[1]!r}")
        return {"ipv4": host.ipv4, "ipv6": host.ipv6, "public": host.public_ipv4}[match[2]]

    return PLACEHOLDER.sub(address, word)


def _run_all(net: lab.Network, jobs: Sequence[Job], until: str | None) -> int:
    """Run several programs at once, each line they say told with its host's name."""
    printer = _Printer([job.host for job in jobs])
    with ExitStack() as stack:
        processes = []
        for job in jobs:
            process = subprocess.Popen(  # noqa: S603  # likewise
                net[job.host].command(job.argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_environment(net, job.host),
            )
            stack.callback(_end, process)
            for stream, console in ((process.stdout, printer.out), (process.stderr, printer.err)):
                stack.enter_context(_reader(printer, job.host, stream, console))
            processes.append(process)
        awaited = [
            process
            for job, process in zip(jobs, processes, strict=True)
            if until in (None, job.host)
        ]
        codes = [process.wait() for process in awaited]
        for process in processes:
            _end(process)
    return next((_shell_code(code) for code in codes if code), _exit.OK)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program: ask, wait a little, insist."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _shell_code(code: int) -> int:
    return code if code >= 0 else 128 - code  # as shells count signals


class _Printer:
    """Writes lines of several hosts, one at a time."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self.out = _stdout()
        self.err = Console(stderr=True, highlight=False, emoji=False, markup=False)
        self._width = max(map(len, hosts))
        self._colours = dict(zip(dict.fromkeys(hosts), COLOURS * len(hosts), strict=False))
        self._lock = threading.Lock()

    def tell(self, console: Console, host: str, line: str) -> None:
        """Write one line."""
        with self._lock:
            console.print(f"{host:{self._width}} |", style=self._colours[host], end=" ")
            console.out(line, highlight=False)


@contextmanager
def _reader(
    printer: _Printer, host: str, stream: IO[bytes] | None, console: Console
) -> Iterator[None]:
    """Tell every line of a stream, until it ends."""
    assert stream is not None  # noqa: S101  # a pipe, as asked for

    def read() -> None:
        for line in stream:
            printer.tell(console, host, line.decode(errors="replace").rstrip("\r\n"))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(GRACE)  # a grandchild may hold the pipe open; the network's end closes it


# --- captures -------------------------------------------------------------------------------------


def draw(capture: Path, *, conversation: int, svg_file: Path | None) -> int:
    """Draw a conversation of a capture, as text or into an SVG file."""
    try:
        records = pcapng.read(capture.read_bytes(), growing=True)
    except pcapng.CaptureError as error:
        raise UsageError(f"{capture}: {error}") from None
    found = ladder.conversations(records)
    if not 1 <= conversation <= len(found):
        text = f"{capture} has {len(found)} TCP conversations"
        raise UsageError(f"{text}; there is no {conversation}")
    chosen = found[conversation - 1]
    if svg_file is not None:
        svg_file.write_text(svg.draw(records, conversation=chosen))
        _say(f"written: {svg_file}")
        return _exit.OK
    text = picture.draw(ladder.steps(records, chosen), ascii_only=not picture.can_show(sys.stdout))
    sys.stdout.write(text)
    if len(found) > 1:
        _say(f"conversation {conversation} of {len(found)}; --conversation N shows another")
    return _exit.OK


# --- what these share -----------------------------------------------------------------------------


def _load(topology: str) -> lab.Topology:
    try:
        return lab.load(topology)
    except lab.TopologyError as error:
        raise UsageError(str(error)) from None


def _host_names(topology: lab.Topology) -> list[str]:
    return [host.name for site in topology.walk() for host in site.host_specs()]


def _check_hosts(topology: lab.Topology, names: Sequence[str]) -> None:
    hosts = _host_names(topology)
    for name in names:
        if name not in hosts:
            raise UsageError(f"no host is called {name!r}; there are: {', '.join(hosts)}")


@contextmanager
def _network(
    topology: lab.Topology, capture: Path | None, seed: int | None
) -> Iterator[lab.Network]:
    try:
        opening = lab.network(topology, seed=seed, capture=capture)
    except ValueError as error:
        raise UsageError(str(error)) from None
    console = Console(stderr=True)
    with ExitStack() as stack:
        with console.status("setting up") if console.is_terminal else nullcontext():
            try:
                net = stack.enter_context(opening)
            except lab.LabUnavailable as error:
                raise OSError(f"no lab here: {error}") from None
        yield net
    if capture is not None:
        _say(f"captured: {capture} (simopen lab ladder {capture} draws it)")


def _environment(net: lab.Network, here: str) -> dict[str, Any]:
    """Return the environment of a program in a host: addresses, and where it is."""
    known = {"LAB_HOST": here}
    for name, host in net.hosts.items():
        prefix = f"LAB_{name.upper().replace('-', '_')}"
        known |= {
            f"{prefix}_IPV4": host.ipv4,
            f"{prefix}_IPV6": host.ipv6,
            f"{prefix}_PUBLIC": host.public_ipv4,
        }
    return {**os.environ, **known}


@contextmanager
def _ignoring_ctrl_c() -> Iterator[None]:
    """Leave Ctrl-C to the shell in front."""
    before = signal.signal(signal.SIGINT, lambda *_: None)  # ignored, it would be there as well
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _stdout() -> Console:
    return Console(highlight=False, emoji=False)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()

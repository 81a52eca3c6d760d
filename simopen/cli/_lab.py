"""``simopen lab shell`` and ``lab run``: a network with the user's programs in it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from simopen import UsageError, lab
from simopen.cli._display import write_line
from simopen.cli._lab_programs import Program, Together, run_alone
from simopen.cli._lab_show import load

PLACEHOLDER = re.compile(r"\{([\w-]+)\.(\w+)\}")
ADDRESSES = {"ipv4": "ipv4", "ipv6": "ipv6", "public": "public_ipv4"}  # and a host's attribute
FORM = "simopen lab run TOPOLOGY -- [HOST:] PROGRAM ..."
BASH_STARTUP = """\
exec {fd}<&-
[ -f ~/.bashrc ] && . ~/.bashrc
PS1="({host}) $PS1"
"""


def shell(topology: str, host: str, *, capture: Path | None, seed: int | None) -> int:
    """Bring a network up and give a shell in one of its hosts."""
    declared = load(topology)
    _check_host(host, _host_names(declared))
    argv = [next(filter(shutil.which, (os.environ.get("SHELL", ""), "bash")), "/bin/sh")]
    with _network(declared, capture, seed) as net:
        _say(f"{Path(argv[0]).name} in {host}; the network is gone when it ends")
        for line in _directory(net, argv):
            _say(line)
        environment = _environment(net, host)
        pass_fds = []
        if Path(argv[0]).name == "bash":  # its prompt is set by its startup file
            startup = os.memfd_create("bashrc")
            os.write(startup, BASH_STARTUP.format(fd=startup, host=host).encode())
            argv += ["--rcfile", f"/dev/fd/{startup}"]
            pass_fds.append(startup)
        else:
            environment["PS1"] = f"({host}) $ "
        program = Program(host, net[host].command(argv), environment)
        # interactive shells do not listen to a SIGTERM
        return run_alone(program, farewell=signal.SIGHUP, pass_fds=pass_fds)


def _directory(net: lab.Network, argv: Sequence[str]) -> Iterator[str]:
    width = max(map(len, net.hosts))
    for name, host in net.hosts.items():
        outside = "" if host.public_ipv4 == host.ipv4 else f"  outside {host.public_ipv4}"
        yield f"  {name:{width}}  {host.ipv4:15}  {host.ipv6}{outside}"
        yield f"  {'':{width}}  from another terminal: {shlex.join(host.command(argv))}"


def run(
    topology: str,
    words: Sequence[str],
    *,
    until: str | None,
    capture: Path | None,
    seed: int | None,
) -> int:
    """Bring a network up and run programs in its hosts."""
    declared = load(topology)
    jobs = list(_jobs(words, _host_names(declared)))
    if until is not None and until not in dict(jobs):
        raise UsageError(f"--until {until}: nothing runs there")
    together = Together()
    with _network(declared, capture, seed) as net:
        programs = [
            Program(
                host,
                net[host].command([_filled(word, net) for word in argv]),
                _environment(net, host),
            )
            for host, argv in jobs
        ]
        if len(programs) == 1:
            return run_alone(programs[0])
        together.run(programs, until)
    return together.finish()


def _jobs(words: Sequence[str], hosts: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Cut the words at every ``--`` and give each part to the host it names, or to all."""
    parts: list[list[str]] = [[]]
    for word in words:
        if word == "--":
            parts.append([])
        else:
            parts[-1].append(word)
    for part in parts:
        there, argv = hosts, part
        if part and part[0].endswith(":"):
            there, argv = [part[0][:-1]], part[1:]
            _check_host(there[0], hosts)
        if not argv:
            raise UsageError(f"nothing to run: {FORM}")
        if shutil.which(argv[0]) is None:
            raise UsageError(f"no program is called {argv[0]!r}: {FORM}")
        for match in PLACEHOLDER.finditer(" ".join(argv)):
            _check_placeholder(match, hosts)
        yield from ((host, argv) for host in there)


def _filled(word: str, net: lab.Network) -> str:
    """Put addresses in the place of ``{host.ipv4}``, ``{host.ipv6}`` and ``{host.public}``."""

    def address(match: re.Match[str]) -> str:
        if match[1] not in net.hosts:
            return match[0]
        return str(getattr(net[match[1]], ADDRESSES[match[2]]))

    return PLACEHOLDER.sub(address, word)


def _check_placeholder(match: re.Match[str], hosts: Sequence[str]) -> None:
    """Refuse what is half an address of a host; braces may mean other things to a program."""
    host, address = match.groups()
    if address in ADDRESSES:
        _check_host(host, hosts)
    elif host in hosts:
        known = ", ".join(f"{{{host}.{name}}}" for name in ADDRESSES)
        raise UsageError(f"{match[0]} is no address of {host}; there are: {known}")


def _host_names(topology: lab.Topology) -> list[str]:
    return [host.name for site in topology.walk() for host in site.host_specs()]


def _check_host(name: str, hosts: Sequence[str]) -> None:
    if name not in hosts:
        raise UsageError(f"no host is called {name!r}; there are: {', '.join(hosts)}")


@contextmanager
def _network(
    topology: lab.Topology, capture: Path | None, seed: int | None
) -> Iterator[lab.Network]:
    if capture is not None:
        try:
            capture.write_bytes(b"")
        except OSError as error:
            raise UsageError(f"--capture: {error}") from None
    try:
        with lab.network(topology, seed=seed, capture=capture) as net:
            yield net
    except lab.LabUnavailable as error:
        raise OSError(f"no lab here: {error}") from None
    except lab.LabBroken as error:
        why = str(error).splitlines()[-1]  # above it, where in the supervisor
        raise OSError(f"the network broke down: {why}") from None
    if capture is not None:
        _say(f"captured; to draw it: simopen lab ladder {shlex.quote(str(capture))}")


def _environment(net: lab.Network, here: str) -> dict[str, str]:
    """Return the environment of a program in a host: ours, all addresses, and where it is."""
    known = {"LAB_HOST": here}
    for name, host in net.hosts.items():
        prefix = f"LAB_{name.upper().replace('-', '_')}"
        known[f"{prefix}_IPV4"] = host.ipv4
        known[f"{prefix}_IPV6"] = host.ipv6
        known[f"{prefix}_PUBLIC"] = host.public_ipv4
    return {**os.environ, **known}


def _say(text: str) -> None:
    write_line(sys.stderr, text)

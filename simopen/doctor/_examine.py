"""The examination: reads, visits, knocks, judges.

Theory of operation. First what sends nothing: the host's settings, and the port, which our own
sockets would otherwise be seen on. Then the coordinators, over connections that leave the NAT as it
is; last the remote, since what is knocked at may refuse, and a NAT may close the port for that.
Where the local port cannot be had, coordinators and remote are asked from another one: what they
answer is worth knowing all the same.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simopen._endpoints import IPV4, Endpoint, EndpointLike, literal_address, parse_endpoints
from simopen._errors import LocalBindError, UsageError
from simopen.net._addresses import Addresses, UnresolvedError, numeric_pair, resolve
from simopen.rendezvous._url import Rendezvous

from ._coordinator import visit_all
from ._coordinator_findings import COORDINATOR, NAT, mappings, telling
from ._facts import LocalPort, Machine, Mapping, Remote, Trouble, Visit
from ._findings import Finding, Severity
from ._json import to_json
from ._machine import read_machine
from ._machine_findings import MACHINE
from ._machine_looks import schedule_of
from ._port import read_port
from ._port_findings import PORT, PortOnMachine
from ._probe import probe
from ._remote_findings import REMOTE, RemoteFromMachine
from ._syn_schedule import SynSchedule

SCHEMA = 1  # of the JSON: a field that changes its meaning makes it another

_ANY = (Endpoint("0.0.0.0", 0), Endpoint("::", 0))  # noqa: S104 - the kernel chooses the source


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """All that was found.

    Attributes:
        machine: This host.
        port: The port to connect from; None where none was named.
        coordinators: What was seen of each coordinator, over each family.
        mappings: What the NAT does, over each family that a coordinator was reached by.
        remote: What the remote answers; None where none was named.
        findings: What all of it means, in the order of the above.
    """

    machine: Machine
    port: LocalPort | None = None
    coordinators: tuple[Visit, ...] = ()
    mappings: tuple[Mapping, ...] = ()
    remote: Remote | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def syn_schedule(self) -> SynSchedule | None:
        """When a SYN leaves again on this host, where that is known."""
        return schedule_of(self.machine)

    @property
    def hinders(self) -> bool:
        """Whether something will hinder connecting."""
        return any(each.severity is Severity.HINDERS for each in self.findings)

    def to_json(self) -> dict[str, object]:
        """As JSON has it; ``docs/doctor.md`` has the schema."""
        facts = {
            "machine": to_json(self.machine),
            "port": to_json(self.port),
            "coordinators": to_json(self.coordinators),
            "mappings": to_json(self.mappings),
            "remote": to_json(self.remote),
        }
        findings = to_json(self.findings)
        return {"schema": SCHEMA, "hinders": self.hinders, "findings": findings, "facts": facts}


async def examine(
    remote: EndpointLike | None = None,
    *,
    local: EndpointLike | None = None,
    rendezvous: str | Rendezvous | Sequence[str | Rendezvous] = (),
    on_step: Callable[[str], None] | None = None,
) -> Examination:
    """Look at this host, at a local port, at a remote and at coordinators, and say what it means.

    At most six SYNs go to the remote, within six seconds. At a coordinator a seat in an empty room
    is taken for a moment. Do not name the port of a peer that is connecting just now,
    unless it has a secret: it would meet the doctor.

    Example::

        examination = await doctor.examine("203.0.113.2:40001", local="0.0.0.0:40000")
        for finding in examination.findings:
            print(finding.severity.value, finding.title)

    Args:
        remote: The peer, as for :func:`simopen.connect_peer`; one endpoint.
        local: The endpoint to connect from, by address; one. Without it the knocks come from a
            port that the kernel chooses.
        rendezvous: One coordinator, or several, as for :func:`simopen.connect_peer`.
        on_step: Told in words what is about to be done, since it may take seconds.

    Returns:
        The facts, and the findings.

    Raises:
        UsageError: An argument cannot be used (a ``ValueError``). Nothing was sent.
        SelfConnectionError: Both endpoints are the same socket address.
    """
    theirs = None if remote is None else _one_endpoint(remote, "remote")
    ours = None if local is None else _own_endpoint(local)
    coordinators = _coordinators(rendezvous)
    step = on_step or _tell_nobody
    pair, unresolved = await _resolved(theirs, ours)
    step("reading the settings of this machine")
    machine = await read_machine()
    port = None if ours is None else read_port(_family(ours), ours, pair)
    source = ours if port is not None and not port.bind_error else None
    visits: list[Visit] = []
    if coordinators:
        step(f"visiting {', '.join(each.url for each in coordinators)}")
        visits = await _visits(coordinators, _ANY if source is None else [source])
    seen = None if theirs is None else Remote(remote=theirs, unresolved=unresolved)
    if pair is not None:
        step(f"knocking at {pair.remote}")
        seen = await probe(pair if source else _from_any_port(pair))
    return judge(machine, port=port, visits=visits, remote=seen)


def judge(
    machine: Machine,
    *,
    port: LocalPort | None = None,
    visits: Sequence[Visit] = (),
    remote: Remote | None = None,
) -> Examination:
    """What the facts mean.

    Args:
        machine: What was found here.
        port: What is on the port to connect from, if it was looked at.
        visits: What coordinators have shown; none where none was asked.
        remote: What the other end answered, if it was asked.
    """
    nat = mappings(visits, machine.addresses)
    findings = MACHINE.judge(machine)
    if port is not None:
        findings += PORT.judge(PortOnMachine(port, machine))
    for visit in telling(visits):
        findings += COORDINATOR.judge(visit)
    for mapping in nat:
        findings += NAT.judge(mapping)
    if remote is not None:
        findings += REMOTE.judge(RemoteFromMachine(remote, machine))
    return Examination(
        machine=machine,
        port=port,
        coordinators=tuple(visits),
        mappings=tuple(nat),
        remote=remote,
        findings=tuple(findings),
    )


async def _visits(rendezvous: Sequence[Rendezvous], local: Sequence[Endpoint]) -> list[Visit]:
    """The visits; where no socket can be had, that is what they have come to."""
    try:
        return await visit_all(rendezvous, local)
    except LocalBindError as error:
        trouble, reason = Trouble.UNREACHABLE, error.strerror or str(error)
        return [
            Visit(url=each.url, remote=each.endpoint, trouble=trouble, reason=reason)
            for each in rendezvous
        ]


def _tell_nobody(_: str) -> None:
    pass


def _one_endpoint(value: EndpointLike, role: str) -> Endpoint:
    found = [end for ends in parse_endpoints(value, role=role) for end in ends]
    if len(found) > 1:
        raise UsageError(f"{role} {value!r}: the doctor looks at one endpoint at a time")
    return found[0]


def _own_endpoint(value: EndpointLike) -> Endpoint:
    found = _one_endpoint(value, "local")
    if literal_address(found.host.partition("%")[0]) is None:
        raise UsageError(f"local {found} is a name: give an address of this host, or the wildcard")
    return found


def _coordinators(given: str | Rendezvous | Sequence[str | Rendezvous]) -> list[Rendezvous]:
    several = [given] if isinstance(given, str | Rendezvous) else given
    return [each if isinstance(each, Rendezvous) else Rendezvous(each) for each in several]


def _family(end: Endpoint) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in end.host else socket.AF_INET


async def _resolved(
    remote: Endpoint | None, local: Endpoint | None
) -> tuple[Addresses | None, str]:
    """Both ends by number; or none, and why the remote has no address."""
    if remote is None:
        return None, ""
    candidates = [local] if local is not None else _wildcards(remote)
    reason = ""
    for each in candidates:
        try:
            return await resolve(each, remote), ""
        except UnresolvedError as error:
            reason = reason or str(error)
    return None, reason


def _wildcards(remote: Endpoint) -> list[Endpoint]:
    """What to connect from where nothing is said: any port, in the family of the remote."""
    address = literal_address(remote.host)
    if address is None:
        return list(_ANY)
    return [_ANY[address.version != IPV4]]


def _from_any_port(pair: Addresses) -> Addresses:
    return numeric_pair(pair.family, pair.local._replace(port=0), pair.remote)

"""What a visit at a coordinator shows: of it, and of the NAT in front of us. Pure.

One local port is shown to several ports, and possibly to several coordinators, while all of these
connections are open; :func:`mappings` lays what they saw side by side. The terms are those of RFC
4787 §4.1.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from simopen._endpoints import Endpoint, numeric_address
from simopen._report import count, format_seconds

from ._facts import Mapping, Trouble, Visit
from ._findings import Row, Severity, Subject, Table, Words

SEVERAL = 2  # observations, from which on they can be compared


def telling(visits: Iterable[Visit]) -> list[Visit]:
    """Those that say something: without a family that leads nowhere while the other one works."""
    visits = list(visits)
    works = {visit.url for visit in visits if visit.trouble is None}
    return [
        visit
        for visit in visits
        if visit.trouble is not Trouble.UNREACHABLE or visit.url not in works
    ]


def mappings(visits: Iterable[Visit], own_addresses: Collection[str]) -> list[Mapping]:
    """What our NAT does, a mapping for each family that was seen.

    Args:
        visits: All from one local port.
        own_addresses: This host's.
    """
    by_version: dict[int, list[Visit]] = {}
    for visit in visits:
        if visit.observed is not None and visit.local is not None:
            version = numeric_address(visit.observed.host).version
            by_version.setdefault(version, []).append(visit)
    return [_mapping(version, group, own_addresses) for version, group in by_version.items()]


def _mapping(version: int, visits: list[Visit], own_addresses: Collection[str]) -> Mapping:
    observed = tuple(end for visit in visits for end in _ends(visit))
    local = visits[0].local
    assert local is not None  # noqa: S101 - what was observed has a local end
    return Mapping(
        version=version,
        local=local,
        observed=observed,
        by_port=any(len(set(_ends(visit))) > 1 for visit in visits),
        is_own=all(end.host in own_addresses for end in observed),
    )


def _ends(visit: Visit) -> Iterator[Endpoint]:
    if visit.observed is not None:
        yield visit.observed
    yield from visit.probed


# -- looks ----------------------------------------------------------------------------------------


def _reached(visit: Visit) -> Words | None:
    if visit.trouble is not None or visit.observed is None:
        return None
    trip = visit.round_trip
    return {
        "url": visit.url,
        "observed": visit.observed,
        "over": f"IPv{numeric_address(visit.observed.host).version}",
        "trip": f", {format_seconds(trip)} there and back" if trip is not None else "",
    }


def _is(trouble: Trouble) -> Callable[[Visit], Words | None]:
    def look(visit: Visit) -> Words | None:
        if visit.trouble is not trouble:
            return None
        return {"url": visit.url, "remote": visit.remote, "reason": visit.reason}

    return look


def _words(mapping: Mapping) -> Words:
    seen = list(dict.fromkeys(mapping.observed))
    return {
        "local": mapping.local,
        "port": mapping.local.port,
        "family": f"IPv{mapping.version}",
        "observed": seen[0],
        "seen": ", ".join(map(str, seen)),
        "views": count(len(mapping.observed), "view"),
        "by": "port, even of one host" if mapping.by_port else "address",
        "class": "address- and port-dependent" if mapping.by_port else "address-dependent",
    }


def _varies(mapping: Mapping) -> bool:
    return len(set(mapping.observed)) > 1


def _kept(mapping: Mapping) -> bool:
    return {end.port for end in mapping.observed} == {mapping.local.port}


def _look(test: Callable[[Mapping], bool]) -> Callable[[Mapping], Words | None]:
    return lambda mapping: _words(mapping) if test(mapping) else None


def _translated(mapping: Mapping) -> bool:
    return not mapping.is_own and not _varies(mapping)


COORDINATOR = Table(
    Subject.COORDINATOR,
    (
        Row(
            "coordinator",
            Severity.FINE,
            _reached,
            "{url} sees us at {observed} ({over}{trip})",
            "It can introduce us to a peer; the doctor has taken a seat in an empty room and left "
            "again",
        ),
        Row(
            "coordinator-name",
            Severity.HINDERS,
            _is(Trouble.NAME),
            "{url}: {reason}",
            "The coordinator's name leads nowhere from here",
            "Check the spelling, and that names resolve here",
        ),
        Row(
            "coordinator-unreachable",
            Severity.HINDERS,
            _is(Trouble.UNREACHABLE),
            "{url} cannot be reached at {remote}: {reason}",
            "Nobody can introduce us there",
            "Check its address and port, that it is running (simopen coordinator), and that "
            "firewalls let us out to it",
        ),
        Row(
            "coordinator-certificate",
            Severity.HINDERS,
            _is(Trouble.CERTIFICATE),
            "{url} shows a certificate that is not accepted: {reason}",
            "Either the coordinator's certificate or our trust in it is wrong, or somebody is in "
            "between. It would be given no more than a room's tag, yet simopen does not go on",
            "Use the name that the certificate is for; where its authority is your own, set "
            "SSL_CERT_FILE to its certificate",
        ),
        Row(
            "coordinator-tls",
            Severity.HINDERS,
            _is(Trouble.TLS),
            "{url} does not speak TLS as we do: {reason}",
            "The connection cannot be encrypted",
            "If it is a coordinator without a certificate, write tcp:// in place of tls://",
        ),
        Row(
            "coordinator-protocol",
            Severity.HINDERS,
            _is(Trouble.PROTOCOL),
            "{url} does not answer as a coordinator does: {reason}",
            "Something else is there, one of another version, or one that wants TLS",
            "Check host and port; if it has a certificate, write tls:// in place of tcp://",
        ),
        Row(
            "coordinator-refuses",
            Severity.HINDERS,
            _is(Trouble.REFUSED),
            "{url} takes nobody in now: {reason}",
            "It is there, and has no place for us",
            "Try again later",
        ),
    ),
)
"""All that can be found about one visit at a coordinator."""

NAT = Table(
    Subject.NAT,
    (
        Row(
            "nat-none",
            Severity.FINE,
            _look(lambda mapping: mapping.is_own and not _varies(mapping)),
            "no NAT over {family}: we are seen at {observed}, our own address",
            "The peer reaches us at the address and port that we have",
        ),
        Row(
            "nat-keeps-port",
            Severity.FINE,
            _look(lambda mapping: _translated(mapping) and _kept(mapping)),
            "the NAT keeps our port over {family}: {local} is {observed} outside",
            "A peer that knows our public address knows our endpoint; direct mode works without a "
            "coordinator. Another host behind the same NAT can take the port from us, though",
        ),
        Row(
            "nat-moves-port",
            Severity.NOTE,
            _look(lambda mapping: _translated(mapping) and not _kept(mapping)),
            "the NAT moves our port over {family}: {local} is {observed} outside",
            "Both sides cannot agree on ports beforehand; a coordinator tells the peer the one "
            "that counts",
            "Meet through a coordinator: simopen connect --rendezvous URL",
        ),
        Row(
            "nat-varies",
            Severity.HINDERS,
            _look(_varies),
            "over {family} the NAT gives us another endpoint for each {by}: {local} is {seen}",
            "What a coordinator sees is not what the peer meets ({class} mapping, RFC 4787 §4.1), "
            "so no SYN of the peer's finds us",
            "Use IPv6, another network, or forward a port in that router",
        ),
        Row(
            "nat-one-view",
            Severity.NOTE,
            _look(lambda mapping: not mapping.is_own and len(mapping.observed) < SEVERAL),
            "only one port outside has seen us over {family}",
            "Whether the NAT gives another endpoint for each destination cannot be told from that",
            "Name a second coordinator (--rendezvous once more), or let this one have its probe "
            "port open",
        ),
    ),
)
"""All that can be found about the NAT, for each family."""

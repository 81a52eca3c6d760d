"""Which pairs of endpoints a call races, and in which order.

Every address of the peer is paired with the local one of its family, port by port. Both
hosts must come to the same order by themselves, for the choice of a winner rests on it
(:mod:`._executor`); so it is made of what both see alike:

1. the place of the port in its range,
2. the kind of address: private before global IPv6 before public IPv4, as a path inside a network is
   shorter than one around it, and one without a NAT is surer than one through two (the order of
   RFC 8305 §4 and RFC 6724, with the local network in front),
3. the place in the caller's list.
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import TYPE_CHECKING

import anyio

from simopen._endpoints import IPV4, is_private, literal_address, numeric_address
from simopen._errors import SelfConnectionError, UsageError

from ._addresses import UnresolvedError, resolve

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from simopen._endpoints import Candidate

    from ._addresses import Addresses

FAMILIES = 2  # IPv4 and IPv6
MAX_LANES = 16  # each is a mapping in a NAT; carriers' leave a subscriber a few dozen (RFC 6888)


async def resolve_pairs(
    local: Sequence[Candidate], remote: Sequence[Candidate]
) -> tuple[Addresses, ...]:
    """Resolve all names and give the pairs to race, better ones first.

    Where there are several candidates, one that has no address, or that turns out to be
    ourselves, is left out.

    Raises:
        UsageError: Several local addresses have one family, the ranges of ports differ in length,
            a candidate has no counterpart of its family, there are too many pairs, or as
            :func:`._addresses.resolve`.
        SelfConnectionError: Every pair is one socket address twice.
        UnresolvedError: No name resolves.
    """
    if len(local) == len(remote) == len(local[0]) == len(remote[0]) == 1:
        return (await resolve(local[0][0], remote[0][0]),)  # the usual call has nothing to order
    _check_families([ours[0].host for ours in local])
    _check_ranges(local, remote)
    combinations = [(ours, theirs) for theirs in remote for ours in _counterparts(theirs, local)]
    if (lanes := sum(len(ours) for ours, _ in combinations)) > MAX_LANES:
        raise UsageError(
            f"{lanes} pairs of endpoints are too many: no more than {MAX_LANES} are raced"
        )
    found = await _resolve_each(combinations)
    _check_families(dict.fromkeys(addresses.local.host for addresses, _ in found))
    pairs = sorted(
        (place, _rank(addresses.remote.host), position, pair)
        for position, (addresses, ports) in enumerate(found)
        for place, pair in enumerate(_spread(addresses, ports))
    )
    return tuple(dict.fromkeys(pair for *_, pair in pairs))


def _check_families(hosts: Collection[str]) -> None:
    """One local address of each family: with two the hosts could not agree on an order."""
    families = [address.version for host in hosts if (address := literal_address(host))]
    if len(hosts) > FAMILIES or len(families) > len(set(families)):
        raise UsageError(
            f"local has several addresses of one family ({', '.join(hosts)}): give one of each; "
            "a wildcard stands for all of its family"
        )


def _check_ranges(local: Sequence[Candidate], remote: Sequence[Candidate]) -> None:
    for ours, theirs in itertools.product(local, remote):
        if len(ours) != len(theirs):
            raise UsageError(
                f"local has {len(ours)} ports and remote {len(theirs)}: they are paired one by "
                "one, so give equally many"
            )


def _counterparts(theirs: Candidate, local: Sequence[Candidate]) -> list[Candidate]:
    """The local candidates that a remote one can be reached from."""
    address = literal_address(theirs[0].host)
    fitting = [
        ours
        for ours in local
        if address is None
        or (mine := literal_address(ours[0].host)) is None
        or mine.version == address.version
    ]
    return fitting or [local[0]]  # whose error then says what is wrong


async def _resolve_each(
    combinations: Sequence[tuple[Candidate, Candidate]],
) -> list[tuple[Addresses, Sequence[tuple[int, int]]]]:
    outcomes: dict[int, Addresses | Exception] = {}

    async def one(number: int, ours: Candidate, theirs: Candidate) -> None:
        try:
            outcomes[number] = await resolve(ours[0], theirs[0])
        except (UnresolvedError, UsageError) as error:
            outcomes[number] = error

    async with anyio.create_task_group() as group:
        for number, pair in enumerate(combinations):
            group.start_soon(one, number, *pair)
    found: list[tuple[Addresses, Sequence[tuple[int, int]]]] = []
    left_out: list[Exception] = []
    for number, (ours, theirs) in enumerate(combinations):
        outcome = outcomes[number]
        if isinstance(outcome, SelfConnectionError | UnresolvedError):
            left_out.append(outcome)
        elif isinstance(outcome, Exception):
            raise outcome
        else:
            ports = [(mine.port, its.port) for mine, its in zip(ours, theirs, strict=True)]
            found.append((outcome, ports))
    if not found:
        raise left_out[0]
    return found


def _spread(addresses: Addresses, ports: Sequence[tuple[int, int]]) -> list[Addresses]:
    """The same two hosts with each pair of ports."""
    return [
        addresses._replace(
            local=addresses.local._replace(port=ours),
            source=addresses.source._replace(port=ours),
            remote=addresses.remote._replace(port=theirs),
        )
        for ours, theirs in ports
    ]


@lru_cache(maxsize=256)
def _rank(host: str) -> int:
    address = numeric_address(host.partition("%")[0])
    if is_private(address):
        return 0
    return 2 if address.version == IPV4 else 1

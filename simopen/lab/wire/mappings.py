"""Which external endpoint stands for which internal one.

A `Mapping` joins the two; where nothing is translated they are the same. The table holds a mapping
from its first session (`hold`) to its last (`release`), and finds it by what it was made for (its
scope) and by what stands for it outside. With port overloading several have the same external
endpoint.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from simopen.lab.nat import Filtering
from simopen.lab.wire.headers import Endpoint, Flow


@dataclass(slots=True, eq=False)
class Mapping:
    """An internal endpoint and what stands for it outside.

    Attributes:
        protocol: IP's number.
        internal: The endpoint inside.
        external: The endpoint outside.
        scope: What tells this mapping from all others: the internal endpoint, and as much of the
            remote one as the gateway maps by.
        remotes: How many sessions there are with each remote address.
    """

    protocol: int
    internal: Endpoint
    external: Endpoint
    scope: bytes
    remotes: dict[bytes, int] = field(default_factory=dict)

    @property
    def translates(self) -> bool:
        """Whether inside and outside differ."""
        return self.internal != self.external


class MappingTable:
    """All mappings of one gateway."""

    def __init__(self) -> None:
        self._by_scope: dict[tuple[int, bytes], Mapping] = {}
        self._by_external: dict[tuple[int, Endpoint], list[Mapping]] = {}
        self._held: dict[tuple[int, bytes], int] = {}

    def __len__(self) -> int:
        return len(self._by_scope)

    def find(self, protocol: int, scope: bytes) -> Mapping | None:
        """Return the mapping that was made for this."""
        return self._by_scope.get((protocol, scope))

    def is_taken(self, protocol: int, external: Endpoint) -> bool:
        """Whether an external endpoint stands for anything."""
        return (protocol, external) in self._by_external

    def admitting(self, flow: Flow, filtering: Filtering) -> Mapping | None:
        """Return the newest mapping that lets a new flow from outside in; None: it is filtered."""
        if filtering is Filtering.ADDRESS_AND_PORT_DEPENDENT:
            return None  # what it would let in has a session, and is no new flow
        remote = flow.source[:-2]
        for mapping in reversed(self._by_external.get((flow.protocol, flow.destination), ())):
            if filtering is Filtering.ENDPOINT_INDEPENDENT or remote in mapping.remotes:
                return mapping
        return None

    def held_by(self, protocol: int, address: bytes) -> int:
        """Return how many mappings an internal address has."""
        return self._held.get((protocol, address), 0)

    def hold(self, mapping: Mapping, remote: bytes) -> None:
        """Count a session with a remote address."""
        if not mapping.remotes:
            protocol, holder = mapping.protocol, mapping.internal[:-2]
            self._by_scope[protocol, mapping.scope] = mapping
            self._by_external.setdefault((protocol, mapping.external), []).append(mapping)
            self._held[protocol, holder] = self.held_by(protocol, holder) + 1
        mapping.remotes[remote] = mapping.remotes.get(remote, 0) + 1

    def release(self, mapping: Mapping, remote: bytes) -> None:
        """Count a session with a remote address as over; forget the mapping with the last one."""
        mapping.remotes[remote] -= 1
        if not mapping.remotes[remote]:
            del mapping.remotes[remote]
        if not mapping.remotes:
            self._forget(mapping)

    def _forget(self, mapping: Mapping) -> None:
        protocol, holder = mapping.protocol, mapping.internal[:-2]
        del self._by_scope[protocol, mapping.scope]
        sharing = self._by_external[protocol, mapping.external]
        sharing.remove(mapping)
        if not sharing:
            del self._by_external[protocol, mapping.external]
        self._held[protocol, holder] -= 1
        if not self._held[protocol, holder]:
            del self._held[protocol, holder]

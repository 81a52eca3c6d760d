"""One round of a call through a coordinator: from the introduction to a proven stream.

Theory of operation. Both sides were told each other's endpoints and a delay by one message each.
The peer's offer is opened first: nothing is sent to anybody on the coordinator's word alone. What
is left of the endpoints (:mod:`.rendezvous._candidates`) is raced, and every connection that opens
has to prove that the author of the offer is at its other end (:mod:`._proving`).

A round ends with a stream, or with the error that says why not; an authentication that failed is
also kept in :attr:`Round.unproven`.
"""

from __future__ import annotations

import itertools
import math
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import TYPE_CHECKING

import anyio

from ._endpoints import IPV4, Endpoint, numeric_address
from ._errors import SelfConnectionError
from ._events import PunchAttempt
from ._proving import PROOF_TIMEOUT, Prover
from .net._addresses import Addresses, numeric_pair
from .net._executor import Punch, Race
from .net._interfaces import host_addresses
from .net._stream import TcpStream
from .rendezvous._candidates import Candidate, Kind, View, choose
from .security._errors import ProofError, ReflectedError, SecurityError
from .security._handshake import Handshake
from .security._keys import MODE_RENDEZVOUS
from .security._offer import OfferBody, open_offer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anyio.abc import ByteStream, TaskGroup

    from ._events import Event
    from ._report import MeetingReport, PunchReport
    from .punch import PunchOptions
    from .rendezvous._link import Link
    from .rendezvous.protocol import Introduced
    from .security._certificate import Identity
    from .security._keys import GroupKeys
    from .security._tls import TlsStream

LANE_PACE = 0.005  # seconds between lanes that start together (RFC 8445 §14.2: at least 5 ms)
ROUND_GROWTH = 1.5  # each round is so many times as long as the one before


@dataclass(frozen=True, slots=True)
class Member:
    """Who we are in a room, for all rounds of a call.

    Attributes:
        keys: The group's.
        tag: The room's.
        identity: Ours.
    """

    keys: GroupKeys
    tag: bytes = field(repr=False)  # whoever knows it can take our seat
    identity: Identity


@dataclass(slots=True)
class Round:
    """One introduction and what comes of it.

    Attributes:
        number: 1 for the call's first.
        member: Ourselves.
        link: Our link to the coordinator.
        introduction: Its word.
        options: The engine's numbers.
        began: When the call began, on :func:`time.monotonic`'s clock.
        give_up_at: When its time is over, likewise, or None.
        announce: Takes every event.
        told: What the coordinator has to do with it, for the report.
        earlier: The offers that were opened in this call; this round's is added.
        unproven: What showed that somebody else was there.
        doubts: What showed only that there was no proof.
    """

    number: int
    member: Member
    link: Link
    introduction: Introduced
    options: PunchOptions
    began: float
    give_up_at: float | None
    announce: Callable[[Event], None]
    told: MeetingReport
    earlier: set[bytes] = field(default_factory=set)
    unproven: list[SecurityError] = field(default_factory=list)
    doubts: list[SecurityError] = field(default_factory=list)

    @property
    def fire_at(self) -> float:
        """When both sides fire, on the monotonic clock."""
        return self.introduction.at + self.introduction.delay

    def open_offer(self) -> OfferBody:
        """What the peer says of itself.

        Raises:
            SecurityError: It was not said by who holds our secret, or by ourselves.
        """
        assert self.link.join is not None  # noqa: S101 - we have been introduced
        peer = open_offer(
            self.member.keys,
            self.introduction.offer,
            mode=MODE_RENDEZVOUS,
            room_tag=self.member.tag,
            own=self.link.join.offer,
        )
        if peer.certificate == self.member.identity.certificate:
            raise ReflectedError("an earlier offer of our own came back to us")
        if self.introduction.offer in self.earlier:
            raise ProofError("an earlier offer of the peer's was played again")
        self.earlier.add(self.introduction.offer)
        return peer

    def candidates(self, peer: OfferBody) -> list[tuple[Candidate, Addresses]]:
        """What may be punched, better ones first, with the local end of each."""
        view = View(
            coordinator=numeric_address(self.link.coordinator),
            local=self.link.local,
            observed=self.link.observed,
            hosts=host_addresses(),
        )
        found = []
        for candidate in choose(view, self.introduction.observed, peer.candidates):
            version = numeric_address(candidate.remote.host).version
            local = self.link.berth.local.get(version)
            if local is None:
                continue
            seen = self.link.local.get(version)
            if seen is not None and candidate.kind is not Kind.LOCAL and not _is_loopback(seen):
                local = seen  # or with several addresses the kernel might choose another one
            family = socket.AF_INET if version == IPV4 else socket.AF_INET6
            with suppress(SelfConnectionError):
                found.append((candidate, numeric_pair(family, local, candidate.remote)))
        return found

    def most_syns(self, candidates: Sequence[tuple[Candidate, Addresses]]) -> float:
        """How many SYNs may leave; a peer on this very host is nobody that we could harm."""
        here = all(_is_loopback(each.remote) for each, _ in candidates)
        return math.inf if here else self.options.round_syns

    async def punch(
        self,
        peer: OfferBody,
        candidates: Sequence[tuple[Candidate, Addresses]],
        group: TaskGroup,
    ) -> tuple[TlsStream | TcpStream, PunchReport]:
        """Fire at the moment that was agreed on, and prove what opens.

        Args:
            peer: Its offer.
            candidates: As :meth:`candidates` gives them.
            group: Where the proof is prepared, a millisecond's work, while SYNs are out.

        Raises:
            LocalBindError: Our endpoint is gone.
            PeerConnectError: No connection came about, or none was proven.
        """
        handshake = cache(partial(self._handshake, peer))

        async def prepare(_transport: ByteStream) -> Handshake:
            return handshake()

        async def get_ready() -> None:
            with suppress(SecurityError, OSError):  # who proves a connection is told
                handshake()

        def announce(event: Event) -> None:
            self.announce(event)
            if isinstance(event, PunchAttempt) and (event.lane, event.number) == (0, 1):
                group.start_soon(get_ready)  # now that the first SYN is out

        def complete(report: PunchReport) -> PunchReport:
            kind = next(each.kind for each, pair in candidates if pair.remote == report.remote)
            encrypted = prover.stream is not None
            return replace(report, path=kind.value, encrypted=encrypted, meeting=self.told)

        until = self._until()
        end = self._bounded(until + PROOF_TIMEOUT)  # the peer may choose another until then
        prover = Prover(prepare, end=end, began=self.began, announce=self.announce)
        self.unproven, self.doubts = prover.failures, prover.doubts
        punch = Punch(
            Race(
                [pair for _, pair in candidates],
                self._waits([each for each, _ in candidates]),
                self.most_syns(candidates),
            ),
            options=self.options,
            began=self.began,
            timeout=until - self.began,
            announce=announce,
            prove=None if self.options.plaintext else prover,
            complete=complete,
        )
        await anyio.sleep(max(0.0, self.fire_at - time.monotonic()))
        sock, report = await punch.run()
        return prover.stream or TcpStream(sock), report

    def _handshake(self, peer: OfferBody) -> Handshake:
        assert self.link.join is not None  # noqa: S101 - we have been introduced
        return Handshake(
            keys=self.member.keys,
            identity=self.member.identity,
            own_offer=self.link.join.offer,
            peer_offer=self.introduction.offer,
            peer_body=peer,
            mode=MODE_RENDEZVOUS,
            round=self.introduction.round,
            room_tag=self.member.tag,
        )

    def _until(self) -> float:
        """When the last SYN may leave."""
        length = self.options.round_time * ROUND_GROWTH ** (self.number - 1)
        return self._bounded(self.fire_at + length)

    def _bounded(self, moment: float) -> float:
        return moment if self.give_up_at is None else min(moment, self.give_up_at)

    def _waits(self, candidates: Sequence[Candidate]) -> list[float]:
        """Seconds from each lane's predecessor to its own start."""
        waits = [0.0]
        for before, after in itertools.pairwise(candidates):
            group_begins = after.late and not before.late
            waits.append(self.options.lane_delay if group_begins else LANE_PACE)
        return waits


def _is_loopback(endpoint: Endpoint) -> bool:
    return numeric_address(endpoint.host).is_loopback

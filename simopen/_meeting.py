"""One call through a coordinator: joined, introduced, punched and proven, in several rounds.

Theory of operation
===================

A call takes a seat in a room whose tag only those can compute who hold the secret, and waits there
(:mod:`.rendezvous._seat`). With the introduction come the peer's sealed offer (its certificate, its
own addresses), the endpoints at which the coordinator sees it, and a delay after which both sides
fire at once. The connections that open have to prove that they are the peer's, and the first that
does is handed over.

A round that leads to nothing is followed by another, with a fresh offer, after a fresh
introduction, and from a fresh port where the caller has not named one. The coordinator is not
trusted: nothing is sent on its word before the peer's offer has opened, and then no more than the
options allow.

States
======

=======  ===========================================  =============================================
state    meaning                                      left by
=======  ===========================================  =============================================
waiting  we have a seat, or are about to have one     an introduction
meeting  both fire, and prove what opens              a proof (the end), or the end of the round
=======  ===========================================  =============================================

What ends the call besides: the last round, a full room, a coordinator that was never reached, and
the time allowed.

Invariants
==========

- However it ends, the seat is given up and no socket is left but that of the stream.
- An authentication error is raised only when rounds or time are over: a stranger or a lying
  coordinator costs a round, not the call.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
from anyio.abc import SocketAttribute

from . import _meeting_diagnosis as diagnosis
from ._endpoints import Endpoint
from ._errors import (
    CoordinatorUnavailable,
    LocalBindError,
    PeerConnectError,
    PeerNotFoundError,
    PeerTimeoutError,
    RemoteProtocolError,
    RoomFullError,
)
from ._events import (
    RendezvousFailed,
    RendezvousIntroduced,
    RendezvousJoined,
    RendezvousLost,
    RoundFailed,
)
from ._proving import authentication_error
from ._report import MeetingReport, PunchReport
from ._round import Member, Round
from .net import _sockets
from .net._stream import PeerStream
from .rendezvous._candidates import parse_observed
from .rendezvous._link import LinkError
from .rendezvous._seat import Seat
from .rendezvous.protocol import Code, Outcome
from .security._certificate import Identity
from .security._errors import SecurityError, UnableError
from .security._handshake import SESSION_LENGTH
from .security._keys import MODE_RENDEZVOUS, SALT_LENGTH, UNKEYED
from .security._offer import OfferBody, seal_offer
from .security._secret import derive_keys

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from anyio.abc import TaskGroup

    from ._diagnosis import Diagnosis
    from ._events import Event
    from .net._addresses import Addresses
    from .punch import PunchOptions
    from .rendezvous._candidates import Candidate
    from .rendezvous._link import Link
    from .rendezvous._url import Rendezvous
    from .rendezvous.protocol import Introduced
    from .security._keys import GroupKeys
    from .security._secret import SecretLike

# Seconds before the end of the time allowed at which the last punch ends, to say what it saw. A
# busy machine wakes us some hundredths late.
LAST_WORDS = 0.05

_NOWHERE = Endpoint("0.0.0.0", 0)  # noqa: S104 - a report's, before anything is bound
_MISUNDERSTOOD = (Code.VERSION, Code.MALFORMED, Code.UNEXPECTED)


class Meeting:
    """One call.

    Args:
        rendezvous: The coordinator.
        room: The room's name.
        secret: What both hold; None with ``options.plaintext``.
        local: As for :class:`.rendezvous._seat.Seat`.
        began: When the call began, on :func:`time.monotonic`'s clock.
        timeout: Seconds for all of it, or None.
        options: The engine's numbers.
        announce: Takes every event.
    """

    def __init__(  # noqa: PLR0913 - what a call is made of
        self,
        rendezvous: Rendezvous,
        *,
        room: str,
        secret: SecretLike | None,
        local: Sequence[Sequence[Endpoint]] | None,
        began: float,
        timeout: float | None,
        options: PunchOptions,
        announce: Callable[[Event], None],
    ) -> None:
        self._rendezvous = rendezvous
        self._room = room
        self._secret = secret
        self._local = local
        self._began = began
        self._give_up_at = None if timeout is None else began + timeout
        self._options = options
        self._announce = announce
        self._told = MeetingReport(rendezvous=rendezvous.url)
        self._connected: socket.socket | None = None
        self._lost_because = "no answer in the time allowed"
        self._last: PeerConnectError | None = None  # what became of the latest round
        self._unproven: list[SecurityError] = []  # in all rounds
        self._doubts: list[SecurityError] = []  # in the latest
        self._unable: str | None = None  # what this host could not do in it

    async def run(self) -> PeerStream:
        """Meet the peer.

        Raises:
            LocalBindError: The local endpoint cannot be had.
            RemoteProtocolError: What answers is no coordinator.
            RendezvousError: Nobody introduced us.
            AuthenticationError: Nobody who was met is the peer.
            PeerConnectError: No connection came about.
        """
        stream: PeerStream | None = None
        error: BaseException | None = None
        left = None if self._give_up_at is None else self._give_up_at - time.monotonic()
        try:
            with anyio.move_on_after(left):
                self._rendezvous = await self._rendezvous.loaded()
                keys = UNKEYED if self._secret is None else await derive_keys(self._secret)
                async with anyio.create_task_group() as group:
                    try:
                        stream = await self._meet(keys, group)
                    except anyio.get_cancelled_exc_class():
                        raise
                    except BaseException as raised:  # noqa: BLE001 - raised below, not as a group
                        error = raised
                    group.cancel_scope.cancel()
        except BaseException:
            self._drop_connection()
            raise
        if stream is None:
            self._drop_connection()
            raise error or self._out_of_time()
        return stream

    def _drop_connection(self) -> None:
        if self._connected is not None:
            _sockets.close(self._connected)

    # -- meeting ---------------------------------------------------------------------------------

    async def _meet(self, keys: GroupKeys, group: TaskGroup) -> PeerStream:
        member = Member(keys, keys.room_tag(self._room), Identity.generate())
        session = os.urandom(SESSION_LENGTH)

        def make_offer(number: int, candidates: tuple[tuple[str, int], ...]) -> bytes:
            body = OfferBody(member.identity.certificate, session, number, candidates)
            salt = os.urandom(SALT_LENGTH)
            return seal_offer(keys, body, mode=MODE_RENDEZVOUS, room_tag=member.tag, salt=salt)

        seat = Seat(
            self._rendezvous,
            tag=member.tag,
            local=self._local,
            make_offer=make_offer,
            on_joined=self._on_joined,
            on_lost=self._on_lost,
        )
        try:
            return await self._rounds(member, seat, group)
        except LinkError as end:
            raise self._unintroduced(end) from None
        finally:
            await seat.leave()

    async def _rounds(self, member: Member, seat: Seat, group: TaskGroup) -> PeerStream:
        end = None if self._give_up_at is None else self._give_up_at - LAST_WORDS
        earlier: set[bytes] = set()
        for number in range(1, self._options.rounds + 1):
            link, introduction = await seat.introduced(group)
            self._on_introduced(number, link, introduction)
            round_ = Round(
                number,
                member,
                link,
                introduction,
                self._options,
                self._began,
                end,
                self._announce,
                self._told,
                earlier,
            )
            stream = await self._try(round_, group)
            outcome = Outcome.AUTH_FAILED if round_.unproven else Outcome.FAILED
            await seat.report(Outcome.OK if stream else outcome, introduction)
            if stream is not None:
                return stream
            if end is not None and time.monotonic() >= end:
                raise self._out_of_time()
        raise self._out_of_rounds(PeerConnectError)

    async def _try(self, round_: Round, group: TaskGroup) -> PeerStream | None:
        """What comes of a round: the stream, or None and why not."""
        self._unable = None
        try:
            peer = round_.open_offer()
            candidates = round_.candidates(peer)
            self._announce_candidates(round_, candidates)
            transport, report = await round_.punch(peer, candidates, group)
        except SecurityError as error:
            round_.unproven.append(error)
            reason = str(error)
        except LocalBindError as error:
            self._unable = reason = error.strerror or str(error)
        except PeerConnectError as error:
            self._last = error
            reason = str(error)
        else:
            self._connected = transport.extra(SocketAttribute.raw_socket)
            return PeerStream(transport, report)
        self._unproven += round_.unproven
        self._doubts = round_.doubts
        if self._doubts and isinstance(self._doubts[-1], UnableError):
            self._unable = str(self._doubts[-1])
        self._announce(RoundFailed(at=self._elapsed(), round=round_.number, reason=reason))
        return None

    def _announce_candidates(
        self, round_: Round, candidates: Sequence[tuple[Candidate, Addresses]]
    ) -> None:
        self._announce(
            RendezvousIntroduced(
                at=self._elapsed(),
                round=round_.number,
                delay=max(0.0, round_.fire_at - time.monotonic()),
                candidates=tuple((each.remote, each.kind.value) for each, _ in candidates),
            )
        )
        if not candidates:
            why = diagnosis.no_candidate(self._told)
            raise PeerConnectError(report=self._report(), diagnosis=why)

    # -- what the coordinator tells ----------------------------------------------------------------

    def _on_joined(self, observed: tuple[Endpoint, ...]) -> None:
        self._told = replace(self._told, observed=observed, waited=self._elapsed())
        url = self._rendezvous.url
        self._announce(RendezvousJoined(at=self._elapsed(), rendezvous=url, observed=observed))

    def _on_lost(self, reason: str, again_in: float) -> None:
        self._lost_because = reason
        self._announce(RendezvousLost(at=self._elapsed(), reason=reason, again_in=again_in))

    def _on_introduced(self, number: int, link: Link, introduction: Introduced) -> None:
        peer = tuple(filter(None, map(parse_observed, introduction.observed)))
        self._told = replace(
            self._told,
            waited=introduction.at - self._began,
            rounds=number,
            observed=tuple(link.observed.values()),
            peer_observed=peer,
            mapping=introduction.mapping.value,
            peer_mapping=introduction.peer_mapping.value,
        )

    # -- failing ---------------------------------------------------------------------------------

    def _unintroduced(self, end: LinkError) -> Exception:
        self._told = replace(self._told, waited=self._elapsed())
        if end.code is Code.ROOM_FULL:
            return self._error(RoomFullError, diagnosis.room_full(self._told))
        if end.malformed or end.code in _MISUNDERSTOOD:
            return RemoteProtocolError(
                f"{self._rendezvous.url} is no coordinator, or one of another version: {end.words}"
            )
        why = diagnosis.coordinator_unavailable(self._told, end.words)
        return self._error(CoordinatorUnavailable, why)

    def _out_of_time(self) -> Exception:
        if self._told.rounds:
            return self._out_of_rounds(PeerTimeoutError)
        self._told = replace(self._told, waited=self._elapsed())
        if self._told.observed:
            return self._error(PeerNotFoundError, diagnosis.nobody_came(self._told))
        why = diagnosis.coordinator_unavailable(self._told, self._lost_because)
        return self._error(CoordinatorUnavailable, why)

    def _out_of_rounds(self, kind: type[PeerConnectError]) -> Exception:
        if self._unproven:
            proof_kind, failure = authentication_error(self._unproven)
            return self._error(proof_kind, diagnosis.not_proven(self._report(), str(failure)))
        if self._unable is not None:
            return self._error(kind, diagnosis.unable(self._told, self._unable))
        if self._doubts:
            return self._error(kind, diagnosis.not_proven(self._report(), str(self._doubts[-1])))
        last = None if self._last is None else self._last.diagnosis
        return self._error(kind, diagnosis.rounds_failed(self._told, last))

    def _error(self, kind: type[PeerConnectError], why: Diagnosis) -> Exception:
        report = self._report()
        self._announce(RendezvousFailed(at=report.elapsed, report=report, diagnosis=why))
        return kind(report=report, diagnosis=why)

    def _report(self) -> PunchReport:
        if self._last is not None:
            return replace(self._last.report, elapsed=self._elapsed(), meeting=self._told)
        return PunchReport(
            local=next(iter(self._told.observed), _NOWHERE),
            remote=self._rendezvous.endpoint,
            elapsed=self._elapsed(),
            meeting=self._told,
        )

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

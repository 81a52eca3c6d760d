"""Two hosts whose lanes race, in virtual time; :mod:`benchmarks.virtual` has the rest.

Theory of operation. Each lane is a pair of :class:`~benchmarks.virtual.Host` with sockets and
sessions of its own over the one link. Where lanes have extra latency one overtakes the other. A
:class:`Side` does what :mod:`simopen.net._executor` does for them: it starts them ``lane_delay``
apart, or at once after one that can send nothing; tells an open lane whether a better one is
half-open or open; and closes all others at the moment one is handed over.

Left out: what a lane that gives up early frees, ICMP errors that lanes share, and a time allowed
that ends before every lane has had its turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from benchmarks.virtual import Host, Scene, are_ends, link
from benchmarks.virtual_tcp import Alarm, Clock
from simopen.punch import State


class Side:
    """A machine that races.

    Args:
        scenes: What each lane is put into, better ones first.
        which: Whether it is the first machine or the second, 0 or 1.
        clock: The race's.
        on_end: Told when a lane was handed over, or all have given up.
        ruled: Whether it keeps the rule that a better lane goes first.

    Attributes:
        lanes: A host for each lane.
        chosen: The number of the lane that was handed over; None if there is none.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        which: int,
        clock: Clock,
        on_end: Callable[[], None],
        *,
        ruled: bool,
    ) -> None:
        self.chosen: int | None = None
        self.lanes = [
            Host(scene, which, clock, partial(self._on_lane_end, number))
            for number, scene in enumerate(scenes)
        ]
        self._clock = clock
        self._on_end = on_end
        self._lane_delay = scenes[0].options.lane_delay
        self._begun = 0  # lanes
        self._turn = Alarm(clock, self.start_next)
        for number, lane in enumerate(self.lanes):
            lane.on_unsent = partial(self._on_unsent, number)
            if ruled:
                lane.outranked = partial(self._outranked, number)

    def start_next(self, _: object = None) -> None:
        """Start the lane whose turn it is."""
        lane = self.lanes[self._begun]
        self._begun += 1
        if self._begun < len(self.lanes):
            self._turn.set(self._clock.now + self._lane_delay)
        lane.start()

    @property
    def syns(self) -> list[float]:
        """When SYNs left, of all lanes, in order."""
        return sorted(at for lane in self.lanes for at in lane.syns)

    def _on_unsent(self, number: int) -> None:
        if number + 1 == self._begun < len(self.lanes):
            self._turn.set(self._clock.now)

    def _outranked(self, number: int) -> bool:
        return any(lane.opening for lane in self.lanes[:number])

    def _on_lane_end(self, number: int) -> None:
        if self.lanes[number].lane.state is State.ESTABLISHED:
            self.chosen = number
            self._turn.set(float("inf"))
            for lane in self.lanes:
                if lane is not self.lanes[number]:
                    lane.stop()
        elif any(lane.ended_at is None for lane in self.lanes):
            return
        self._on_end()


class Race:
    """Two machines that race their lanes.

    Args:
        scene: The scene of the best lane, but for its extra latency.
        extra: What each lane, better ones first, takes longer one way, in seconds.
        ruled: Whether both sides keep the rule.
    """

    def __init__(self, scene: Scene, extra: Sequence[float], *, ruled: bool = True) -> None:
        self.clock = Clock()
        scenes = [
            replace(
                scene,
                round_trip=scene.round_trip + 2 * more,
                lanes=len(extra),
                leads=number == 0,
                seed=scene.seed * len(extra) + number,
            )
            for number, more in enumerate(extra)
        ]
        self.first, self.second = self.sides = (
            Side(scenes, 0, self.clock, self._on_end, ruled=ruled),
            Side(scenes, 1, self.clock, self._on_end, ruled=ruled),
        )
        for lane, first, second in zip(scenes, self.first.lanes, self.second.lanes, strict=True):
            link(first, second, self.clock, lane)
        self._settling = 2 * max(lane.round_trip for lane in scenes)
        self._latest = max(scene.skews) + scene.timeout + self._settling + 1
        self._at_work = len(self.sides)
        for side, start in zip(self.sides, scene.skews, strict=True):
            self.clock.at(start, side.start_next, None)

    def run(self) -> None:
        """Let both sides come to their end, and what they sent arrive."""
        self.clock.run(self._latest)

    def _on_end(self) -> None:
        """Stop two round trips after both have ended: by then every answer to an answer is in."""
        self._at_work -= 1
        if self._at_work == 0:
            self.clock.end = min(self.clock.end, self.clock.now + self._settling)

    @property
    def agreed(self) -> bool:
        """Whether both sides have handed over the same lane, or none."""
        return self.first.chosen == self.second.chosen

    @property
    def connected(self) -> bool:
        """Whether what both sides have handed over is one living connection."""
        chosen = self.first.chosen
        if chosen is None or chosen != self.second.chosen:
            return False
        return are_ends(self.first.lanes[chosen].socket, self.second.lanes[chosen].socket)

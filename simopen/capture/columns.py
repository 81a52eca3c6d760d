"""The columns of a conversation drawn as SVG: its two parties, and the gateways between them.

Theory of operation
-------------------
The parties are the columns at the sides. A gateway's column lies where packets passed it: after
what they had passed before, seen from their sender. It belongs to the party whose packets go *out*
there; that party's endpoint is what it translates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from simopen.capture.ladder import sides
from simopen.capture.pcapng import Direction

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from simopen.capture.journey import Sighting
    from simopen.capture.ladder import Step
    from simopen.capture.packets import Endpoint

MAX_COLUMNS = 8
"""Parties and gateways drawn; of more gateways the first seen are."""


class Column(NamedTuple):
    """A party or a gateway.

    Attributes:
        name: What it is called.
        gateway: Whether it is a gateway.
        of_left: Whether it is the left party or belongs to it.
    """

    name: str
    gateway: bool
    of_left: bool

    def endpoint(self, sighting: Sighting, *, from_left: bool) -> Endpoint:
        """Return the endpoint of its party as a packet shows it there."""
        return sighting.source if from_left == self.of_left else sighting.destination


def columns(steps: Sequence[Step], names: Iterable[str] | None = None) -> list[Column]:
    """Return the columns from left to right.

    Args:
        steps: The packets that are drawn.
        names: Parties and gateways in their order, found out when not given.
    """
    order = list(names) if names else _order(steps, *sides(steps))
    left, right = order[0], order[-1]
    of_left = {
        sighting.interface: step.leaves(left) == (sighting.direction is Direction.OUTBOUND)
        for step in reversed(steps)
        for sighting in step.path
    }
    return [
        Column(name, name not in (left, right), name == left or of_left.get(name, False))
        for name in order
    ]


def _order(steps: Iterable[Step], left: str, right: str) -> list[str]:
    order = [left, right]
    for step in steps:
        rightwards = step.leaves(left)
        at = 0 if rightwards else len(order) - 1  # the last known place on the packet's way
        for sighting in step.path:
            name = sighting.interface
            if name in order:
                at = order.index(name)
            elif len(order) < MAX_COLUMNS:
                at = at + 1 if rightwards else at
                at = min(max(at, 1), len(order) - 1)
                order.insert(at, name)
    return order

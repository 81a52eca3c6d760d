"""A conversation that was recorded at one end only, and what is known there besides packets.

A host sees when its own packets leave and when the other's arrive. What happens at the far side is
reckoned, and pictures mark such times; a packet without arrival is one that nothing answered.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class View:
    """What the left side of a picture knows.

    Attributes:
        heads: What stands over the left and over the right side of a picture in text.
        states: The TCP state of the left side once a packet has left or arrived there, by the
            packet's id.
        numbered: Ids of the packets whose sequence numbers are known, and say something.
        reckoned: Whether times at the far side are; without, none are told.
    """

    heads: tuple[str, str]
    states: Mapping[int, str] = field(default_factory=dict)
    numbered: Collection[int] = ()
    reckoned: bool = True

"""What a coordinator counts: an interface that does nothing by itself.

Labels come from closed sets (:class:`~._session.Ending`, the protocol's codes, outcomes and
limits); never a room, an address or anything else that a client chooses, or a stranger could make a
table grow without end. :mod:`._prometheus` has the exporter.
"""

from __future__ import annotations


class Metrics:
    """Takes note of what happens; this one of nothing."""

    def opened(self) -> None:
        """A connection was accepted."""

    def ended(self, ending: str) -> None:
        """A connection has ended."""

    def welcomed(self) -> None:
        """A join or an attach was welcomed."""

    def dismissed(self, code: str) -> None:
        """A client was sent a reject or an error."""

    def introduced(self, waited: float) -> None:
        """Two members were introduced, ``waited`` seconds after the first of them had come."""

    def reported(self, outcome: str, elapsed: float) -> None:
        """A member told how its round went, ``elapsed`` seconds after the introduction."""

    def limit_hit(self, limit: str) -> None:
        """One of the coordinator's limits was hit."""

    def sizes(self, *, connections: int, members: int, waiting: int, rooms: int) -> None:
        """How many there are now; told before each :meth:`exposition`.

        Args:
            connections: Open, with or without a seat.
            members: Seats that are taken.
            waiting: Those of them that have a place and nobody to meet yet.
            rooms: With a member at least.
        """

    def exposition(self) -> tuple[str, bytes]:
        """All of it as the answer to ``GET /metrics``: content type and body."""
        return "text/plain; charset=utf-8", b""

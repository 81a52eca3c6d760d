from __future__ import annotations

import resource

import pytest

from simopen.rendezvous._files import SPARE, allow_connections

INFINITY = resource.RLIM_INFINITY


class Limits:
    """Stands in for the process's limit on open files."""

    def __init__(self, now: tuple[int, int], *, privileged: bool) -> None:
        self.now = now
        self.privileged = privileged

    def get(self, _: int) -> tuple[int, int]:
        """What it is."""
        return self.now

    def set(self, _: int, wanted: tuple[int, int]) -> None:
        """Change it as the kernel would."""
        _, hard = self.now
        if hard != INFINITY and not self.privileged and max(wanted) > hard:
            raise ValueError("not allowed to raise maximum limit")
        self.now = wanted


@pytest.mark.parametrize(
    ("before", "privileged", "after", "fitting"),
    [
        ((5000, 8000), False, (5000, 8000), 1000),  # enough as it is
        ((1024, 8000), False, (8000, 8000), 1000),  # raised to the hard one
        ((1024, INFINITY), False, (1000 + SPARE, INFINITY), 1000),
        ((INFINITY, INFINITY), False, (INFINITY, INFINITY), 1000),
        ((512, 600), True, (1000 + SPARE, 1000 + SPARE), 1000),
        ((512, 600), False, (600, 600), 600 - SPARE),
        ((20, 20), False, (20, 20), 0),
    ],
)
def test_the_limit_is_raised_as_far_as_may_be(
    before: tuple[int, int],
    after: tuple[int, int],
    fitting: int,
    monkeypatch: pytest.MonkeyPatch,
    *,
    privileged: bool,
) -> None:
    """To what is needed or to the hard one; what fits then is told."""
    limits = Limits(before, privileged=privileged)
    monkeypatch.setattr(resource, "getrlimit", limits.get)
    monkeypatch.setattr(resource, "setrlimit", limits.set)
    assert allow_connections(1000) == fitting
    assert limits.now == after

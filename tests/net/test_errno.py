from __future__ import annotations

import errno

import pytest

from simopen.net._errno import IN_PROGRESS, refusal_reason, unsent_reason


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ECONNREFUSED, "reset"),
        (errno.EPIPE, "reset"),
        (errno.EHOSTUNREACH, "host unreachable"),
        (errno.ENETUNREACH, "network unreachable"),
        (errno.ETIMEDOUT, "timed out"),
        (errno.EPROTO, "protocol error"),
    ],
)
def test_refusals_have_a_kind(code: int, reason: str) -> None:
    """Known numbers by our words, others by the system's."""
    assert refusal_reason(code) == reason


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EADDRNOTAVAIL, "port pair in use"),
        (errno.EHOSTUNREACH, "no route"),
        (errno.EPERM, "blocked by a local firewall"),
        (errno.EINVAL, "unusable source address"),
        (errno.EPROTO, "protocol error"),
    ],
)
def test_unsent_attempts_have_a_kind(code: int, reason: str) -> None:
    """The same number can mean another thing when connect() itself says it."""
    assert unsent_reason(code) == reason


def test_a_connect_under_way_is_no_error() -> None:
    """Non-blocking connects answer with these."""
    assert {0, errno.EINPROGRESS, errno.EISCONN} <= IN_PROGRESS

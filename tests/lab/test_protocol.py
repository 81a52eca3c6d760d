"""What a supervisor answers."""

from __future__ import annotations

import pytest

from simopen.lab import LabUnavailable, Traffic
from simopen.lab._protocol import Access, read_counts, read_ready

_READY = b'{"ready": {"a": {"ns": "/proc/1/fd/9", "tables": ["/t", "/t6"]}}, "user": %s}'


@pytest.mark.parametrize(
    ("user", "prefix"),
    [
        (b"null", ["nsenter", "--net=/proc/1/fd/9", "--"]),
        (
            b'"/proc/1/ns/user"',
            [
                "nsenter",
                "--net=/proc/1/fd/9",
                "--user=/proc/1/ns/user",
                "--preserve-credentials",
                "--",
            ],
        ),
    ],
)
def test_ready_tells_the_way_into_each_host(user: bytes, prefix: list[str]) -> None:
    """Commands are prefixed with what enters the namespaces, the user's too where there is one."""
    access = read_ready(_READY % user, b"")
    assert access["a"].command(["id", "-u"]) == [*prefix, "id", "-u"]
    assert access["a"].tables == ("/t", "/t6")


@pytest.mark.parametrize(
    ("line", "stderr", "text"),
    [
        (b'{"unavailable": "no TUN"}', b"", "^no TUN$"),
        (b"", b"Traceback: boom\n", "died during set-up:\nTraceback: boom"),
        (b"", b"", "said nothing"),
    ],
)
def test_not_ready_says_why(line: bytes, stderr: bytes, text: str) -> None:
    """Its own reason, or else its standard error, is in the error."""
    with pytest.raises(LabUnavailable, match=text):
        read_ready(line, stderr)


def test_counts_or_none() -> None:
    """The last line tells the traffic; a supervisor that was killed writes none."""
    line = b'{"counts": {"a": {"accepted": 5, "overflowed": 1}}, "refused": 0}'
    assert read_counts(line) == {"a": Traffic(accepted=5, overflowed=1)}
    assert read_counts(b"") is None


def test_access_is_a_value() -> None:
    """Two equal ways in are equal."""
    assert Access("n", None, ("t", "t6")) == Access("n", None, ("t", "t6"))

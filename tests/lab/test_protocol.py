"""What a supervisor answers."""

from __future__ import annotations

import pytest

from simopen.lab import LabUnavailable, Traffic
from simopen.lab._protocol import Access, Ended, Ready, Unavailable, read_ended, read_ready
from simopen.lab.wire.link import LinkCounts


@pytest.mark.parametrize(
    ("user", "prefix"),
    [
        (None, ["nsenter", "--net=/proc/1/fd/9", "--"]),
        (
            "/proc/1/ns/user",
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
def test_ready_tells_the_way_into_each_host(user: str | None, prefix: list[str]) -> None:
    """Commands are prefixed with what enters the namespaces, the user's too where there is one."""
    ready = Ready({"a": Access("/proc/1/fd/9", user, ("/t", "/t6"))})
    access = read_ready(ready.to_json(), b"")
    assert access["a"].command(["id", "-u"]) == [*prefix, "id", "-u"]
    assert access["a"].tables == ("/t", "/t6")


@pytest.mark.parametrize(
    ("line", "stderr", "text"),
    [
        (Unavailable("no TUN").to_json(), b"", "^no TUN$"),
        (b"", b"Traceback: boom\n", "died during set-up:\nTraceback: boom"),
        (b"", b"", "said nothing"),
        (b'{"answer":"rea', b"Killed\n", "died during set-up:\nKilled"),
        (b"[" * 9999, b"", "said nothing"),
        (b'{"answer":"\xff"}', b"", "said nothing"),
    ],
)
def test_not_ready_says_why(line: bytes, stderr: bytes, text: str) -> None:
    """Its own reason, or else its standard error, is in the error."""
    with pytest.raises(LabUnavailable, match=text):
        read_ready(line, stderr)


def test_traffic_or_none() -> None:
    """The last line tells the traffic; a supervisor that was killed writes none, or half of one."""
    traffic = {"a": Traffic(LinkCounts(accepted=5, overflowed=1), LinkCounts())}
    ended = Ended(traffic, unroutable=2, refused=3)
    assert read_ended(ended.to_json()) == ended
    assert read_ended(b"") is None
    assert read_ended(ended.to_json()[:-9]) is None


def test_access_is_a_value() -> None:
    """Two equal ways in are equal."""
    assert Access("n", None, ("t", "t6")) == Access("n", None, ("t", "t6"))

"""``simopen invite``: one string that brings two hosts together.

Rooms of different invites never meet, whatever they are called: the tag that the coordinator sees
is made from the secret as well. So the name is for people, and a short one makes a short invite.
"""

from __future__ import annotations

import sys

from simopen import Invite, UsageError
from simopen.cli import _exit
from simopen.cli._display import write_line

_WHAT_NOW = "keep it secret; on both hosts: simopen connect --rendezvous tcp://HOST"


def print_invite(room: str) -> int:
    """Run the command; returns its exit code."""
    try:
        invite = Invite.new(room)
    except ValueError as error:
        raise UsageError(f"--room: {error}") from None
    sys.stdout.write(f"{invite.reveal()}\n")
    sys.stdout.flush()
    if sys.stderr.isatty():
        write_line(sys.stderr, f"simopen: {_WHAT_NOW}")
    return _exit.OK

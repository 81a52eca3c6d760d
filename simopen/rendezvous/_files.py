"""How many files the process may have open: each connection is one."""

from __future__ import annotations

import contextlib

SPARE = 64  # files that are no connections: listeners, the log, the operator's connections


def allow_connections(count: int) -> int:
    """Raise this process's limit on open files, as far as may be, for ``count`` connections.

    The soft limit becomes the hard one; where that is not enough the hard one is raised too, which
    takes a privilege.

    Returns:
        How many connections fit: ``count``, or fewer where the limit is too low.
    """
    try:
        import resource  # noqa: PLC0415 - not on Windows, which has no such limit
    except ImportError:
        return count
    needed = files_for(count)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or soft >= needed:
        return count
    for wanted in (needed if hard == unlimited else max(needed, hard), hard):
        with contextlib.suppress(OSError, ValueError):
            new_hard = hard if hard == unlimited else wanted
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, new_hard))
            break
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return count if soft == unlimited else max(0, min(count, soft - SPARE))


def files_for(count: int) -> int:
    """How many open files so many connections need."""
    return count + SPARE

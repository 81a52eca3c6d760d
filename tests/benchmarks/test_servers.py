"""What is seen of a server from outside."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from benchmarks.servers import QUIET, free_port, parse_metrics, running

LISTEN = (
    "import signal, socket, sys\n"
    "with socket.create_server(('127.0.0.1', int(sys.argv[1]))):\n"
    "    while True: signal.pause()\n"
)


def test_metrics_are_read_line_by_line() -> None:
    """Comments are left out; labels are part of the name."""
    text = '# HELP a b\n# TYPE a counter\na 1.0\nb{x="y z"} 2e3\n'
    assert parse_metrics(text) == {"a": 1.0, 'b{x="y z"}': 2000.0}


def test_a_server_is_watched_and_gone_in_the_end() -> None:
    """Its CPU time, its memory and its files are seen while it runs, and it does not outlive it."""
    port = free_port()
    with running([sys.executable, "-c", LISTEN, str(port)], port) as server:
        assert 0 < server.cpu < 60
        assert server.rss > 2**20
        assert server.descriptors >= 4
        status = Path(f"/proc/{server.pid}")
        assert status.exists()
        with server.held():
            assert "stopped" in (status / "status").read_text()
        server.quiet_cpu()
    assert not status.exists()


def test_a_server_that_only_does_not_get_on_has_work_left() -> None:
    """While it is kept from its CPU its clock stands still too, and it is not taken for idle."""
    port = free_port()
    with running([sys.executable, "-c", LISTEN, str(port)], port) as server:
        server.quiet_cpu()
        began = time.monotonic()
        os.kill(server.pid, signal.SIGSTOP)
        goes_on = threading.Timer(10 * QUIET, os.kill, (server.pid, signal.SIGCONT))
        goes_on.start()
        server.quiet_cpu()
        assert time.monotonic() > began + 10 * QUIET
        goes_on.join()


def test_a_server_that_does_not_come_up() -> None:
    """Is an error, at once where it has ended."""
    with (
        pytest.raises(RuntimeError, match="nothing listens"),
        running([sys.executable, "-c", ""], 1),
    ):
        pass

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys

import pytest

from simopen import Endpoint, JsonLinesTrace, PunchAttempt, PunchFailed, PunchReport, PunchStarted
from simopen._diagnosis import diagnose
from simopen._telemetry import Telemetry

LOCAL, REMOTE = Endpoint("192.0.2.1", 40000), Endpoint("2001:db8::2", 40001)
STARTED = PunchStarted(at=0.0, local=LOCAL, remote=REMOTE, lanes=((LOCAL, REMOTE),), timeout=None)
REPORT = PunchReport(local=LOCAL, remote=REMOTE)


def test_one_event_reaches_callback_and_log(caplog: pytest.LogCaptureFixture) -> None:
    """Both get the same, and the log has the fields as values."""
    seen: list[object] = []
    with caplog.at_level(logging.DEBUG, logger="simopen"):
        Telemetry(seen.append)(STARTED)
    assert seen == [STARTED]
    (record,) = caplog.records
    assert (record.name, record.getMessage()) == ("simopen.punch", "punch.started")
    assert record.__dict__["remote"] == "[2001:db8::2]:40001"


def test_attempts_are_for_debugging(caplog: pytest.LogCaptureFixture) -> None:
    """At the level INFO thousands of attempts leave no line."""
    with caplog.at_level(logging.INFO, logger="simopen"):
        Telemetry()(PunchAttempt(at=0.0, lane=0, number=1))
        Telemetry()(STARTED)
    assert [record.getMessage() for record in caplog.records] == ["punch.started"]


def test_an_exception_of_the_callback_passes_through() -> None:
    """The caller's own error is not swallowed."""

    def fail(_: object) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        Telemetry(fail)(STARTED)


def test_the_trace_is_json_lines() -> None:
    """Each event is a line with its name, its time and its fields."""
    file = io.StringIO()
    trace = JsonLinesTrace(file)
    trace(STARTED)
    trace(PunchFailed(at=1.0, report=REPORT, diagnosis=diagnose(REPORT)))
    started, failed = (json.loads(line) for line in file.getvalue().splitlines())
    assert started == {
        "event": "punch.started",
        "at": 0.0,
        "lanes": [["192.0.2.1:40000", "[2001:db8::2]:40001"]],
        "local": "192.0.2.1:40000",
        "remote": "[2001:db8::2]:40001",
        "timeout": None,
    }
    assert failed["diagnosis"]["cause"] == "time too short"


def test_importing_configures_and_prints_nothing() -> None:
    """No handler, no level, no output: logging stays the application's."""
    code = (
        "import simopen, logging, structlog;"
        "assert not logging.getLogger().handlers;"
        "assert not logging.getLogger('simopen').handlers;"
        "assert logging.getLogger('simopen.punch').level == logging.NOTSET;"
        "assert not structlog.is_configured()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == done.stderr == b""

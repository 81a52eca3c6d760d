"""What is shipped to run a coordinator names things that are there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

import simopen
from simopen.cli._app import app
from simopen.rendezvous._files import files_for
from simopen.rendezvous._prometheus import PrometheusMetrics

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
ALERTS = DEPLOY / "prometheus" / "simopen-alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "simopen-coordinator.json"
COMMAND = ROOT / "simopen" / "cli" / "_coordinator.py"
UNIT = (DEPLOY / "simopen-coordinator.service").read_text()
TARGET = {"job": {"simopen-coordinator"}, "instance": {".*"}}  # what a scrape adds to every series
LIMITS = simopen.CoordinatorLimits()

Values = dict[str, set[str]]  # of each label


@cache
def series() -> dict[str, Values]:
    """Every series of a coordinator that has just started, with its labels and their values."""
    found: dict[str, Values] = {}
    for line in PrometheusMetrics().exposition()[1].decode().splitlines():
        if not line.startswith("#"):
            name, _, rest = line.partition(" ")[0].partition("{")
            values = found.setdefault(name, {})
            for label, value in re.findall(r'(\w+)="([^"]*)"', rest):
                values.setdefault(label, set()).add(value)
    return found


@cache
def rules() -> list[dict[str, Any]]:
    """The alerts."""
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


@cache
def panels() -> list[dict[str, Any]]:
    """The dashboard's panels, without the headings of its rows."""
    found = json.loads(DASHBOARD.read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def expressions() -> list[str]:
    """Every expression in PromQL, as Prometheus gets it."""
    shown = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [rule["expr"] for rule in rules()] + [
        each.replace("$__rate_interval", "1m").replace("$instance", ".*") for each in shown
    ]


def selectors(expression: str) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """The names in an expression that are series, each with its matchers."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    for name in re.findall(r"\b(?:simopen|process)_\w+|\bup\b", bare):
        for matchers in re.findall(rf"\b{name}\b(?:{{(.*?)}})?", expression):
            yield name, re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', matchers)


def test_selectors_are_found() -> None:
    """Names with and without matchers, and their matchers."""
    expression = 'up{job="a"} == 0 and rate(process_x{b=~"c|d", e!="f"}[5m]) > simopen_y'
    assert list(selectors(expression)) == [
        ("up", [("job", "=", "a")]),
        ("process_x", [("b", "=~", "c|d"), ("e", "!=", "f")]),
        ("simopen_y", []),
    ]


@pytest.mark.parametrize("expression", expressions())
def test_every_expression_names_what_there_is(expression: str) -> None:
    """Each series is exported, each label is one of its own, and has each value asked for."""
    found = list(selectors(expression))
    assert found
    for name, matchers in found:
        assert name in series() or name == "up"
        values = series().get(name, {}) | TARGET
        for label, operator, value in matchers:
            asked = value.split("|") if operator in ("=~", "!~") else [value]
            assert set(asked) <= values[label]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    """A severity, a summary that names the instance, a description, and a row on the page."""
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert "{{ $labels.instance }}" in rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    assert f"| `{rule['alert']}` |" in (ROOT / "docs" / "operating.md").read_text()


def test_the_page_has_no_other_alerts() -> None:
    """An alert that is gone is gone from the page."""
    page = (ROOT / "docs" / "operating.md").read_text()
    assert set(re.findall(r"`(Simopen\w+)`", page)) == {rule["alert"] for rule in rules()}


def test_the_scrape_has_the_job_that_the_alerts_look_for() -> None:
    """Prometheus' own file goes with the rules."""
    scrape = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    assert [job["job_name"] for job in scrape["scrape_configs"]] == sorted(TARGET["job"])
    assert scrape["rule_files"] == [ALERTS.name]


def test_the_dashboard_can_be_provisioned() -> None:
    """It names no data source and no id of the Grafana that it was drawn in."""
    dashboard = json.loads(DASHBOARD.read_text())
    assert "id" not in dashboard
    assert dashboard["uid"]
    variables = {each["name"] for each in dashboard["templating"]["list"]}
    asked = set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text()))
    assert asked - {"__rate_interval"} == variables
    for panel in panels():
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_the_dashboards_panels_have_a_place_each() -> None:
    """Every id once, none wider than the page, none over another."""
    everything = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    places = [panel["gridPos"] for panel in everything]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        assert (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )


def test_the_dashboards_targets_are_told_apart() -> None:
    """Each target of a panel has a letter of its own and a legend."""
    for panel in panels():
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters) > 0
        assert all(target["legendFormat"] for target in panel["targets"])


def test_every_series_is_on_the_dashboard() -> None:
    """What the coordinator itself counts is shown."""
    shown = DASHBOARD.read_text()
    for name in series():
        if name.startswith("simopen") and not name.endswith(("_created", "_sum", "_bucket")):
            assert name in shown


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
def test_promtool_reads_all_of_it(tmp_path: Path) -> None:
    """Every expression parses, and the alerts come up when they should and not otherwise."""
    every = tmp_path / "every.yml"
    recorded = [{"record": f"e{number}", "expr": each} for number, each in enumerate(expressions())]
    every.write_text(yaml.safe_dump({"groups": [{"name": "every", "rules": recorded}]}))
    tests = ALERTS.with_suffix(".test.yml")
    for verb, path in (("check", every), ("check", ALERTS), ("test", tests)):
        command = ["promtool", verb, "rules", str(path)]
        done = subprocess.run(command, capture_output=True, check=False, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


# -- the log --------------------------------------------------------------------------------------


def test_every_line_of_the_log_is_on_the_page() -> None:
    """The events that the coordinator logs are those of the table."""
    sources = [*(ROOT / "simopen" / "rendezvous").rglob("*.py"), COMMAND]
    text = "".join(path.read_text() for path in sources)
    logged = set(re.findall(r'(?:\blog\.[a-z]+|_guarded|_complain)\(\s*"([\w.]+)"', text))
    _, _, section = (ROOT / "docs" / "operating.md").read_text().partition("\n## Logs\n")
    assert set(re.findall(r"`(\w+\.[a-z]+)`", section)) == logged


# -- the unit and the container --------------------------------------------------------------------


def settings(name: str) -> list[str]:
    """What the unit says of one thing."""
    return re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)


def test_the_unit_fits_the_limits() -> None:
    """Files for all connections, and more time to stop than meetings get."""
    assert settings("LimitNOFILE") == [str(files_for(LIMITS.connections))]
    (stop,) = settings("TimeoutStopSec")
    assert int(stop) > LIMITS.drain


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_reads_the_unit(tmp_path: Path) -> None:
    """Nothing in it is unknown, and little is left open."""
    unit = tmp_path / "simopen-coordinator.service"
    unit.write_text(UNIT.replace("/opt/simopen/bin/simopen", "/bin/true"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, check=False, text=True
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=15", unit],
        capture_output=True,
        check=False,
        text=True,
    )
    assert judged.returncode == 0, judged.stdout


@pytest.mark.parametrize(
    "text",
    [UNIT, (DEPLOY / "Containerfile").read_text(), (DEPLOY / "haproxy.cfg").read_text()],
    ids=["unit", "container", "haproxy"],
)
def test_the_options_exist(text: str) -> None:
    """Every option of the coordinator's that a file gives it is one."""
    known = {
        name for each in app["coordinator"].assemble_argument_collection() for name in each.names
    }
    words = re.findall(r"(?:OPTIONS=|simopen coordinator |simopen-coordinator )(--.*)", text)
    assert words
    for line in words:
        assert set(re.findall(r"--[a-z-]+", line)) <= known


def test_the_container_is_nobody() -> None:
    """It runs as a user with a number, which is not root's, and copies what it needs alone."""
    text = (DEPLOY / "Containerfile").read_text()
    (user,) = re.findall(r"^USER (\d+):(\d+)$", text, re.MULTILINE)
    assert "0" not in user
    for source in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in source.split())

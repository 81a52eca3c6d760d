"""Topologies from files: those that come with the package, and users' own."""

from __future__ import annotations

from pathlib import Path

import pytest

from simopen.lab import Link, Nat, PortAllocation, Topology, TopologyError, built_in, load
from simopen.lab._planning import plan

TOPOLOGY = """
summary = "a test"
seed = 7

[[sites]]
name = "home"
hosts = ["alice", { name = "laptop", link = { loss = 0.1 } }]
gateway = { kind = "nat", ports = "random" }
link = { latency = 0.01 }

[[sites.sites]]
name = "shed"
hosts = ["bob"]
gateway = "home-router"
"""


@pytest.mark.parametrize("name", built_in())
def test_built_in_topologies_can_be_planned(name: str) -> None:
    """Each has a summary, hosts, and gateways that exist."""
    topology = load(name)
    assert topology.summary
    assert len(list(plan(topology).hosts())) >= 2


def test_a_users_own_file(tmp_path: Path) -> None:
    """A file says what the declarations say."""
    path = tmp_path / "mine.toml"
    path.write_text(TOPOLOGY)
    topology = load(path)
    assert isinstance(topology, Topology)
    (home,) = topology.sites
    assert home.gateway == Nat(ports=PortAllocation.RANDOM)
    assert home.link == Link(latency=0.01)
    assert [host.link.loss for host in home.host_specs()] == [0, 0.1]
    assert [site.name for site in topology.walk()] == ["home", "shed"]
    assert load(str(path)) == topology


def test_an_unknown_name_lists_the_known() -> None:
    """Whoever mistypes sees what there is."""
    with pytest.raises(TopologyError, match="two-homes"):
        load("three-homes")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A wrong path is an ordinary OSError."""
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("latency", "latentcy", r"unknown field `latentcy`.*\$\.sites\[0\]\.link"),
        ("0.01", "-1", r"latency is a number of seconds.*\$\.sites\[0\]"),
        ('"random"', '"none"', r"Invalid enum value 'none'.*\$\.sites\[0\]\.gateway\.ports"),
        ('"nat"', '"box"', r"Invalid value 'box'"),
        ("seed = 7", "seed = 'x'", r"Expected `int`, got `str`"),
        ("seed = 7", "seed = ", "Invalid value"),
        ('"bob"', '"alice"', "called 'alice'"),
        pytest.param("seed = 7", "seed = " + "[" * 3000, "recursion", id="nesting"),
        pytest.param("seed = 7", "seed = " + "7" * 5000, "4300 digits", id="digits"),
    ],
)
def test_a_wrong_file_is_told_where(tmp_path: Path, before: str, after: str, words: str) -> None:
    """The error names the file, the place in it, and what is wrong there."""
    path = tmp_path / "mine.toml"
    path.write_text(TOPOLOGY.replace(before, after))
    with pytest.raises(TopologyError, match=f"mine.toml: .*{words}"):
        load(path)

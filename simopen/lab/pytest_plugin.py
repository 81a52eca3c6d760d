"""A pytest plugin: a test's own internet, as fixtures. Loaded by itself where simopen is installed.

    async def test_my_program(lab_pair):
        a, b = lab_pair.a, lab_pair.b
        ...  # runs once for each pair of NATs

- `require_lab`: skips the test where no lab can be had, and fails it there with `--lab-required`
  or SIMOPEN_REQUIRE_LAB=1, which is what a CI wants.
- `lab_network`: call it with a topology (or its sites, name or file) to have that network until
  the test ends.
- `lab_pair`: two hosts behind gateways of their own and a public server, once for each pair of
  `DEFAULT_GATEWAYS`, or of those in `@pytest.mark.lab_pairs("home-router", "symmetric", ...)`.

The fixtures are ordinary ones, for plain tests and for those of any event loop. Each network is
recorded; where a test fails, its report has the path of the capture and the first conversation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from simopen.capture import ladder, pcapng, picture
from simopen.lab._available import why_unavailable
from simopen.lab._host import Host
from simopen.lab._network import Network, network
from simopen.lab.topology import Declared, Link, Site

DEFAULT_GATEWAYS = ("open", "home-router", "home-router-rst", "carrier-grade", "symmetric")
"""Presets whose pairs `lab_pair` goes through when a test names none."""

DEFAULT_LATENCY_S = 0.010
"""One-way latency of each site's link."""

_REQUIRED = "SIMOPEN_REQUIRE_LAB"
_MARK = "lab_pairs"
_PAIR = "lab_pair_gateways"
_MAX_STEPS = 40  # of a conversation in a report

MakeNetwork: TypeAlias = Callable[..., Network]
_running: pytest.StashKey[list[Network]] = pytest.StashKey()


@dataclass(frozen=True)
class LabPair:
    """Two hosts that are to reach each other.

    Attributes:
        network: The network they are in.
        a: A host behind the first gateway.
        b: A host behind the second.
        server: A host on a public address.
        gateways: Names of the two presets.
    """

    network: Network
    a: Host
    b: Host
    server: Host
    gateways: tuple[str, str]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--lab-required`."""
    parser.getgroup("simopen lab").addoption(
        "--lab-required",
        action="store_true",
        help=f"fail, not skip, where no lab can be had (likewise {_REQUIRED}=1)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        f"{_MARK}(*presets, latency={DEFAULT_LATENCY_S}): presets whose pairs lab_pair has",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with `lab_pair` once for each pair."""
    if _PAIR not in metafunc.fixturenames:
        return
    mark = metafunc.definition.get_closest_marker(_MARK)
    presets: Sequence[str] = (mark and mark.args) or DEFAULT_GATEWAYS
    pairs = list(combinations_with_replacement(presets, 2))
    metafunc.parametrize(_PAIR, pairs, ids=["~".join(pair) for pair in pairs])


@pytest.fixture(scope="session")
def require_lab(pytestconfig: pytest.Config) -> None:
    """Skip where no lab can be had, or fail if it is required."""
    if (reason := why_unavailable()) is None:
        return
    if pytestconfig.getoption("--lab-required") or os.environ.get(_REQUIRED) == "1":
        pytest.fail(f"a lab is required here: {reason}")
    pytest.skip(f"no lab here: {reason}")


@pytest.fixture
def lab_network(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeNetwork]:
    """A function that starts a network, which is up until the test has ended.

    It takes a topology, or its sites, or the name of one that comes with simopen, or a TOML file;
    and `seed`. Its capture is in the test's `tmp_path`.
    """
    request.getfixturevalue("require_lab")
    running = request.node.stash.setdefault(_running, [])
    with ExitStack() as stack:

        def start(
            declared: Declared | str | os.PathLike[str], *, seed: int | None = None
        ) -> Network:
            capture = tmp_path / f"network-{len(running) + 1}.pcapng"
            net = stack.enter_context(network(declared, seed=seed, capture=capture))
            running.append(net)
            return net

        yield start


@pytest.fixture
def lab_pair(
    request: pytest.FixtureRequest, lab_network: MakeNetwork, lab_pair_gateways: tuple[str, str]
) -> LabPair:
    """Two hosts behind gateways, and a public server."""
    mark = request.node.get_closest_marker(_MARK)
    latency = mark.kwargs.get("latency", DEFAULT_LATENCY_S) if mark else DEFAULT_LATENCY_S
    link = Link(latency=latency)
    sites = [
        Site(f"site-{name}", hosts=[name], gateway=gateway, link=link)
        for name, gateway in zip("ab", lab_pair_gateways, strict=True)
    ]
    net = lab_network([*sites, Site("internet", hosts=["server"])])
    return LabPair(net, net["a"], net["b"], net["server"], lab_pair_gateways)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, Any]:
    """Show what happened on the wire of a test that failed."""
    report = yield
    if call.when == "call" and report.failed:
        for net in item.stash.get(_running, []):
            report.sections.append(("simopen lab", _told(net)))
    return report


def _told(net: Network) -> str:
    """Return where a network's capture is, and its first conversation."""
    assert net.capture is not None  # noqa: S101  # all of ours have one
    text = f"everything on the wire is in {net.capture}\n"
    steps = ladder.steps(pcapng.read(net.capture.read_bytes(), growing=True))
    return text + picture.draw(steps[:_MAX_STEPS]) if steps else text + "no TCP was seen on it"

"""The pytest plugin, used as another project would use it."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("require_lab")]

NO_LAB = """
    import pytest
    from simopen.lab import pytest_plugin

    @pytest.fixture(autouse=True, scope="session")
    def nothing_here():
        pytest_plugin.why_unavailable = lambda: "nothing here"
"""


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at home: a lab is not required."""
    monkeypatch.delenv("SIMOPEN_REQUIRE_LAB", raising=False)


def test_a_network_for_a_plain_test(pytester: pytest.Pytester) -> None:
    """A test without an event loop has a network by name or by declaration, recorded."""
    pytester.makepyfile(
        """
        import subprocess
        from simopen import lab

        def test_by_name(lab_network):
            net = lab_network("two-homes", seed=3)
            assert net.topology.seed == 3
            subprocess.run(net["alice"].command(["true"]), check=True)

        def test_by_declaration(lab_network):
            net = lab_network([lab.Site("site", hosts=["x"])])
            assert net.capture.exists()
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=2)


def test_pairs_of_gateways(pytester: pytest.Pytester) -> None:
    """A test with a pair runs once for each unordered pair of the presets it names."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.anyio
        @pytest.mark.lab_pairs("open", "symmetric", latency=0.0)
        async def test_pair(lab_pair):
            await lab_pair.a.run(["true"])
            assert lab_pair.server.public_ipv4 == "203.0.113.3"

        @pytest.fixture
        def anyio_backend():
            return "asyncio"
        """
    )
    result = pytester.runpytest_subprocess("-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        ["*[[]open~open]*", "*[[]open~symmetric]*", "*[[]symmetric~symmetric]*"]
    )


def test_the_default_pairs(pytester: pytest.Pytester) -> None:
    """Without a marker there are the pairs of the default gateways."""
    pytester.makepyfile("def test_pair(lab_pair): pass")
    result = pytester.runpytest_subprocess("--collect-only", "-q")
    result.stdout.fnmatch_lines(["*home-router~symmetric*", "15 tests collected*"])


def test_a_failure_shows_the_wire(pytester: pytest.Pytester) -> None:
    """The report of a failed test has the capture's path and the first conversation."""
    pytester.makepyfile(
        """
        import subprocess, sys
        CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 9))"

        def test_refused(lab_network):
            net = lab_network("two-hosts")
            command = [sys.executable, "-c", CONNECT, net["b"].ipv4]
            subprocess.run(net["a"].command(command), check=True)
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- simopen lab -*", "*network-1.pcapng", "*SYN*", "*RST-ACK*"])


def test_without_a_lab_tests_are_skipped(pytester: pytest.Pytester) -> None:
    """Where no lab can be had the test is skipped, with the reason."""
    pytester.makeconftest(NO_LAB)
    pytester.makepyfile("def test_network(lab_network): pass")
    result = pytester.runpytest_subprocess("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*no lab here: nothing here"])


@pytest.mark.parametrize("how", ["option", "environment"])
def test_a_required_lab_that_is_missing_fails(
    how: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a CI that requires labs the same is a failure."""
    if how == "environment":
        monkeypatch.setenv("SIMOPEN_REQUIRE_LAB", "1")
    pytester.makeconftest(NO_LAB)
    pytester.makepyfile("def test_network(lab_network): pass")
    options = ["--lab-required"] if how == "option" else []
    result = pytester.runpytest_subprocess(*options)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*a lab is required here: nothing here*"])

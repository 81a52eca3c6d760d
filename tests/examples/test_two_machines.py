from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from simopen.lab.pytest_plugin import MakeNetwork
from tests.examples.programs import EXAMPLES, Homes, Running, as_shown

pytestmark = pytest.mark.lab
SCRIPT = str(EXAMPLES / "two_machines.py")


@pytest.fixture
def machines(lab_network: MakeNetwork, tmp_path: Path) -> Iterator[Homes]:
    """The hosts of two homes, and a server on which nothing runs."""
    with ExitStack() as stack:
        yield Homes(lab_network("two-homes"), tmp_path, stack)


def measured(side: Running) -> None:
    """Wait for the end, and see that both figures are as in the header."""
    code, said = side.end()
    assert code == 0, said
    found = said[said.index("waiting for the other machine") :]
    assert len(found.splitlines()) == 4
    assert as_shown("two_machines.py", found), found


def test_the_first_says_what_to_do(machines: Homes) -> None:
    """What the first machine prints is done on the second, and both measure the way."""
    one = machines.start("server", SCRIPT)
    (url,) = one.until(r"two_machines\.py (tcp://\S+)\n").groups()
    (invite,) = one.until(r"\n    (simopen1-\S+)\n").groups()
    two = machines.start("alice", SCRIPT, url)
    two.type(f"{invite}\n")
    measured(one)
    measured(two)


def test_with_a_coordinator_elsewhere(machines: Homes) -> None:
    """Two machines behind routers meet where both can reach a coordinator."""
    machines.serve()
    one = machines.start("alice", SCRIPT, machines.url)
    one.type("\n")
    (invite,) = one.until(r"\n    (simopen1-\S+)\n").groups()
    two = machines.start("bob", SCRIPT, machines.url)
    two.type(f"{invite}\n")
    measured(one)
    measured(two)

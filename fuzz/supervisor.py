"""A lab's processes read each other's lines, or fail with the error of a lab that is not there.

The first byte tells which line it is. A plan that was read is written to a line that reads the
same; a supervisor that writes nonsense has died, as far as its front is concerned.
"""

from __future__ import annotations

from simopen.lab import Site, Topology
from simopen.lab._errors import LabUnavailable
from simopen.lab._plan import Plan
from simopen.lab._planning import plan
from simopen.lab._protocol import Ended, read_ended, read_ready

LONGEST = 512

_READY, _ENDED = 1, 2

SEEDS = (
    b"\0" + plan(Topology(sites=[Site("n", hosts=["a"], gateway="home-router")])).to_json(),
    b"\0" + plan(Topology(sites=[Site("n", hosts=["a", "b"])], seed=7)).to_json(),
    b'\1{"answer":"ready","access":{"a":{"net":"/n","user":null,"tables":["/t","/u"]}}}',
    b'\1{"answer":"unavailable","reason":"no /dev/net/tun"}',
    b"\1",
    b"\1Traceback",
    b'\2{"answer":"ended","traffic":{},"unroutable":1,"refused":0}',
    b"\2",
    b"\2[[[[",
)


def check(data: bytes) -> None:
    """Try some bytes."""
    how, line = data[0] % 3 if data else 0, data[1:]
    if how == _READY:
        try:
            access = read_ready(line, b"words")
        except LabUnavailable:
            return
        assert all(len(each.tables) == 2 for each in access.values())
    elif how == _ENDED:
        assert isinstance(read_ended(line), Ended | None)
    else:
        try:
            found = Plan.from_json(line)
        except ValueError:
            return
        assert Plan.from_json(found.to_json()) == found
        assert len(list(found.walk())) >= len(found.sites)

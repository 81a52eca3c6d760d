"""The table of mappings: found by scope and by external endpoint, gone with the last session."""

from __future__ import annotations

import pytest

from simopen.lab.nat import Filtering
from simopen.lab.wire.headers import TCP, UDP, Flow
from simopen.lab.wire.mappings import Mapping, MappingTable

HOST, OTHER_HOST = b"\xc0\xa8\1\2" + b"\1\0", b"\xc0\xa8\1\3" + b"\1\0"
EXTERNAL = b"\xcb\0\x71\1" + b"\1\0"
REMOTE, OTHER_REMOTE = b"\xc6\x33\x64\1" + b"\0\x50", b"\xc6\x33\x64\2" + b"\0\x50"


def mapping(internal: bytes = HOST, protocol: int = TCP) -> Mapping:
    """Make a mapping to the one external endpoint."""
    return Mapping(protocol, internal, EXTERNAL, scope=internal)


def test_a_mapping_lives_from_its_first_session_to_its_last() -> None:
    """Then nothing of it is left."""
    table, held = MappingTable(), mapping()
    for remote in (REMOTE, REMOTE, OTHER_REMOTE):
        table.hold(held, remote[:-2])
    for remote in (REMOTE, OTHER_REMOTE, REMOTE):
        assert table.find(TCP, HOST) is held
        assert table.is_taken(TCP, EXTERNAL)
        assert (len(table), table.held_by(TCP, HOST[:-2])) == (1, 1)
        table.release(held, remote[:-2])
    assert table.find(TCP, HOST) is None
    assert not table.is_taken(TCP, EXTERNAL)
    assert not any((table._by_scope, table._by_external, table._held))


def test_protocols_have_tables_of_their_own() -> None:
    """What TCP holds is free for UDP."""
    table = MappingTable()
    table.hold(mapping(), REMOTE[:-2])
    assert table.find(UDP, HOST) is None
    assert not table.is_taken(UDP, EXTERNAL)
    assert table.held_by(UDP, HOST[:-2]) == 0


@pytest.mark.parametrize(
    ("filtering", "remote", "admitted"),
    [
        (Filtering.ENDPOINT_INDEPENDENT, OTHER_REMOTE, True),
        (Filtering.ADDRESS_DEPENDENT, OTHER_REMOTE, False),
        (Filtering.ADDRESS_DEPENDENT, REMOTE[:-2] + b"\x11\x11", True),
        (Filtering.ADDRESS_AND_PORT_DEPENDENT, REMOTE[:-2] + b"\x11\x11", False),
    ],
)
def test_a_filter_admits_by_sessions_with_an_address(
    filtering: Filtering,
    remote: bytes,
    admitted: bool,  # noqa: FBT001  # a table's column
) -> None:
    """Anyone; whoever's address has a session; nobody who has none himself."""
    table, held = MappingTable(), mapping()
    assert table.admitting(Flow(TCP, remote, EXTERNAL), filtering) is None
    table.hold(held, REMOTE[:-2])
    assert table.admitting(Flow(TCP, remote, EXTERNAL), filtering) is (held if admitted else None)
    assert table.admitting(Flow(UDP, remote, EXTERNAL), filtering) is None


def test_of_several_on_one_port_the_newest_that_may_admits() -> None:
    """With port overloading the filter is what tells hosts apart."""
    table, old, new = MappingTable(), mapping(), mapping(OTHER_HOST)
    table.hold(old, REMOTE[:-2])
    table.hold(new, OTHER_REMOTE[:-2])
    flow = Flow(TCP, REMOTE, EXTERNAL)
    assert table.admitting(flow, Filtering.ENDPOINT_INDEPENDENT) is new
    assert table.admitting(flow, Filtering.ADDRESS_DEPENDENT) is old

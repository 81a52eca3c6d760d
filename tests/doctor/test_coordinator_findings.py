from __future__ import annotations

from dataclasses import replace

import pytest

from simopen import Endpoint
from simopen.doctor import Mapping, Severity, Trouble, Visit
from simopen.doctor._coordinator_findings import COORDINATOR, NAT, mappings, telling

URL, OTHER = "tcp://198.51.100.1:7337", "tcp://198.51.100.2:7337"
LOCAL = Endpoint("192.168.1.2", 40000)
KEPT, MOVED, MOVED_AGAIN = (Endpoint("203.0.113.7", port) for port in (40000, 1111, 2222))
REACHED = Visit(
    url=URL, remote=Endpoint("198.51.100.1", 7337), local=LOCAL, observed=KEPT, round_trip=0.02
)
FAILED = Visit(url=URL, remote=REACHED.remote, trouble=Trouble.UNREACHABLE, reason="no answer")


def of(*observed: Endpoint, by_port: bool = False, is_own: bool = False) -> Mapping:
    """A mapping that was seen so."""
    return Mapping(version=4, local=LOCAL, observed=observed, by_port=by_port, is_own=is_own)


MAPPINGS: list[tuple[Mapping, dict[str, Severity]]] = [
    (of(LOCAL, LOCAL, is_own=True), {"nat-none": Severity.FINE}),
    (of(LOCAL, is_own=True), {"nat-none": Severity.FINE}),
    (of(KEPT, KEPT), {"nat-keeps-port": Severity.FINE}),
    (of(MOVED, MOVED), {"nat-moves-port": Severity.NOTE}),
    (of(KEPT, MOVED), {"nat-varies": Severity.HINDERS}),
    (of(MOVED, MOVED_AGAIN, by_port=True), {"nat-varies": Severity.HINDERS}),
    (of(KEPT), {"nat-keeps-port": Severity.FINE, "nat-one-view": Severity.NOTE}),
    (of(MOVED), {"nat-moves-port": Severity.NOTE, "nat-one-view": Severity.NOTE}),
]


@pytest.mark.parametrize(("mapping", "expected"), MAPPINGS)
def test_what_a_mapping_means(mapping: Mapping, expected: dict[str, Severity]) -> None:
    """No NAT, a kept port, a moved one, or another for each destination."""
    assert {each.code: each.severity for each in NAT.judge(mapping)} == expected


@pytest.mark.parametrize("trouble", [None, *Trouble])
def test_what_a_visit_means(trouble: Trouble | None) -> None:
    """Every trouble hinders, and is a finding of its own."""
    visit = replace(FAILED, trouble=trouble) if trouble else REACHED
    (finding,) = COORDINATOR.judge(visit)
    assert finding.severity is (Severity.HINDERS if trouble else Severity.FINE)
    assert finding.code == {
        None: "coordinator",
        Trouble.REFUSED: "coordinator-refuses",
    }.get(trouble, f"coordinator-{trouble.value if trouble else ''}")


def test_every_row_can_be_found() -> None:
    """No line of either table is dead."""
    assert len(COORDINATOR.rows) == 1 + len(Trouble)
    assert {code for _, found in MAPPINGS for code in found} == {row.code for row in NAT.rows}


def test_mappings_are_laid_side_by_side() -> None:
    """All that coordinators and their probe ports saw, by family."""
    v6 = Endpoint("2001:db8::7", 40000)
    one = replace(REACHED, probed=(KEPT,))
    two = replace(REACHED, url=OTHER, observed=MOVED)
    three = replace(REACHED, url=OTHER, local=v6, observed=v6)
    assert mappings([one, FAILED, two, three], [LOCAL.host, v6.host]) == [
        of(KEPT, KEPT, MOVED),
        Mapping(version=6, local=v6, observed=(v6,), is_own=True),
    ]
    assert mappings([replace(one, probed=(MOVED,))], []) == [of(KEPT, MOVED, by_port=True)]


def test_a_family_that_leads_nowhere_is_not_told_where_the_other_works() -> None:
    """Many hosts have an IPv6 address of a name and no way there."""
    elsewhere = replace(FAILED, url=OTHER)
    assert telling([FAILED, REACHED, elsewhere]) == [REACHED, elsewhere]
    wrong = replace(FAILED, trouble=Trouble.CERTIFICATE)
    assert telling([wrong, REACHED]) == [wrong, REACHED]

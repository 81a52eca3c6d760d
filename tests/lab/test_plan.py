"""The plan on its way to the supervisor."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simopen.lab._plan import HostPlan, Plan

_HOSTS = st.lists(st.builds(HostPlan), max_size=3).map(tuple)
_PLANS = st.builds(Plan, hosts=_HOSTS, capture=st.none() | st.text())


@given(_PLANS)
def test_a_plan_survives_the_journey_on_one_line(plan: Plan) -> None:
    """Whatever is in it, it is one line and comes back equal."""
    line = plan.to_json()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert Plan.from_json(line) == plan

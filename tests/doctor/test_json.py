from __future__ import annotations

import pytest

from simopen import Endpoint
from simopen.doctor import Answer, Knock, PortRange
from simopen.doctor._json import to_json


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, None),
        (1.5, 1.5),
        ("x", "x"),
        (Endpoint("2001:db8::1", 7), "[2001:db8::1]:7"),
        (Answer.RESET, "reset"),
        (frozenset({"b", "a"}), ["a", "b"]),
        ((PortRange(1, 2),), [{"first": 1, "last": 2}]),
        (
            Knock(answer=Answer.OPEN, after=0.1),
            {"answer": "open", "after": 0.1, "reason": "", "icmp": None},
        ),
    ],
)
def test_a_value_as_json_has_it(value: object, told: object) -> None:
    """Endpoints as text, values with fields as objects, the rest as it is."""
    assert to_json(value) == told

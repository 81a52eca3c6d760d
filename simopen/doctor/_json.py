"""Facts and findings as JSON has them. Pure."""

from __future__ import annotations

import enum
from dataclasses import fields, is_dataclass

from simopen._endpoints import Endpoint


def to_json(value: object) -> object:
    """A value of :mod:`._facts` or a finding: endpoints as text, the rest by its fields."""
    if isinstance(value, Endpoint):
        return str(value)
    if isinstance(value, enum.Enum):
        return value.value
    if is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [to_json(each) for each in value]
    return value

"""Values that every request makes, some of them with dozens of fields.

A frozen dataclass sets each field through ``object.__setattr__``, which took eight times as long
as the assignments of an ordinary one, and a twentieth of the time of a request. So these are
frozen for the type checker alone: nothing assigns to their fields.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

Made = TypeVar("Made")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[Made]) -> type[Made]:
    """Make ``cls`` a dataclass with slots, a hash, and fields that nobody assigns to."""
    return dataclass(slots=True, unsafe_hash=True)(cls)


def changed(value: Made, **changes: Any) -> Made:
    """Return a copy of a dataclass's ``value`` with other fields.

    It does what :func:`dataclasses.replace` does, in a third of the time: that looks at each
    field in Python. Raises ``TypeError`` for a field that the class does not have.
    """
    cls: Any = type(value)
    names, values_of = _fields_of(cls)
    made: Made = cls(**{**dict(zip(names, values_of(value), strict=True)), **changes})
    return made


@cache
def _fields_of(cls: type) -> tuple[list[str], Callable[[Any], tuple[Any, ...]]]:
    names = [known.name for known in fields(cls) if known.init]
    assert len(names) > 1  # for which ``attrgetter`` returns a tuple
    return names, attrgetter(*names)

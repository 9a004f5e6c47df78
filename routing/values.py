"""Values that every decision makes, some of them with dozens of fields.

A frozen dataclass sets each field through ``object.__setattr__``, which takes eight times as long
as the assignments of an ordinary one. So these are frozen for the type checker alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

Made = TypeVar("Made")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[Made]) -> type[Made]:
    """Make ``cls`` a dataclass with slots, a hash, and fields that nobody assigns to."""
    return dataclass(slots=True, unsafe_hash=True)(cls)

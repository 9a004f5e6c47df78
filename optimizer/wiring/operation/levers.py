"""Levers as operators change them while the service runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError

from analytics.access.audit import Actor
from analytics.levers import lever_save, levers_load
from analytics.models import Lever
from optimizer.domain.levers import LEVERS
from optimizer.gateway.levers.option_check import lever_options_check
from optimizer.policies.levers import ActiveLevers
from optimizer.wiring.operation.errors import SetElsewhere, UnknownTarget


def lever_rows(levers: ActiveLevers) -> list[Lever]:
    """Return a row for each lever; that of one that nobody has set is not stored."""
    levers.refresh()
    stored = {row.name: row for row in levers_load()}
    return [stored.get(name) or Lever(name=name, mode=levers.states[name].mode) for name in LEVERS]


def lever_find(levers: ActiveLevers, name: str) -> Lever:
    """Return the row of one lever, as :func:`lever_rows` does. Raises :class:`UnknownTarget`."""
    row = next((row for row in lever_rows(levers) if row.name == name), None)
    if row is None:
        raise UnknownTarget(f"There is no lever {name!r}.")
    return row


def lever_locked(levers: ActiveLevers, name: str) -> Lever:
    """Return the row of one lever, locked until the transaction ends.

    Raises :class:`UnknownTarget`.
    """
    if name not in LEVERS:
        raise UnknownTarget(f"There is no lever {name!r}.")
    row = Lever.objects.select_for_update().filter(pk=name).first()
    return row or Lever(name=name, mode=levers.states[name].mode)


def lever_change(
    levers: ActiveLevers, row: Lever, fields: Mapping[str, Any], *, who: Actor
) -> None:
    """Give a lever new values of its fields. Refresh ``levers`` once they are committed.

    Raises :class:`SetElsewhere` for a mode that the environment sets, and ``ValidationError``.
    """
    name = row.name
    if levers.states[name].fixed and fields.get("mode", row.mode) != levers.mode(name):
        raise SetElsewhere(f"The environment sets the mode of {name}, and wins.")
    try:
        lever_options_check(name, fields.get("options", row.options))
    except ValueError as error:
        raise ValidationError({"options": str(error)}) from None
    for field, value in fields.items():
        setattr(row, field, value)
    lever_save(row, who=who.name)

"""Levers as operators set them: loaded for requests, and saved with a record of each change."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from analytics.models import Lever, LeverChange

_RECORDED = ("mode", "control_share", "options", "harm_budget", "ramping", "stop_reason")
HARM_BUDGET = Lever._meta.get_field("harm_budget").get_default()
"""Answers that a lever may spoil where nobody has set another number."""


def levers_load() -> list[Lever]:
    """Return the levers that somebody has set."""
    return list(Lever.objects.all())


def lever_save(row: Lever, *, who: str) -> None:
    """Save ``row`` and record the change.

    Switching a lever on again forgets why it was stopped, and what harm it did before. Raises
    :class:`django.core.exceptions.ValidationError` if a field is wrong.
    """
    if row.mode != Lever.Mode.OFF:
        row.stopped_at, row.stop_reason = None, ""
    row.clean_fields()
    row.clean()
    with transaction.atomic():
        before = Lever.objects.select_for_update().filter(pk=row.pk).first()
        if row.mode != Lever.Mode.OFF and (before is None or before.mode == Lever.Mode.OFF):
            row.started_at = timezone.now()
        _save(row, before, who)


def lever_stop(name: str, reason: str, *, who: str, at: datetime | None = None) -> bool:
    """Switch a lever off because it does harm; return whether it was in use.

    It stays off until somebody switches it on again, even if the environment says otherwise.
    """
    with transaction.atomic():
        row = Lever.objects.select_for_update().filter(pk=name).first()
        if row is not None and row.stopped_at is not None:
            return False
        before = None if row is None else Lever(**_fields(row))
        row = row or Lever(name=name)
        row.mode, row.stopped_at, row.stop_reason = Lever.Mode.OFF, at or timezone.now(), reason
        _save(row, before, who)
    return True


def ramp_end(name: str, *, who: str) -> None:
    """Let a lever act on all but its usual control, as harm beyond its budget is ruled out."""
    with transaction.atomic():
        row = Lever.objects.select_for_update().filter(pk=name, ramping=True).first()
        if row is not None:
            before = Lever(**_fields(row))
            row.ramping = False
            _save(row, before, who)


def lever_changes(name: str = "", most: int = 20) -> list[LeverChange]:
    """Return the latest changes of one lever, or of all."""
    changes = LeverChange.objects.order_by("-at")
    return list((changes.filter(lever=name) if name else changes)[:most])


def _save(row: Lever, before: Lever | None, who: str) -> None:
    row.changed_at = timezone.now()
    row.save()
    old, new = _recorded(before), _recorded(row)
    if old != new:
        LeverChange.objects.create(lever=row.name, who=who, before=old, after=new)


def _fields(row: Lever) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in Lever._meta.concrete_fields}


def _recorded(row: Lever | None) -> dict[str, Any] | None:
    if row is None:
        return None
    values = {name: getattr(row, name) for name in _RECORDED}
    return {name: value for name, value in values.items() if value not in (None, "", {}, False)}

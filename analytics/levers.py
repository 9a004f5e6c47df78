"""Levers as operators set them: loaded for requests, and saved with a record of each change."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from analytics.models import Lever, LeverChange

_RECORDED = ("mode", "control_share", "options", "harm_budget", "stop_reason")


def levers_load() -> list[Lever]:
    """Return the levers that somebody has set."""
    return list(Lever.objects.all())


def lever_save(row: Lever, *, who: str) -> None:
    """Save ``row`` and record the change.

    Switching a lever on again forgets why it was stopped. Raises
    :class:`django.core.exceptions.ValidationError` if a field is wrong.
    """
    if row.mode != Lever.Mode.OFF:
        row.stopped_at, row.stop_reason = None, ""
    row.clean_fields()
    with transaction.atomic():
        before = Lever.objects.select_for_update().filter(pk=row.pk).first()
        _save(row, before, who)


def lever_stop(name: str, reason: str, *, who: str, at: datetime | None = None) -> bool:
    """Switch a lever off because it does harm; return whether it was in use."""
    with transaction.atomic():
        row = Lever.objects.select_for_update().filter(pk=name).first()
        if row is not None and row.mode == Lever.Mode.OFF:
            return False
        before = None if row is None else Lever(**_fields(row))
        row = row or Lever(name=name)
        row.mode, row.stopped_at, row.stop_reason = Lever.Mode.OFF, at or timezone.now(), reason
        _save(row, before, who)
    return True


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
    return {name: value for name, value in values.items() if value not in (None, "", {})}

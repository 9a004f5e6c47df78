"""What operators have set of models: stored, removed, and loaded for routing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from analytics.access.audit import Actor, audit_added, audit_changed, audit_removed, differences
from analytics.access.versioned_rows import version_of_small
from analytics.database.locking import one_at_a_time
from analytics.models import ModelEntry
from routing.models import ModelRef

ENTRY_FIELDS = (
    "kind", "tier", "context_window", "max_output", "capabilities", "lacks", "aliases", "able_as",
    "note",
)  # fmt: skip
_EMPTY: Mapping[str, Any] = {
    name: None
    if name in ("context_window", "max_output", "capabilities", "lacks", "aliases")
    else ""
    for name in ENTRY_FIELDS
}


def model_entry_save(
    ref: ModelRef, fields: Mapping[str, Any], *, who: Actor, is_new: bool = False
) -> ModelEntry | None:
    """Set some fields of a model, which must have been checked; ``None`` and "" unset them.

    Return the row; an entry that sets nothing any more is deleted, and ``None`` returned. Raises
    ``ValidationError`` if the model ``is_new`` and somebody has just added it.
    """
    with transaction.atomic():
        one_at_a_time("model_entries")
        row = model_entry(ref)
        if is_new and row is not None and row.context_window is not None:
            raise ValidationError({"model": f"There is a model {ref} already. Change that one."})
        before = _shown(row)
        entry = row or ModelEntry(provider=ref.provider, model=ref.model)
        for name, value in fields.items():
            setattr(entry, name, _EMPTY[name] if value is None else value)
        after = _shown(entry)
        if before == after:
            return row
        words = differences(before, after)
        if after == _EMPTY:
            audit_removed(entry, words, who=who)
            entry.delete()
            return None
        entry.full_clean()
        entry.changed_at = timezone.now()
        entry.save()
        (audit_added if row is None else audit_changed)(entry, words, who=who)
    return entry


def model_entry_remove(ref: ModelRef, *, who: Actor) -> bool:
    """Delete what is set of a model; return whether anything was."""
    with transaction.atomic():
        one_at_a_time("model_entries")
        row = model_entry(ref)
        if row is None:
            return False
        audit_removed(row, differences(_shown(row), _EMPTY), who=who)
        row.delete()
    return True


def model_entry(ref: ModelRef) -> ModelEntry | None:
    """Return what operators have set of a model, ``None`` if nothing."""
    return ModelEntry.objects.filter(provider=ref.provider, model=ref.model).first()


def model_entries_load() -> list[ModelEntry]:
    """Return what operators have set, in the order in which they began to."""
    return list(ModelEntry.objects.order_by("pk"))


def model_entries_version() -> object:
    """Return a version that differs after every change."""
    return version_of_small(ModelEntry)


def _shown(row: ModelEntry | None) -> dict[str, Any]:
    return dict(_EMPTY) if row is None else {name: getattr(row, name) for name in ENTRY_FIELDS}

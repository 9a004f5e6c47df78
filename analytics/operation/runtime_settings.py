"""Settings that operators have changed while the service runs."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction
from django.utils import timezone

from analytics.access.audit import Actor, audit_changed
from analytics.access.versioned_rows import version_of_small
from analytics.database.locking import one_at_a_time
from analytics.models import RuntimeSetting


def runtime_settings_change(changes: Mapping[str, str | None], *, who: Actor) -> list[str]:
    """Store the new values, all or none; ``None`` returns a setting to its default.

    Return the names of those that changed. The values must have been checked.
    """
    changed = []
    with transaction.atomic():
        one_at_a_time("runtime_settings")
        rows = RuntimeSetting.objects.in_bulk(list(changes))
        for name, value in changes.items():
            row = rows.get(name)
            before = None if row is None else row.value
            if before == value:
                continue
            words = f"{name}: {_words(before)} → {_words(value)}"
            audit_changed(row or RuntimeSetting(name=name), words, who=who)
            if value is None:
                RuntimeSetting.objects.filter(pk=name).delete()
            else:
                new = {"value": value, "changed_at": timezone.now()}
                RuntimeSetting.objects.update_or_create(name=name, defaults=new)
            changed.append(name)
    return changed


def runtime_settings_stored() -> dict[str, str]:
    """Return the values that operators have set, by name."""
    return dict(RuntimeSetting.objects.values_list("name", "value"))


def runtime_settings_version() -> object:
    """Return a version that differs after every change."""
    return version_of_small(RuntimeSetting)


def _words(value: str | None) -> str:
    return "default" if value is None else repr(value)

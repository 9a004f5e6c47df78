"""Which models operators have switched off."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from analytics.access.audit import Actor, audit_changed
from analytics.access.versioned_rows import version_of_small
from analytics.models import ModelSwitch
from routing.models import ModelRef


def model_switch(ref: ModelRef, *, off: bool, who: Actor) -> bool:
    """Switch a model off or on again; return whether that changes anything."""
    with transaction.atomic():
        row, _created = ModelSwitch.objects.select_for_update().get_or_create(
            provider=ref.provider, model=ref.model, defaults={"off": False}
        )
        if row.off == off:
            return False
        row.off, row.changed_at = off, timezone.now()
        row.save()
        audit_changed(row, "on → off" if off else "off → on", who=who)
    return True


def models_off() -> frozenset[ModelRef]:
    """Return the models that are switched off."""
    rows = ModelSwitch.objects.filter(off=True).values_list("provider", "model")
    return frozenset(ModelRef(provider, model) for provider, model in rows)


def model_switches_version() -> object:
    """Return a version that differs after every switch."""
    return version_of_small(ModelSwitch)

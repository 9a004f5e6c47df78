"""Whose the batches, files, responses and conversations are that providers keep."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.utils import timezone

from analytics.models import ProviderObject

# Batches end within a day, and their results are kept for about a month.
_GIVEN_UP_AFTER = timedelta(days=30)


def object_find(kind: str, object_id: str, tenant: str | None) -> ProviderObject | None:
    """Return the object; ``tenant`` may see its own only, ``None`` sees all."""
    rows = ProviderObject.objects.filter(kind=kind, object_id=object_id)
    if tenant is not None:
        rows = rows.filter(tenant=tenant)
    return rows.first()


def objects_of(kind: str, ids: Iterable[str], tenant: str) -> set[str]:
    """Return which of ``ids`` are objects of the tenant."""
    rows = ProviderObject.objects.filter(kind=kind, object_id__in=list(ids), tenant=tenant)
    return set(rows.values_list("object_id", flat=True))


def objects_count(kind: str, provider: str, tenant: str) -> int:
    """Return how many objects the tenant has at the provider."""
    return ProviderObject.objects.filter(kind=kind, provider=provider, tenant=tenant).count()


def objects_remember(objects: Iterable[ProviderObject]) -> None:
    """Write the objects; one that is known already stays as it is."""
    ProviderObject.objects.bulk_create(objects, ignore_conflicts=True)


def object_forget(kind: str, provider: str, object_id: str) -> None:
    """Forget an object that its provider has deleted."""
    ProviderObject.objects.filter(kind=kind, provider=provider, object_id=object_id).delete()


def objects_to_check(limit: int, every: timedelta) -> list[ProviderObject]:
    """Return objects whose costs are not known yet, and have not been checked for ``every``.

    Each is returned to one caller only, until it is due again.
    """
    now = timezone.now()
    due = ProviderObject.objects.filter(
        recorded=False, checked_at__lt=now - every, created_at__gt=now - _GIVEN_UP_AFTER
    ).order_by("checked_at")
    return [row for row in due[:limit] if _taken(row, now)]


def _taken(row: ProviderObject, now: datetime) -> bool:
    same = ProviderObject.objects.filter(pk=row.pk, checked_at=row.checked_at, recorded=False)
    return bool(same.update(checked_at=now))

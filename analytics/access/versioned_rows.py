"""Tables that every worker follows: what changes in them is heard of within a second.

Their rows have ``changed_at``, which moves with every change.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import Count, Max
from django.utils import timezone

from analytics.models import ApiKey, Budget, PriceOverride

Followed = ApiKey | Budget | PriceOverride


def version_of(table: type[Followed]) -> tuple[datetime | None, int]:
    """Changes whenever a row does; costs the same however many there are."""
    found = table._default_manager.aggregate(latest=Max("changed_at"), count=Count("pk"))
    return found["latest"], found["count"]


def save_followed(row: Followed) -> None:
    """Save a change so that every worker hears of it. Raises Django's ``ValidationError``."""
    row.full_clean()
    row.changed_at = timezone.now()
    row.save()

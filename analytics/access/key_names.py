"""Names that an API key may be for."""

from __future__ import annotations

from analytics.models import ApiKey, Developer

_MOST = 20


def user_names(term: str) -> list[str]:
    """Return the names of developers, then of other keys' users, that hold ``term``."""
    people = Developer.objects.filter(name__icontains=term, left_at=None, disabled_at=None)
    names = list(people.order_by("name").values_list("name", flat=True)[:_MOST])
    others = ApiKey.objects.filter(user__icontains=term).exclude(user="").exclude(user__in=names)
    return [*names, *others.order_by("user").values_list("user", flat=True).distinct()][:_MOST]

"""How the parts of conversations were sent, kept for as long as a provider may have them cached."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from django.utils import timezone

from analytics.models import ShortenedPart

KEPT_FOR = timedelta(hours=25)
"""Providers cache prompts for up to 24 hours after their last use.

https://platform.openai.com/docs/guides/prompt-caching#prompt-cache-retention
"""
MOST_PARTS = 2_000
"""Parts of a conversation that are kept; what comes later is sent as it is."""
LONGEST_FORM = 64 * 1024
_RENEWED = KEPT_FOR - timedelta(hours=1)
_DELETED_AT_ONCE = 5_000


def shortened_load(conversation: str) -> Mapping[str, str]:
    """Return the form of each part of a conversation; a use keeps it for as long again."""
    now = timezone.now()
    rows = list(
        ShortenedPart.objects.filter(conversation=conversation, until__gt=now)
        .order_by("id")
        .values_list("part", "form", "until")[:MOST_PARTS]
    )
    if rows and min(until for *_, until in rows) < now + _RENEWED:
        ShortenedPart.objects.filter(conversation=conversation).update(until=now + KEPT_FOR)
    return {part: form for part, form, _ in rows}


def shortened_store(conversation: str, forms: Mapping[str, str]) -> Mapping[str, str]:
    """Write the forms of new parts, and return how they are to be sent.

    Where another worker wrote a part first, its form counts. Forms that are too long are left out.
    """
    until = timezone.now() + KEPT_FOR
    ShortenedPart.objects.bulk_create(
        [
            ShortenedPart(conversation=conversation, part=part, form=form, until=until)
            for part, form in sorted(forms.items())
            if len(form) <= LONGEST_FORM
        ],
        ignore_conflicts=True,
    )
    written = ShortenedPart.objects.filter(conversation=conversation, part__in=list(forms))
    return dict(written.values_list("part", "form"))


def shortened_any() -> bool:
    """Return whether any conversation is still known."""
    return ShortenedPart.objects.filter(until__gt=timezone.now()).exists()


def shortened_expire() -> int:
    """Delete what is not needed any more, and return how many rows were."""
    deleted = 0
    while True:
        old = ShortenedPart.objects.filter(until__lte=timezone.now())
        ids = list(old.order_by("until").values_list("id", flat=True)[:_DELETED_AT_ONCE])
        if not ids:
            return deleted
        deleted += ShortenedPart.objects.filter(id__in=ids).delete()[0]

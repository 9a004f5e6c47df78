"""Responses that this service stores, so that clients can continue from them by reference."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone

from analytics.encryption import UNREADABLE
from analytics.models import StoredResponse

KEPT_FOR = timedelta(days=30)
"""As long as OpenAI keeps responses: https://platform.openai.com/docs/guides/your-data"""


def _visible(tenant: str | None) -> QuerySet[StoredResponse]:
    rows = StoredResponse.objects.filter(expires_at__gt=timezone.now())
    return rows if tenant is None else rows.filter(tenant=tenant)


def response_store(
    response_id: str, tenant: str, previous_id: str, input_items: str, response: str
) -> None:
    """Write a response and its input, both as JSON; it replaces one with the same id."""
    previous = StoredResponse.objects.filter(pk=previous_id).only("root").first()
    now = timezone.now()
    StoredResponse.objects.update_or_create(
        pk=response_id,
        defaults={
            "tenant": tenant,
            "previous_id": previous_id,
            "root": previous.root if previous else response_id,
            "input": input_items,
            "response": response,
            "created_at": now,
            "expires_at": now + KEPT_FOR,
        },
    )


def responses_load(ids: Collection[str], tenant: str | None) -> dict[str, StoredResponse]:
    """Return the responses that are stored, by id; ``tenant`` sees its own, ``None`` sees all."""
    return {row.pk: row for row in _visible(tenant).filter(pk__in=ids) if _is_readable(row)}


def conversation_load(response_id: str, tenant: str | None) -> Sequence[StoredResponse]:
    """Return the responses that led to this one, oldest first, and itself; empty if not stored.

    A conversation of which a part is not stored any more is returned from there on.
    """
    last = _visible(tenant).filter(pk=response_id).first()
    if last is None or not _is_readable(last):
        return ()
    rows = {last.pk: last}
    if last.previous_id:
        rows |= {row.pk: row for row in _visible(tenant).filter(root=last.root)}
    chain = [last]
    while (before := rows.get(chain[-1].previous_id)) and _is_readable(before):
        chain.append(before)
        del rows[before.pk]
    return chain[::-1]


def response_delete(response_id: str, tenant: str | None) -> bool:
    """Delete a response; return whether it was stored."""
    return bool(_visible(tenant).filter(pk=response_id).delete()[0])


def _is_readable(row: StoredResponse) -> bool:
    return UNREADABLE not in (row.input, row.response)

"""Keys that developers make, replace and revoke for themselves, as their template allows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from analytics.access.key_budgets import developer_budget_keep
from analytics.access.keys import (
    OVERLAP,
    KeyRevoked,
    NewKey,
    key_make,
    key_revoke,
    key_rotate,
    keys_valid,
)
from analytics.models import ApiKey, Developer, KeyTemplate
from analytics.models.keys import default_scopes

LABEL_CHARS = 24


class OwnKeyError(ValueError):
    """A developer may not do this with keys now; the message says why."""


def own_keys(developer: Developer) -> list[ApiKey]:
    """Return the developer's keys, valid ones first, then by name."""
    keys = developer.keys.select_related("team", "project__team", "template")
    now = timezone.now()
    return sorted(keys, key=lambda key: (not is_valid(key, now), key.name))


def is_valid(key: ApiKey, now: datetime) -> bool:
    """Return whether a key is neither revoked nor expired."""
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now)


def keys_left(developer: Developer) -> int:
    """Return how many more keys the template lets the developer make; 0 without one."""
    template = developer.template
    if template is None or not template.usable:
        return 0
    made = keys_valid().filter(developer=developer, template__isnull=False)
    # A key that was replaced and its successor are one.
    return max(0, template.most_keys - made.order_by().values("origin").distinct().count())


@transaction.atomic
def own_key_make(developer: Developer, *, label: str, days: int | None = None) -> NewKey:
    """Make a key for ``developer`` by their template; their budget is opened with it.

    ``days`` is when it expires; the template's days at most. Raises :class:`OwnKeyError`.
    """
    developer = _locked(developer)
    template = _usable_template(developer)
    label = " ".join(label.split())
    if not label or len(label) > LABEL_CHARS or not label.isprintable():
        raise OwnKeyError(f"Give the key a name of 1 to {LABEL_CHARS} characters.")
    if not keys_left(developer):
        raise OwnKeyError(f"You have {template.most_keys} valid keys: revoke one first.")
    developer_budget_keep(developer)
    key = ApiKey(
        name=f"{developer.name}: {label}",
        expires_at=_expiry(template, days),
        scopes=default_scopes(),
        developer=developer,
        **_by_template(developer, template),
    )
    try:
        return key_make(key)
    except ValidationError as error:
        if "name" in error.message_dict:
            raise OwnKeyError("You had a key of this name: choose another one.") from None
        raise OwnKeyError("The template cannot be used: ask an operator.") from None


@transaction.atomic
def own_key_rotate(developer: Developer, pk: int) -> NewKey:
    """Replace one of the developer's keys, which stays valid for a day.

    A key made by a template gets what the template says now. One made by an operator keeps its
    rights and its end. Raises :class:`OwnKeyError`.
    """
    developer = _locked(developer)
    key = _valid_key(developer, pk)
    # Else replacing again and again would make any number of valid keys.
    if keys_valid().filter(origin=key.origin).exclude(pk=key.pk).exists():
        raise OwnKeyError("A key that it replaced is still valid: revoke that one first.")
    if key.template_id is None:
        changes: dict[str, Any] = {"expires_at": key.expires_at}
    else:
        template = _usable_template(developer)
        developer_budget_keep(developer)
        changes = {"expires_at": _expiry(template), **_by_template(developer, template)}
    try:
        return key_rotate(key, OVERLAP, **changes)
    except KeyRevoked as error:
        raise OwnKeyError(str(error)) from None


def own_key_revoke(developer: Developer, pk: int) -> ApiKey:
    """Revoke one of the developer's keys at once. Raises :class:`OwnKeyError`."""
    key = _valid_key(developer, pk)
    key_revoke(key)
    return key


def _locked(developer: Developer) -> Developer:
    """Return the developer as stored now; two requests of theirs come one after the other."""
    row = (
        Developer.objects.select_for_update(of=("self",))
        .select_related("template__team", "template__project__team", "budget")
        .get(pk=developer.pk)
    )
    if not row.active:
        raise OwnKeyError("Your access has ended: ask an operator.")
    return row


def _usable_template(developer: Developer) -> KeyTemplate:
    if developer.template is None:
        raise OwnKeyError("No template is set for you: ask an operator for keys.")
    if not developer.template.usable:
        raise OwnKeyError("Your template allows no new keys any more: ask an operator.")
    return developer.template


def _valid_key(developer: Developer, pk: int) -> ApiKey:
    key = keys_valid().filter(developer=developer, pk=pk).first()
    if key is None:
        raise OwnKeyError("You have no valid key of this id.")
    return key


def _expiry(template: KeyTemplate, days: int | None = None) -> datetime | None:
    if days is not None and days < 1:
        raise OwnKeyError("A key must be valid for at least one day.")
    if template.days is not None and (days is None or days > template.days):
        days = template.days
    try:
        return None if days is None else timezone.now() + timedelta(days=days)
    except OverflowError:
        raise OwnKeyError("That is too many days.") from None


def _by_template(developer: Developer, template: KeyTemplate) -> dict[str, Any]:
    return {
        "user": developer.name,
        "template": template,
        "team": template.team,
        "project": template.project,
        "model_names": template.model_names,
        "requests_per_minute": template.requests_per_minute,
        "tokens_per_minute": template.tokens_per_minute,
        "residency": template.residency,
    }

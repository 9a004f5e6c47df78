"""API keys: create, rotate and revoke them, and load them for authentication."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any

from django.db import transaction
from django.db.models import Count, Max, Q, QuerySet
from django.utils import timezone

from analytics.access.versioned_rows import save_versioned
from analytics.models import ApiKey

_KEY_PREFIX = "aco_"
OVERLAP = timedelta(days=1)
"""How long a key that people replace in the admin or at /me stays valid."""
_SHOWN = 12
"""Characters of the secret that stay readable, to recognise a key by."""
_TEAM = "team:"
_NAME = 100
_INHERITED = (
    "origin", "user", "developer", "template", "team", "project", "scopes", "model_names",
    "addresses", "requests_per_minute", "tokens_per_minute", "concurrent_requests",
    "quality_target", "cost_cap", "auto_route", "strict", "residency",
)  # fmt: skip
"""What a successor has of the key that it replaces."""
_HAPPENS = frozenset({"revoked_at", "last_used_at"})
"""What nobody sets in a form: it happens to a key at any moment."""


class KeyRevoked(ValueError):
    """A key that is revoked cannot be replaced."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new key; its ``secret`` is shown once and stored nowhere."""

    key: ApiKey
    secret: str


def digest_of(secret: str) -> str:
    """Return the SHA-256 digest by which a key is stored and looked up.

    The look-up reveals nothing about other keys.
    """
    return hashlib.sha256(secret.encode()).hexdigest()


def key_make(key: ApiKey) -> NewKey:
    """Give ``key`` its secret and save it. Raises Django's ``ValidationError``."""
    secret = _KEY_PREFIX + secrets.token_urlsafe(32)
    key.prefix, key.digest = secret[:_SHOWN], digest_of(secret)
    key.origin = key.origin or key.prefix
    save_versioned(key)
    return NewKey(key, secret)


def key_revoke(key: ApiKey) -> bool:
    """Revoke ``key`` at once; return whether it was valid until now."""
    now = timezone.now()
    revoked = ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(
        revoked_at=now, changed_at=now
    )
    return bool(revoked)


def key_change(key: ApiKey) -> None:
    """Save what was set on an existing ``key``. Raises Django's ``ValidationError``.

    It leaves alone what happens to a key at any moment: one that is revoked after it was read
    stays revoked.
    """
    columns = [field.name for field in ApiKey._meta.concrete_fields if not field.primary_key]
    save_versioned(key, only=[name for name in columns if name not in _HAPPENS])


@transaction.atomic
def key_rotate(key: ApiKey, overlap: timedelta, **changes: Any) -> NewKey:
    """Create a successor with the same rights; ``key`` stays valid for ``overlap``, renamed.

    The successor does not expire; ``changes`` set other values of its columns. Raises
    :class:`KeyRevoked`.
    """
    # Whoever revokes the key now waits, or has come first: a revoked key has no successor.
    if not ApiKey.objects.select_for_update().filter(pk=key.pk, revoked_at=None).exists():
        raise KeyRevoked("A revoked key has no successor. Create a new key.")
    now = timezone.now()
    name, ends = key.name, now + overlap
    until = f" until {ends:%Y-%m-%d %H:%M} ({key.prefix})"  # no other key is named so
    key.name = f"{name[: _NAME - len(until)]}{until}"
    key.expires_at = min(key.expires_at or ends, ends)
    key_change(key)
    kept = {column: getattr(key, column) for column in _INHERITED}
    return key_make(ApiKey(**{**kept, "name": name, **changes}))


def addresses_beyond(addresses: Sequence[str], own: Sequence[str]) -> list[str]:
    """Return those of ``addresses`` that are not within ``own``; an empty list means all.

    What is no address is left to the check of the key.
    """
    limits = [ip_network(text, strict=False) for text in own]
    beyond = []
    for text in addresses or ("0.0.0.0/0", "::/0"):
        with suppress(ValueError):
            network: Any = ip_network(text, strict=False)
            if limits and not any(
                network.version == limit.version and network.subnet_of(limit) for limit in limits
            ):
                beyond.append(text)
    return beyond


def key_find(secret: str) -> ApiKey | None:
    """Return the valid key with this secret, with its team and project."""
    return keys_valid().filter(digest=digest_of(secret)).first()


def key_problem(secret: str) -> str:
    """Return why no valid key has this secret, for people.

    Only who has the whole secret learns that there was such a key.
    """
    key = ApiKey.objects.filter(digest=digest_of(secret)).first()
    if key is None:
        return "Nobody knows it here: it may be incomplete, or of another service."
    if key.revoked_at is not None:
        return f"It was revoked on {key.revoked_at:%Y-%m-%d}."
    if key.expires_at is not None and key.expires_at <= timezone.now():
        return f"It expired on {key.expires_at:%Y-%m-%d}."
    return "It may not be used from this address."


def keys_valid() -> QuerySet[ApiKey]:
    """Return the keys that are neither revoked nor expired, with their teams and projects."""
    unexpired = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    keys = ApiKey.objects.select_related("team", "project__team")
    return keys.filter(unexpired, revoked_at=None)


NO_KEYS = (None, 0, 0)
"""What :func:`keys_version` returns while there is no key."""


def keys_version() -> tuple[datetime | None, int, int]:
    """Return a version that changes whenever a key changes.

    It counts those that are revoked: where clocks of two machines differ, or two changes overlap,
    the time of a revocation need not be the latest one.
    """
    sums = ApiKey.objects.aggregate(
        latest=Max("changed_at"), keys=Count("pk"), revoked=Count("revoked_at")
    )
    return sums["latest"], sums["keys"], sums["revoked"]


def keys_load() -> list[ApiKey]:
    """Return the keys that are not revoked, with their teams and projects."""
    return list(ApiKey.objects.filter(revoked_at=None).select_related("team", "project__team"))


def keys_used(times: Mapping[int, datetime]) -> None:
    """Store when keys were last used, by key id."""
    for key, at in times.items():
        ApiKey.objects.filter(pk=key).update(last_used_at=at)


def tenant_of(key: ApiKey) -> str:
    """Return the tenant whose cached answers ``key`` shares: its team, or the key alone."""
    team: Any = key.team or (key.project.team if key.project else None)
    return f"{_TEAM}{team.name}" if team else f"key:{key.prefix}"


def tenants_known() -> set[str]:
    """Return the tenants that have a key which is not revoked."""
    return {tenant_of(key) for key in keys_load()}


def team_of(tenant: str) -> str:
    """Return the team's name; empty if the tenant is not a team."""
    return tenant.removeprefix(_TEAM) if tenant.startswith(_TEAM) else ""


def tenant_of_team(team: str) -> str:
    """Return the tenant of the team with this name."""
    return f"{_TEAM}{team}"

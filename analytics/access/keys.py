"""API keys: made, replaced, revoked; and read for those who check them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from analytics.access.versioned_rows import save_followed, version_of
from analytics.models import ApiKey

_MARK = "aco_"
_SHOWN = 12
_TEAM = "team:"


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A new key; ``secret`` is told once and kept nowhere."""

    key: ApiKey
    secret: str


def digest_of(secret: str) -> str:
    """What is kept of a key, and what it is found by: looking it up tells nothing of others."""
    return hashlib.sha256(secret.encode()).hexdigest()


def key_make(key: ApiKey) -> MadeKey:
    """Give ``key`` its secret and save it. Raises Django's ``ValidationError``."""
    secret = _MARK + secrets.token_urlsafe(32)
    key.prefix, key.digest = secret[:_SHOWN], digest_of(secret)
    key.origin = key.origin or key.prefix
    save_followed(key)
    return MadeKey(key, secret)


def key_revoke(key: ApiKey) -> bool:
    """From now on it opens nothing; whether it did until now."""
    now = timezone.now()
    revoked = ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(
        revoked_at=now, changed_at=now
    )
    return bool(revoked)


@transaction.atomic
def key_rotate(key: ApiKey, overlap: timedelta) -> MadeKey:
    """A successor with the same rights; ``key`` goes on for ``overlap``, under another name."""
    now = timezone.now()
    name, ends = key.name, now + overlap
    key.name = f"{name} until {ends:%Y-%m-%d %H:%M:%S}"[:100]
    key.expires_at = min(key.expires_at or ends, ends)
    save_followed(key)
    return key_make(
        ApiKey(
            name=name,
            origin=key.origin,
            user=key.user,
            team=key.team,
            project=key.project,
            scopes=key.scopes,
            model_names=key.model_names,
            addresses=key.addresses,
            requests_per_minute=key.requests_per_minute,
            tokens_per_minute=key.tokens_per_minute,
            concurrent_requests=key.concurrent_requests,
            quality_target=key.quality_target,
            cost_cap=key.cost_cap,
            auto_route=key.auto_route,
        )
    )


def keys_version() -> tuple[datetime | None, int]:
    """Changes whenever a key does."""
    return version_of(ApiKey)


def keys_load() -> list[ApiKey]:
    """Keys that are not revoked, with their teams and projects."""
    return list(ApiKey.objects.filter(revoked_at=None).select_related("team", "project__team"))


def keys_used(times: Mapping[int, datetime]) -> None:
    """When keys were last used, by id."""
    for key, at in times.items():
        ApiKey.objects.filter(pk=key).update(last_used_at=at)


def tenant_of(key: ApiKey) -> str:
    """Whose cached answers it shares: its team's, or its own."""
    team: Any = key.team or (key.project.team if key.project else None)
    return f"{_TEAM}{team.name}" if team else f"key:{key.prefix}"


def team_of(tenant: str) -> str:
    """The team's name, where the tenant is one."""
    return tenant.removeprefix(_TEAM) if tenant.startswith(_TEAM) else ""

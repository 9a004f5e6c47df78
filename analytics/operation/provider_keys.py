"""API keys of providers that operators have set: added, removed, and loaded for calls."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction

from analytics.access.audit import Actor, audit_added, audit_removed
from analytics.access.versioned_rows import version_of_small
from analytics.database.locking import one_at_a_time
from analytics.encryption import UNREADABLE
from analytics.models import ProviderKey

_SHORTEST, _LONGEST = 8, 4096
_SHOWN_FROM = 16
"""Characters that a secret must have for its last four to be shown."""
_MOST_KEYS = 20


def provider_key_add(provider: str, secret: str, *, note: str = "", who: Actor) -> ProviderKey:
    """Store a key of ``provider``; it is used after those that were added before.

    Raises ``ValidationError``, which names the field and never repeats the secret.
    """
    secret = secret.strip()
    problem = _problem(secret)
    if problem:
        raise ValidationError({"secret": problem})
    with transaction.atomic():
        one_at_a_time("provider_keys")
        others = ProviderKey.objects.filter(provider=provider)
        if len(others) >= _MOST_KEYS:
            raise ValidationError({"provider": f"It has {_MOST_KEYS} keys already. Remove one."})
        if any(other.secret == secret for other in others):
            raise ValidationError({"secret": "This key is stored already."})
        last = secret[-4:] if len(secret) >= _SHOWN_FROM else ""
        key = ProviderKey(provider=provider, secret=secret, last_four=last, note=note.strip())
        key.clean_fields(exclude=["last_four"])
        key.save()
        audit_added(key, f"a key of {provider} was stored", who=who)
    return key


def provider_key_remove(key: ProviderKey, *, who: Actor) -> bool:
    """Delete a key: no call that begins from now on uses it. Return whether it was still there."""
    with transaction.atomic():
        removed, _ = ProviderKey.objects.filter(pk=key.pk).delete()
        if removed:
            audit_removed(key, f"a key of {key.provider} was removed", who=who)
    return bool(removed)


def provider_keys_stored(provider: str = "") -> list[ProviderKey]:
    """Return the keys of one provider, or of all, in the order in which they are used."""
    keys = ProviderKey.objects.order_by("provider", "pk")
    return list(keys.filter(provider=provider) if provider else keys)


def provider_keys_version() -> object:
    """Return a version that differs after every change of a key."""
    return version_of_small(ProviderKey)


def is_readable(key: ProviderKey) -> bool:
    """Return whether the key can be decrypted with the keys that are configured."""
    return bool(key.secret != UNREADABLE)


def _problem(secret: str) -> str:
    """Return what is wrong with a secret, without repeating it; empty if nothing is."""
    if not _SHORTEST <= len(secret) <= _LONGEST:
        return f"A key has between {_SHORTEST} and {_LONGEST} characters."
    if not secret.isascii() or not secret.isprintable() or {" ", ","} & set(secret):
        return "A key is one word of printable ASCII characters, without commas."
    return ""

"""Developers: who they are, how they get an account, and how their access ends."""

from __future__ import annotations

import hashlib
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from analytics.access.keys import key_revoke
from analytics.models import ApiKey, Developer, Invitation, KeyTemplate

_NAME = 64


def developer_of(account: Any) -> Developer | None:
    """Return the developer who signs in with ``account``, if /me is open to them."""
    people = Developer.objects.select_related("template__team", "template__project")
    return people.filter(account=account, left_at=None, disabled_at=None).first()


def developer_add(developer: Developer) -> Developer:
    """Save a new developer. Raises Django's ``ValidationError``."""
    developer.name = developer.name.strip()
    developer.full_clean()
    developer.save()
    return developer


@transaction.atomic
def developer_join(*, account: Any, name: str) -> Developer:
    """Return the developer of an account that has come by single sign-on.

    One whom an operator has added under ``name``, and who has no account yet, gets this one. Where
    the name is empty, unusable or taken, the account's own name stands in: it is never
    another person's.
    """
    known = Developer.objects.filter(account=account).first()
    if known is not None:
        Developer.objects.filter(pk=known.pk).update(left_at=None)
        return known
    name = name.strip()
    if not name or len(name) > _NAME or not name.isprintable():
        name = _own_name(account)
    expected = Developer.objects.select_for_update().filter(name=name).first()
    if expected is not None and expected.account_id is None and expected.disabled_at is None:
        expected.account = account
        expected.save(update_fields=["account"])
        invitations_void(expected)
        return expected
    if expected is not None:
        name = _own_name(account)
    template = KeyTemplate.objects.filter(for_single_sign_on=True).first()
    return developer_add(Developer(name=name, account=account, template=template))


def _own_name(account: Any) -> str:
    name = account.get_username()
    return name if len(name) <= _NAME else f"sso:{hashlib.sha256(name.encode()).hexdigest()[:40]}"


def developers_left(accounts: Any) -> None:
    """Close /me to the developers of ``accounts``, whom single sign-on refuses."""
    Developer.objects.filter(account__in=accounts, left_at=None).update(left_at=timezone.now())


@transaction.atomic
def developer_disable(developer: Developer) -> int:
    """Close /me to a developer and revoke their keys; return how many keys were valid."""
    Developer.objects.filter(pk=developer.pk).update(disabled_at=timezone.now())
    invitations_void(developer)
    return sum(key_revoke(key) for key in developer.keys.filter(revoked_at=None))


def developer_enable(developer: Developer) -> None:
    """Open /me to a developer again. Their revoked keys stay revoked."""
    Developer.objects.filter(pk=developer.pk).update(disabled_at=None)


def invitations_void(developer: Developer) -> None:
    """End the developer's open invitations."""
    now = timezone.now()
    invitations = Invitation.objects.filter(developer=developer, used_at=None)
    invitations.filter(expires_at__gt=now).update(expires_at=now)


def keys_assign(developer: Developer | None, key: ApiKey) -> None:
    """Give a key, with those that it replaced, to a developer, or to nobody.

    Whoever owns a key sees the requests that were made with it.
    """
    # Keys of the first releases have an empty origin, which they do not share.
    same = Q(origin=key.origin) if key.origin else Q(pk=key.pk)
    ApiKey.objects.filter(same).update(developer=developer)


def developer_named(name: str) -> Developer | None:
    """Return the active developer of this name."""
    return Developer.objects.filter(name=name, left_at=None, disabled_at=None).first()

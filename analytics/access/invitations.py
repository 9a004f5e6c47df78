"""Invitations: links by which developers choose a password. Each works once, and expires."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.db import IntegrityError, transaction
from django.utils import timezone

from analytics.access.developers import invitations_void
from analytics.access.keys import digest_of
from analytics.models import Developer, Invitation

DAYS_VALID = 7


class InvitationError(ValueError):
    """An invitation cannot be made or accepted; the message says why."""


@transaction.atomic
def invitation_make(developer: Developer, *, days: int = DAYS_VALID) -> str:
    """Return the secret of a new link for ``developer``; their earlier links end.

    One who has an account chooses a new password by it. Raises :class:`InvitationError`.
    """
    _check(developer)
    if developer.account_id is None and User.objects.filter(username=developer.name).exists():
        raise InvitationError(f"Another account is named {developer.name!r}: use another name.")
    invitations_void(developer)
    secret = secrets.token_urlsafe(32)
    Invitation.objects.create(
        developer=developer,
        digest=digest_of(secret),
        expires_at=timezone.now() + timedelta(days=days),
    )
    return secret


def invitation_find(secret: str) -> Invitation | None:
    """Return the open invitation with this secret."""
    return (
        Invitation.objects.select_related("developer__account")
        .filter(digest=digest_of(secret), used_at=None, expires_at__gt=timezone.now())
        .first()
    )


def invitation_problem(secret: str) -> str:
    """Return why a link is not open: used, expired, ended, single_sign_on or unknown.

    Only who has the whole link learns more than that it is unknown.
    """
    known = Invitation.objects.select_related("developer__account")
    invitation = known.filter(digest=digest_of(secret)).first()
    if invitation is None:
        return "unknown"
    developer = invitation.developer
    if not developer.active:
        return "ended"
    account: Any = developer.account
    if account is not None and not account.has_usable_password():
        return "single_sign_on"
    return "used" if invitation.used_at is not None else "expired"


@transaction.atomic
def invitation_accept(secret: str, password: str) -> User:
    """Use an invitation up, and return the developer's account with its new password.

    Raises :class:`InvitationError`, and Django's ``ValidationError`` for a weak password; the
    invitation stays open then.
    """
    invitation = invitation_find(secret)
    if invitation is None:
        raise InvitationError("This invitation was used, has expired, or never existed.")
    developer = invitation.developer
    _check(developer)
    account: Any = developer.account or User(username=developer.name)
    validate_password(password, account)
    used = Invitation.objects.filter(
        pk=invitation.pk, used_at=None, expires_at__gt=timezone.now()
    ).update(used_at=timezone.now())
    if not used:  # by somebody else in the same moment
        raise InvitationError("This invitation was used, has expired, or never existed.")
    account.set_password(password)
    try:
        with transaction.atomic():
            account.save()
    except IntegrityError:
        raise InvitationError("Another account has this name. Ask for a new invitation.") from None
    Developer.objects.filter(pk=developer.pk).update(account=account)
    return account


def _check(developer: Developer) -> None:
    """Raise :class:`InvitationError` where a link must not open the developer's account.

    Whoever may invite developers must not get the account of an operator by it.
    """
    account = developer.account
    if not developer.active:
        raise InvitationError(f"The access of {developer} has ended.")
    if account is None:
        return
    if account.is_staff or account.is_superuser:
        raise InvitationError(f"{developer} signs in to the admin, and can use the same account.")
    if not account.is_active or not account.has_usable_password():
        raise InvitationError(f"{developer} signs in by single sign-on, or the account is closed.")

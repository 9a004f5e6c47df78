"""The audit trail: what operators changed: in the admin, by command or by the management API.

The trail is Django's own admin log. Commands and the management API write to it as users who
cannot sign in, with the login name of the person who ran the command, or with the name of the API
key.
"""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.models import User
from django.db.models import Model

COMMAND_LINE = "manage.py"
MANAGEMENT_API = "management API"
_OF_THE_ROW = frozenset({"id", "created_at"})
"""Fields that nobody sets."""


_NAME = 150


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something: the ``account`` of the trail, and on whose behalf it acts."""

    account: str
    behalf: str = ""

    @property
    def name(self) -> str:
        """Return both as one text, cut to what the histories of rules and levers store."""
        name = f"{self.account} ({self.behalf})" if self.behalf else self.account
        return name[:_NAME]


def command_line_actor() -> Actor:
    """Return who runs a command, by the login name."""
    return Actor(COMMAND_LINE, f"by {_login_name()}")


def audit_added(row: Model, message: str, *, who: Actor | None = None) -> None:
    """Record that ``row`` was created, by a command unless ``who`` says otherwise."""
    _audit(row, ADDITION, message, who)


def audit_changed(row: Model, message: str, *, who: Actor | None = None) -> None:
    """Record that ``row`` was changed, by a command unless ``who`` says otherwise."""
    _audit(row, CHANGE, message, who)


def audit_removed(row: Model, message: str, *, who: Actor | None = None) -> None:
    """Record that ``row`` is about to be deleted."""
    _audit(row, DELETION, message, who)


def audit_by(user: Any, row: Model, message: str) -> None:
    """Record what ``user`` changed outside the admin."""
    LogEntry.objects.log_actions(user.pk, [row], CHANGE, change_message=message, single_object=True)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return each field that differs, with its value before and after; ids and times left out."""
    shown = {
        name: (_shown(before.get(name)), _shown(after.get(name)))
        for name in dict.fromkeys((*before, *after))
        if name not in _OF_THE_ROW
    }
    return "; ".join(f"{name}: {old} → {new}" for name, (old, new) in shown.items() if old != new)


def _shown(value: Any) -> str:
    return "–" if value in (None, "", [], {}) else str(value)


def _audit(row: Model, flag: int, message: str, who: Actor | None) -> None:
    actor = who or command_line_actor()
    user, created = User.objects.get_or_create(
        username=actor.account, defaults={"is_active": False}
    )
    if created:
        user.set_unusable_password()
        user.save()
    words = f"{message} ({actor.behalf})" if actor.behalf else message
    LogEntry.objects.log_actions(user.pk, [row], flag, change_message=words, single_object=True)


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without such a user
        return "an unknown user"

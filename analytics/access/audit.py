"""The audit trail: what operators changed, in the admin (which records it itself) or by command.

The trail is Django's own admin log. Commands write to it as a user who cannot sign in,
with the login name of the person who ran them on that machine.
"""

from __future__ import annotations

import getpass
from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.auth.models import User
from django.db.models import Model

COMMAND_LINE = "manage.py"


def audit_added(row: Model, message: str) -> None:
    """Record that a command created ``row``."""
    _audit(row, ADDITION, message)


def audit_changed(row: Model, message: str) -> None:
    """Record that a command changed ``row``."""
    _audit(row, CHANGE, message)


def audit_by(user: Any, row: Model, message: str) -> None:
    """Record what ``user`` changed outside the admin."""
    LogEntry.objects.log_actions(user.pk, [row], CHANGE, change_message=message, single_object=True)


def _audit(row: Model, flag: int, message: str) -> None:
    user, created = User.objects.get_or_create(username=COMMAND_LINE, defaults={"is_active": False})
    if created:
        user.set_unusable_password()
        user.save()
    LogEntry.objects.log_actions(
        user.pk, [row], flag, change_message=f"{message} (by {_login_name()})", single_object=True
    )


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without such a user
        return "an unknown user"

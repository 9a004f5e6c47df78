"""The audit trail: what operators changed, in the admin (which writes it by itself) or by command.

It is Django's own log of the admin. Commands write to it as a user who cannot sign in,
with the name of whoever ran them on that machine.
"""

from __future__ import annotations

import getpass

from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.auth.models import User
from django.db.models import Model

COMMAND_LINE = "manage.py"


def audit_added(row: Model, words: str) -> None:
    """A command made ``row``."""
    _audit(row, ADDITION, words)


def audit_changed(row: Model, words: str) -> None:
    """A command changed ``row``."""
    _audit(row, CHANGE, words)


def _audit(row: Model, flag: int, words: str) -> None:
    user, made = User.objects.get_or_create(username=COMMAND_LINE, defaults={"is_active": False})
    if made:
        user.set_unusable_password()
        user.save()
    LogEntry.objects.log_actions(
        user.pk, [row], flag, change_message=f"{words} (by {_person()})", single_object=True
    )


def _person() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without such a user
        return "an unknown user"

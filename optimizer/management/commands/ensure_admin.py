"""manage.py ensure_admin: create an administrator if there is none."""

from __future__ import annotations

import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandParser

from analytics.management.teaching import TeachingCommand


class Command(TeachingCommand):
    """Create the first administrator."""

    help = (
        "Create an administrator with a random password, which is printed only once. "
        "Does nothing if there is an administrator already."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        parser.add_argument("--username", default="admin", help="name of the account (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Create the administrator and print the password, unless one exists."""
        users = get_user_model()._default_manager
        if users.filter(is_superuser=True).exists():
            if options["verbosity"] > 1:
                self.stdout.write("There is an administrator already.")
            return
        password = secrets.token_urlsafe(12)
        users.create_superuser(username=options["username"], password=password)  # type: ignore[attr-defined]
        self.stdout.write(
            f"Administrator created: {options['username']} / {password}\n"
            "This password is shown once. Change it with: manage.py changepassword "
            f"{options['username']}"
        )

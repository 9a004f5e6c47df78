"""manage.py invite: add a developer, and print the link by which they choose a password."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db import transaction
from django.urls import reverse

from analytics.access.audit import audit_added, audit_changed
from analytics.access.developers import developer_add, keys_assign
from analytics.access.invitations import DAYS_VALID, InvitationError, invitation_make
from analytics.access.key_budgets import developer_template_set
from analytics.management.teaching import TeachingCommand
from analytics.models import ApiKey, Developer, KeyTemplate
from optimizer.presentation.mistakes import validation_message


class Command(TeachingCommand):
    """Invite a developer to /me."""

    help = (
        "Add a developer if there is none of this name, and print a link that works once. Whoever "
        "opens it chooses a password, and sees their own spending, requests and keys at /me/.\n"
        "  manage.py invite ann --template team-search --url https://ai.example.com\n"
        "  manage.py invite ann --key ann-laptop     ann also owns this key from now on\n"
        "  manage.py invite ann                      again, for a new password"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        parser.add_argument("name", help="the developer: the user of all requests with their keys")
        parser.add_argument("--template", help="template of the keys that they make themselves")
        parser.add_argument(
            "--key", action="append", default=[], dest="keys",
            help="name of an API key that is theirs; repeat for more",
        )  # fmt: skip
        parser.add_argument(
            "--days", type=int, default=DAYS_VALID, help="days that the link works (%(default)s)"
        )
        parser.add_argument(
            "--url", default=f"http://{settings.HOST}:{settings.PORT}",
            help="address of the service (%(default)s)",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        """Add or find the developer, hand keys over, and print the link to standard output."""
        if options["days"] < 1:
            raise CommandError("--days must be at least 1")
        with transaction.atomic():
            developer = self._developer(options["name"], options["template"])
            for name in options["keys"]:
                key = ApiKey.objects.filter(name=name).first()
                if key is None:
                    raise CommandError(f"There is no key {name!r}.")
                keys_assign(developer, key)
                audit_changed(key, f"handed over to {developer}")
            try:
                secret = invitation_make(developer, days=options["days"])
            except InvitationError as error:
                raise CommandError(str(error)) from None
            audit_changed(developer, "invited")
        self.stderr.write(
            f"Send this link to {developer}. It is shown only once, works once, and ends in "
            f"{options['days']} days:"
        )
        path = reverse("me:invitation", args=[secret])
        self.stdout.write(options["url"].rstrip("/") + path)

    @staticmethod
    def _developer(name: str, template_name: str | None) -> Developer:
        template = None
        if template_name:
            template = KeyTemplate.objects.filter(name=template_name).first()
            if template is None:
                raise CommandError(f"There is no template {template_name!r}.")
        developer = Developer.objects.filter(name=name).first()
        if developer is not None:
            if template is not None and developer.template != template:
                developer_template_set(developer, template)
                audit_changed(developer, f"template {template}")
            return developer
        try:
            developer = developer_add(Developer(name=name, template=template))
        except ValidationError as error:
            raise CommandError(validation_message(error)) from None
        audit_added(developer, "added by invite")
        return developer

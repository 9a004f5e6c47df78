"""manage.py create_key: create an API key for a client and show it once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from analytics.access.audit import audit_added
from analytics.access.keys import key_make
from analytics.management.teaching import TeachingCommand
from analytics.models import ApiKey, Project, Team
from analytics.models.keys import SCOPES, default_scopes
from optimizer.presentation.mistakes import validation_message


class Command(TeachingCommand):
    """Create an API key."""

    help = (
        "Create an API key and show it once. From the first key on, every request needs a key, as "
        "Authorization: Bearer <key> or x-api-key: <key>.\n"
        "  manage.py create_key ann --user ann --team search --expires 90\n"
        "  manage.py create_key reports --scope read\n"
        "  manage.py create_key cheap --model 'claude-haiku-*' --address 10.0.0.0/8"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        parser.add_argument("name", help="name of the key")
        parser.add_argument("--user", default="", help="user of all requests with this key")
        parser.add_argument(
            "--team", help="team whose cached answers it shares; created if missing"
        )
        parser.add_argument("--project", help="project of its requests; created if missing")
        parser.add_argument(
            "--scope", action="append", choices=SCOPES, dest="scopes",
            help=f"what the key may do; repeat for more (default: {', '.join(default_scopes())})",
        )  # fmt: skip
        parser.add_argument(
            "--model", action="append", default=[], dest="models",
            help="provider/model or model it may use, with * and ?; repeat for more",
        )  # fmt: skip
        parser.add_argument(
            "--address", action="append", default=[], dest="addresses",
            help="address or network it may be used from; repeat for more",
        )  # fmt: skip
        parser.add_argument(
            "--rpm", type=int, metavar="N", help="requests per minute (default: no limit)"
        )
        parser.add_argument(
            "--tpm", type=int, metavar="N", help="tokens per minute (default: no limit)"
        )
        parser.add_argument(
            "--concurrent", type=int, metavar="N",
            help="requests at the same time (default: no limit)",
        )  # fmt: skip
        parser.add_argument(
            "--quality", type=float, metavar="TARGET", help="quality target of its requests, 0 to 1"
        )
        parser.add_argument("--cap", metavar="USD", help="maximum cost of one request")
        parser.add_argument(
            "--auto-route", action="store_true",
            help="use learned routing for /complete if a request does not choose",
        )  # fmt: skip
        parser.add_argument(
            "--strict", action="store_true",
            help="refuse a request rather than leave out fields that a model does not take",
        )  # fmt: skip
        parser.add_argument(
            "--residency", action="append", metavar="REGION",
            help="region that the data of its requests must not leave (repeatable)",
        )  # fmt: skip
        parser.add_argument(
            "--expires", type=int, metavar="DAYS", help="days it is valid (default: forever)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Create the key, its team and its project, and print the key to standard output."""
        if options["expires"] is not None and options["expires"] < 1:
            raise CommandError("--expires must be at least 1 day")
        team = Team.objects.get_or_create(name=options["team"])[0] if options["team"] else None
        project = None
        if options["project"]:
            project, _ = Project.objects.get_or_create(
                name=options["project"], defaults={"team": team}
            )
        key = ApiKey(
            name=options["name"],
            user=options["user"],
            team=team,
            project=project,
            scopes=options["scopes"] or default_scopes(),
            model_names=options["models"],
            addresses=options["addresses"],
            requests_per_minute=options["rpm"],
            tokens_per_minute=options["tpm"],
            concurrent_requests=options["concurrent"],
            quality_target=options["quality"],
            cost_cap=options["cap"],
            auto_route=options["auto_route"],
            strict=options["strict"],
            residency=sorted(options["residency"] or ()),
        )
        if options["expires"]:
            key.expires_at = timezone.now() + timedelta(days=options["expires"])
        try:
            created = key_make(key)
        except ValidationError as error:
            raise CommandError(validation_message(error)) from None
        audit_added(created.key, "made by create_key")
        self.stderr.write("This is the key. It is shown only once and is not stored:")
        self.stdout.write(created.secret)

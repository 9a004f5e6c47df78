"""manage.py create_key: a client's key, shown once."""

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
from optimizer.presentation.mistakes import mistakes_in


class Command(TeachingCommand):
    help = (
        "Make an API key and show it, once. From the first key on every request needs one, as "
        "Authorization: Bearer <key> or x-api-key: <key>.\n"
        "  manage.py create_key ann --user ann --team search --expires 90\n"
        "  manage.py create_key reports --scope read\n"
        "  manage.py create_key cheap --model 'claude-haiku-*' --address 10.0.0.0/8"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--user", default="", help="who all its requests are by")
        parser.add_argument("--team", help="whose cached answers it shares; made if there is none")
        parser.add_argument("--project", help="made if there is none")
        parser.add_argument(
            "--scope", action="append", choices=SCOPES, dest="scopes",
            help=f"again for more (default: {', '.join(default_scopes())})",
        )  # fmt: skip
        parser.add_argument(
            "--model", action="append", default=[], dest="models",
            help="provider/model or model it may use, with * and ?; again for more",
        )  # fmt: skip
        parser.add_argument(
            "--address", action="append", default=[], dest="addresses",
            help="address or network it may be used from; again for more",
        )  # fmt: skip
        parser.add_argument("--rpm", type=int, metavar="N", help="requests a minute (no limit)")
        parser.add_argument("--tpm", type=int, metavar="N", help="tokens a minute (no limit)")
        parser.add_argument(
            "--concurrent", type=int, metavar="N", help="requests at the same time (no limit)"
        )
        parser.add_argument(
            "--quality", type=float, metavar="TARGET", help="quality target of its requests, 0 to 1"
        )
        parser.add_argument("--cap", metavar="USD", help="what a request may cost at most")
        parser.add_argument(
            "--auto-route", action="store_true",
            help="learned routing for /complete where a request does not say",
        )  # fmt: skip
        parser.add_argument("--expires", type=int, metavar="DAYS", help="(never)")

    def handle(self, *args: Any, **options: Any) -> None:
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
        )
        if options["expires"]:
            key.expires_at = timezone.now() + timedelta(days=options["expires"])
        try:
            made = key_make(key)
        except ValidationError as error:
            raise CommandError(mistakes_in(error)) from None
        audit_added(made.key, "made by create_key")
        self.stderr.write("This is the key. It is shown only now and kept nowhere:")
        self.stdout.write(made.secret)

"""manage.py keys: which there are; revoked and replaced."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from analytics.access.audit import audit_added, audit_changed
from analytics.access.keys import key_revoke, key_rotate
from analytics.management.teaching import TeachingCommand
from analytics.models import ApiKey


class Command(TeachingCommand):
    help = (
        "API keys: list them, revoke one, or replace one.\n"
        "  manage.py keys\n"
        "  manage.py keys revoke ann              opens nothing from the next second on\n"
        "  manage.py keys rotate ann --hours 24   a new key; the old one goes on for a day\n"
        "manage.py create_key makes them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="do", metavar="WHAT")
        commands.add_parser("list", help="all keys (the default)")
        commands.add_parser("revoke", help="end it at once").add_argument("name")
        rotate = commands.add_parser("rotate", help="a successor with the same rights")
        rotate.add_argument("name")
        rotate.add_argument("--hours", type=float, default=24, help="both are valid (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["do"] == "revoke":
            key = self._named(options["name"])
            if not key_revoke(key):
                raise CommandError("It was revoked before.")
            audit_changed(key, "revoked")
            self.stdout.write("Revoked. Every worker hears of it within a second.")
        elif options["do"] == "rotate":
            if options["hours"] < 0:
                raise CommandError("--hours must not be negative")
            key = self._named(options["name"])
            if key.revoked_at is not None:
                raise CommandError("A revoked key has no successor. Make a new one.")
            made = key_rotate(key, timedelta(hours=options["hours"]))
            audit_changed(key, "replaced")
            audit_added(made.key, f"the successor of {key.prefix}…")
            self.stderr.write("This is the new key. It is shown only now and kept nowhere:")
            self.stdout.write(made.secret)
        else:
            self._list()

    def _list(self) -> None:
        keys = list(ApiKey.objects.select_related("team", "project"))
        if not keys:
            self.stdout.write("There are no keys: only this machine is served without one.")
            return
        table = Table("name", "key", "user", "team", "project", "scopes", "until", "last used")
        table.columns[1].no_wrap = True
        for key in keys:
            until = f"{key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else "–"
            table.add_row(
                key.name, f"{key.prefix}…", key.user or "–", str(key.team or "–"),
                str(key.project or "–"), ", ".join(key.scopes),
                "revoked" if key.revoked_at else until,
                f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never",
            )  # fmt: skip
        Console(file=self.stdout, highlight=False).print(table)  # type: ignore[arg-type]

    @staticmethod
    def _named(name: str) -> ApiKey:
        try:
            return ApiKey.objects.get(name=name)
        except ApiKey.DoesNotExist:
            raise CommandError(f"There is no key {name!r}.") from None

"""manage.py keys: list, revoke and replace API keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.table import Table

from analytics.access.audit import audit_added, audit_changed
from analytics.access.keys import KeyRevoked, key_revoke, key_rotate
from analytics.exports.terminal import TerminalConsole
from analytics.management.teaching import TeachingCommand
from analytics.models import ApiKey


class Command(TeachingCommand):
    """List, revoke and replace API keys."""

    help = (
        "List the API keys, revoke one, or replace one.\n"
        "  manage.py keys\n"
        "  manage.py keys revoke ann              refused from the next second on\n"
        "  manage.py keys rotate ann --hours 24   a new key; the old one stays valid for a day\n"
        "manage.py create_key creates a key."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        commands = parser.add_subparsers(dest="do", metavar="ACTION")
        commands.add_parser("list", help="list all keys (the default)")
        commands.add_parser("revoke", help="revoke a key at once").add_argument("name")
        rotate = commands.add_parser("rotate", help="create a successor with the same rights")
        rotate.add_argument("name")
        rotate.add_argument(
            "--hours", type=float, default=24, help="hours that both are valid (%(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the chosen action; without one, list all keys."""
        if options["do"] == "revoke":
            key = self._key(options["name"])
            if not key_revoke(key):
                raise CommandError("The key was revoked before.")
            audit_changed(key, "revoked")
            self.stdout.write("Revoked. Every worker refuses it within a second.")
        elif options["do"] == "rotate":
            if options["hours"] < 0:
                raise CommandError("--hours must not be negative")
            key = self._key(options["name"])
            try:
                successor = key_rotate(key, timedelta(hours=options["hours"]))
            except KeyRevoked as error:
                raise CommandError(str(error)) from None
            audit_changed(key, "replaced")
            audit_added(successor.key, f"the successor of {key.prefix}…")
            self.stderr.write("This is the new key. It is shown only once and is not stored:")
            self.stdout.write(successor.secret)
        else:
            self._list()

    def _list(self) -> None:
        keys = list(ApiKey.objects.select_related("team", "project"))
        if not keys:
            self.stdout.write(
                "There are no keys. Without one, only requests from this machine are served."
            )
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
        TerminalConsole(file=self.stdout, highlight=False).print(table)  # type: ignore[arg-type]

    @staticmethod
    def _key(name: str) -> ApiKey:
        try:
            return ApiKey.objects.get(name=name)
        except ApiKey.DoesNotExist:
            raise CommandError(f"There is no key {name!r}.") from None

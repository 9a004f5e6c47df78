"""manage.py rebuild_totals: sum the requests of every hour anew, or see whether that is needed."""

from __future__ import annotations

from itertools import islice
from typing import Any

from django.core.management.base import CommandError, CommandParser

from analytics.ledger.rollups import totals_differ, totals_rebuild, totals_update
from analytics.management.teaching import TeachingCommand

_SHOWN = 20


class Command(TeachingCommand):
    help = (
        "Make the hourly totals that reports read anew from the requests. Needed only after "
        "requests were changed by hand; the service may go on, and reports read the requests "
        "until it is done. Hours whose requests were pruned stay as they are.\n"
        "  manage.py rebuild_totals --check    say where they differ, change nothing\n"
        "  manage.py rebuild_totals --update   only sum what is new, as the service does by itself"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--check", action="store_true", help="compare with the requests")
        what.add_argument("--update", action="store_true", help="sum what is new")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["check"]:
            self._check()
            return
        steps = totals_update() if options["update"] else totals_rebuild()
        for done in steps:
            if options["verbosity"] > 0:
                self.stderr.write(f"Summed until {done:%Y-%m-%d %H:%M} UTC")
        self.stdout.write("The hourly totals are what their requests add up to.")

    def _check(self) -> None:
        found = list(islice(totals_differ(), _SHOWN + 1))
        if not found:
            self.stdout.write("The hourly totals are what their requests add up to.")
            return
        for hour, dimension, value in found[:_SHOWN]:
            self.stderr.write(f"{hour:%Y-%m-%d %H:%M} UTC: {dimension} {value or '(none)'}")
        more = "" if len(found) <= _SHOWN else " and more"
        raise CommandError(
            f"{min(len(found), _SHOWN)}{more} totals differ from what they add up. "
            "manage.py rebuild_totals makes them anew."
        )

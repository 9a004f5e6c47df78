"""manage.py rebuild_totals: rebuild the hourly totals of requests, or check them."""

from __future__ import annotations

from itertools import islice
from typing import Any

from django.core.management.base import CommandError, CommandParser

from analytics.ledger.daily_totals_check import daily_totals_differ, daily_totals_rebuild
from analytics.ledger.rollups import totals_differ, totals_rebuild, totals_update
from analytics.ledger.sessions import sessions_differ, sessions_rebuild
from analytics.management.teaching import TeachingCommand

_MAX_SHOWN = 20
_AGREE = "Hourly and daily totals and sessions are what their requests add up to."


class Command(TeachingCommand):
    """Rebuild, check or update the totals."""

    help = (
        "Rebuild the hourly and daily totals that reports read from the requests. Only needed "
        "after requests were changed by hand. The service can keep running, and reports read the "
        "requests until the rebuild is done. Hours and days whose requests were pruned stay as "
        "they are.\n"
        "  manage.py rebuild_totals --check    show where totals differ, change nothing\n"
        "  manage.py rebuild_totals --update   only add new requests, as the service does"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        actions = parser.add_mutually_exclusive_group()
        actions.add_argument(
            "--check", action="store_true", help="only compare the totals with the requests"
        )
        actions.add_argument("--update", action="store_true", help="only add new requests")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, update or rebuild the totals, and print the progress."""
        if options["check"]:
            self._check()
            return
        steps = totals_update() if options["update"] else totals_rebuild()
        for done in steps:
            if options["verbosity"] > 0:
                self.stderr.write(f"Added up to {done:%Y-%m-%d %H:%M} UTC")
        if not options["update"]:
            daily_totals_rebuild()
            sessions_rebuild()
        self.stdout.write(_AGREE)

    def _check(self) -> None:
        different = [
            f"{hour:%Y-%m-%d %H:%M} UTC: {dimension} {value or '(none)'}"
            for hour, dimension, value in islice(totals_differ(), _MAX_SHOWN + 1)
        ]
        different += [
            f"{key.date}: {key.provider}/{key.model} {key.strategy}"
            for key in daily_totals_differ()[: _MAX_SHOWN + 1 - len(different)]
        ]
        sessions = islice(sessions_differ(), _MAX_SHOWN + 1 - len(different))
        differences = different + [f"Session {key.session_id} {key.sub_agent}" for key in sessions]
        if not differences:
            self.stdout.write(_AGREE)
            return
        for line in differences[:_MAX_SHOWN]:
            self.stderr.write(line)
        more = "" if len(differences) <= _MAX_SHOWN else " and more"
        if len(differences) == 1:
            what = "1 total differs from its requests"
        else:
            what = f"{min(len(differences), _MAX_SHOWN)}{more} totals differ from their requests"
        raise CommandError(f"{what}. Rebuild: manage.py rebuild_totals")

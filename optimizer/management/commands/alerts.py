"""manage.py alerts: what is watched, how it stands, who is told."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from analytics.alerts import read_rule
from analytics.management.teaching import TeachingCommand
from analytics.models import AlertRule
from optimizer.monitoring.alerts import deliver, watch


class Command(TeachingCommand):
    help = (
        "Show every alert with how it stands now. Alerts are written in the admin: spend above a "
        "limit, savings or quality below one, by day, week or month. The service looks every "
        "minute and tells people once a period, by webhook or e-mail (EMAIL_URL).\n"
        "  manage.py alerts                    how each stands\n"
        "  manage.py alerts --watch            look and tell now, as the service does\n"
        "  manage.py alerts --test 'Day cap'   tell its people that this is a test"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--watch", action="store_true", help="raise and deliver what is due")
        what.add_argument("--test", metavar="NAME", help="send a test message")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["test"]:
            self._test(options["test"])
            return
        if options["watch"]:
            watch()
        rules = list(AlertRule.objects.all())
        if not rules:
            self.stdout.write("Nothing is watched. Write alerts in the admin.")
            return
        table = Table("alert", "stands", "passed", "last told")
        for rule in rules:
            reading = read_rule(rule)
            last = rule.alerts.first()
            told = "–"
            if last is not None:
                told = f"{last.delivered_at:%Y-%m-%d %H:%M}" if last.delivered_at else last.error
            stands = reading.text if rule.enabled else "switched off"
            table.add_row(rule.name, stands, "yes" if reading.passed else "no", told or "waiting")
        Console(file=self.stdout, highlight=False).print(table)  # type: ignore[arg-type]

    def _test(self, name: str) -> None:
        try:
            rule = AlertRule.objects.get(name=name)
        except AlertRule.DoesNotExist:
            raise CommandError(f"There is no alert {name!r}.") from None
        text = f"{rule.name}: this is a test."
        if errors := list(deliver(rule, text, {"text": text, "alert": rule.name, "test": True})):
            raise CommandError("; ".join(errors))
        self.stdout.write("Sent.")

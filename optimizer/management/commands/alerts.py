"""manage.py alerts: show each alert, its current value and its last notification."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.table import Table

from analytics.alerts import read_rule
from analytics.exports.terminal import TerminalConsole
from analytics.management.teaching import TeachingCommand
from analytics.models import AlertRule
from optimizer.monitoring.alerts import deliver, watch


class Command(TeachingCommand):
    """Show, check and test the alerts."""

    help = (
        "Show every alert and its current value. Alerts are created in the admin: spend above a "
        "limit, savings or quality below one, by day, week or month, or an agent that runs away. "
        "The service checks them every minute and notifies people once per period, or once per "
        "session, by webhook or e-mail (EMAIL_URL).\n"
        "  manage.py alerts                    show the current values\n"
        "  manage.py alerts --watch            check and notify now, as the service does\n"
        "  manage.py alerts --test 'Day cap'   send a test message to the alert's recipients"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        actions = parser.add_mutually_exclusive_group()
        actions.add_argument(
            "--watch", action="store_true", help="check the alerts and send what is due"
        )
        actions.add_argument("--test", metavar="NAME", help="send a test message of this alert")

    def handle(self, *args: Any, **options: Any) -> None:
        """Send the test message, or check if asked to and show all alerts."""
        if options["test"]:
            self._test(options["test"])
            return
        if options["watch"]:
            watch()
        rules = list(AlertRule.objects.all())
        if not rules:
            self.stdout.write("There are no alerts. Create one in the admin.")
            return
        table = Table("alert", "current value", "triggered", "last sent")
        for rule in rules:
            reading = read_rule(rule)
            latest = rule.alerts.first()
            sent = "–"
            if latest is not None:
                sent = (
                    f"{latest.delivered_at:%Y-%m-%d %H:%M}"
                    if latest.delivered_at
                    else latest.error or "waiting"
                )
            value = reading.text if rule.enabled else "switched off"
            table.add_row(rule.name, value, "yes" if reading.passed else "no", sent)
        TerminalConsole(file=self.stdout, highlight=False).print(table)  # type: ignore[arg-type]

    def _test(self, name: str) -> None:
        try:
            rule = AlertRule.objects.get(name=name)
        except AlertRule.DoesNotExist:
            raise CommandError(f"There is no alert {name!r}.") from None
        text = f"{rule.name}: this is a test."
        if errors := list(deliver(rule, text, {"text": text, "alert": rule.name, "test": True})):
            raise CommandError("; ".join(errors))
        self.stdout.write("Sent.")

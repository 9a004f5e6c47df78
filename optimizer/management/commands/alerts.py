"""manage.py alerts: show each alert, its current value and its last notification."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.table import Table

from analytics.alerts.metrics import read_rule
from analytics.exports.terminal import TerminalConsole
from analytics.management.teaching import TeachingCommand
from analytics.models import AlertRule, Notification
from optimizer.monitoring.alerts import rule_test, watch
from optimizer.wiring.build import get_services
from routing.adjustments.guarantee import Guarantee


class Command(TeachingCommand):
    """Show, check and test the alerts."""

    help = (
        "Show every alert and its current value. Alerts are created in the admin: unusual spend, "
        "spend or its forecast above a limit, failed requests, latency, circuits, budgets, "
        "savings, quality, invoices, agents that run away. The service checks them every "
        "minute and notifies people once when one is raised and once when it is over, by Slack, "
        "Teams, webhook or e-mail (EMAIL_URL).\n"
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
            watch(_guarantee())
        rules = list(AlertRule.objects.all())
        if not rules:
            self.stdout.write("There are no alerts. Create one in the admin.")
            return
        table = Table("alert", "current value", "triggered", "last sent")
        guarantee = _guarantee()
        for rule in rules:
            reading = read_rule(rule, guarantee=guarantee)
            sent = _last_sent(rule)
            value = reading.full_text if rule.enabled else "switched off"
            table.add_row(rule.name, value, "yes" if reading.passed else "no", sent)
        TerminalConsole(file=self.stdout, highlight=False).print(table)  # type: ignore[arg-type]

    def _test(self, name: str) -> None:
        try:
            rule = AlertRule.objects.get(name=name)
        except AlertRule.DoesNotExist:
            raise CommandError(f"There is no alert {name!r}.") from None
        if errors := rule_test(rule):
            raise CommandError("; ".join(errors))
        self.stdout.write("Sent.")


def _guarantee() -> Guarantee | None:
    """Return the guarantee in force, which is looked up only if an alert is about it."""
    if not AlertRule.objects.filter(metric=AlertRule.Metric.GUARANTEE).exists():
        return None
    return get_services().quality.guarantee_now()


def _last_sent(rule: AlertRule) -> str:
    """Return when the latest notification arrived, or why it did not."""
    latest = Notification.objects.filter(alert__rule=rule).first()
    if latest is None:
        return "–"
    if latest.delivered_at is not None:
        return f"{latest.delivered_at:%Y-%m-%d %H:%M}"
    return latest.error or "waiting"

"""manage.py budgets: show, create and change budgets."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from rich.table import Table

from analytics.access.audit import audit_added, audit_changed
from analytics.access.versioned_rows import save_versioned
from analytics.budgets.opening import budget_open
from analytics.budgets.report import AccountStanding, standings
from analytics.exports.terminal import TerminalConsole
from analytics.management.teaching import TeachingCommand
from analytics.models import Budget
from analytics.money import dollars
from optimizer.presentation.mistakes import validation_message

_AMOUNTS = ("spent", "held", "left")


class Command(TeachingCommand):
    """Show budgets, create one or change one."""

    help = (
        "Show budgets, create one or change one. Before a call, the most that it may cost at "
        "its price is held, so that no call passes a limit; after it, its cost is counted.\n"
        "docs/budgets.md says what is bounded and what is estimated.\n"
        "  manage.py budgets\n"
        "  manage.py budgets add all --limit 500                      everything, a month\n"
        "  manage.py budgets add users --scope user --limit 2 --period day --zone Europe/Berlin\n"
        "  manage.py budgets add red --scope team --subject red --limit 40 --soft 30 --downgrade\n"
        "  manage.py budgets add burst --limit 5 --rolling 60         in any 60 minutes\n"
        "  manage.py budgets change all --limit 800\n"
        "  manage.py budgets change all --off                         count only\n"
        "A new budget starts with what its current period has cost so far. Every worker applies it "
        "within a second."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        commands = parser.add_subparsers(dest="do", metavar="ACTION")
        listing = commands.add_parser("list", help="show all budgets (the default)")
        listing.add_argument(
            "--most", type=int, default=10, help="accounts to show per budget (%(default)s)"
        )
        add = commands.add_parser("add", help="create a budget")
        add.add_argument("name")
        add.add_argument("--scope", choices=Budget.Scope.values, default=Budget.Scope.EVERYTHING)
        add.add_argument(
            "--subject", default="", help="which one of the scope; without it each has its own"
        )
        periods = [period for period in Budget.Period.values if period != Budget.Period.ROLLING]
        period = add.add_mutually_exclusive_group()
        period.add_argument("--period", choices=periods, default=Budget.Period.MONTH)
        period.add_argument(
            "--rolling", type=int, metavar="MINUTES", help="in any period of this many minutes"
        )
        add.add_argument(
            "--zone", default="UTC", help="time zone in which days begin (%(default)s)"
        )
        change = commands.add_parser("change", help="change the limits, or switch it on or off")
        change.add_argument("name")
        switch = change.add_mutually_exclusive_group()
        switch.add_argument("--on", action="store_true", default=None, dest="enabled")
        switch.add_argument("--off", action="store_false", default=None, dest="enabled")
        for command in (add, change):
            command.add_argument(
                "--limit", metavar="USD", help="no call begins that could pass it at its price"
            )
            command.add_argument("--soft", metavar="USD", help="notify people above it")
            at_limit = command.add_mutually_exclusive_group()
            at_limit.add_argument(
                "--downgrade", action="store_const", const=Budget.AtLimit.DOWNGRADE,
                dest="at_limit", help="at the limit, use cheaper models while one fits",
            )  # fmt: skip
            at_limit.add_argument(
                "--refuse", action="store_const", const=Budget.AtLimit.REFUSE,
                dest="at_limit", help="at the limit, refuse requests (the default)",
            )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        """Create or change a budget if asked to, then show all budgets."""
        try:
            if options["do"] == "add":
                self._add(options)
            elif options["do"] == "change":
                self._change(options)
        except ValidationError as error:
            raise CommandError(validation_message(error)) from None
        self._list(options.get("most") or 10)

    @staticmethod
    def _add(options: dict[str, Any]) -> None:
        rolling = options["rolling"]
        budget = Budget(
            name=options["name"],
            scope=options["scope"],
            subject=options["subject"],
            period=Budget.Period.ROLLING if rolling is not None else options["period"],
            rolling_minutes=rolling,
            time_zone=options["zone"],
            **_amounts(options),
        )
        budget_open(budget)
        audit_added(budget, f"{budget.applies_to}: {_described(budget)}")

    @staticmethod
    def _change(options: dict[str, Any]) -> None:
        try:
            budget = Budget.objects.get(name=options["name"])
        except Budget.DoesNotExist:
            raise CommandError(f"There is no budget {options['name']!r}.") from None
        for field, value in _amounts(options).items():
            setattr(budget, field, value)
        if options["enabled"] is not None:
            budget.enabled = options["enabled"]
        save_versioned(budget)
        audit_changed(budget, _described(budget))

    def _list(self, most: int) -> None:
        budgets = list(Budget.objects.all())
        if not budgets:
            self.stdout.write(
                "There are no budgets. Create one: manage.py budgets add NAME --limit USD"
            )
            return
        table = Table("budget", "applies to", *_AMOUNTS, "refused")
        table.columns[1].min_width = len("everything")
        for column in table.columns[:2]:
            column.overflow = "fold"
        for column in table.columns[2:]:
            column.no_wrap = True
        accounts = standings(budgets, most=most)
        for budget in budgets:
            own_accounts = [account for account in accounts if account.budget == budget]
            for account in own_accounts:
                table.add_row(*_row(account), end_section=True)
            if not own_accounts:
                table.add_row(_described(budget), budget.applies_to, "nothing")
        TerminalConsole(file=self.stdout, highlight=False).print(table)  # type: ignore[arg-type]


def _amounts(options: dict[str, Any]) -> dict[str, Any]:
    """Return the model fields that the options set.

    Raises ``CommandError`` if an amount is not a number.
    """
    fields: dict[str, Any] = {}
    for field, option in (("limit", "limit"), ("soft_limit", "soft")):
        if options[option] is not None:
            try:
                fields[field] = Decimal(options[option])
            except InvalidOperation:
                raise CommandError(f"--{option} must be an amount of USD") from None
    if options["at_limit"] is not None:
        fields["at_limit"] = options["at_limit"]
    return fields


def _row(standing: AccountStanding) -> list[str]:
    budget = standing.budget
    payer = f"{budget.get_scope_display()} {standing.subject}" if budget.each else budget.applies_to
    held = dollars(standing.held)
    if standing.lost:
        held += f" ({dollars(standing.lost)} lost)"
    resets = f", resets {standing.ends_at:%d %b %H:%M}" if standing.ends_at else ""
    return [
        _described(budget) + resets,
        f"{payer} ({standing.used_percent:.0f} %)",
        dollars(standing.spent),
        held,
        "–" if standing.left is None else dollars(standing.left),
        str(standing.refused),
    ]


def _described(budget: Budget) -> str:
    """Return the budget's name with its limit, and "(off)" if it is switched off."""
    soft = budget.limit is None
    amount = f"{'soft ' if soft else ''}{dollars(budget.soft_limit if soft else budget.limit)}"
    return f"{budget.name}: {amount} {budget.period_text}{'' if budget.enabled else ' (off)'}"

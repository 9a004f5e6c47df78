"""manage.py prices: show a model's prices, and check the table against what providers report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.table import Column, Table

from analytics.exports.terminal import TerminalConsole
from analytics.management.teaching import TeachingCommand
from analytics.money import dollars
from analytics.reports.price_check import ModelCheck, prices_check
from optimizer.domain.model_names import UnknownModel
from optimizer.wiring.build import get_services
from providers.rates import Rate, Rates

_DAYS, _MOST_DAYS = 30, 365


class Command(TeachingCommand):
    """Show prices, and check the price table."""

    help = (
        "Some providers say what they charged for a call. Each such row of the ledger has the "
        "price by the table beside it, and check compares the two: a model whose sums differ "
        "by more than the tolerance needs an override in CATALOGUE_FILE or on the admin's page "
        "of prices. It also counts the requests whose cost is unknown.\n"
        "  manage.py prices check --days 30\n"
        "  manage.py prices show claude/claude-haiku-4-5\n"
        "check ends with status 1 if a price differs."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        actions = parser.add_subparsers(dest="do", metavar="ACTION")
        check = actions.add_parser("check", help="compare with what providers reported")
        check.add_argument(
            "--days", type=int, default=_DAYS, help="length of the period, 1-365 (%(default)s)"
        )
        check.add_argument("--tolerance", default="0.5", help="per cent (default %(default)s)")
        check.add_argument("--format", choices=("table", "json"), default="table")
        show = actions.add_parser("show", help="show the prices of a model now")
        show.add_argument("model", help="provider/model, or a name that is unique")
        show.add_argument("--tier", default="", help="flex, priority, batch, ...")
        show.add_argument("--speed", default="")
        show.add_argument("--geography", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the chosen action; without one, check."""
        console = TerminalConsole(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        if options["do"] == "show":
            self._show(console, options)
        else:
            self._check(console, options)

    def _check(self, console: Console, options: dict[str, Any]) -> None:
        try:
            tolerance = Decimal(options.get("tolerance") or "0.5")
        except InvalidOperation:
            tolerance = Decimal("nan")
        if not tolerance.is_finite() or tolerance < 0:
            raise CommandError("--tolerance must be a number of per cent, 0 or more.")
        days = options.get("days", _DAYS)
        if not 1 <= days <= _MOST_DAYS:
            raise CommandError(f"--days must be from 1 to {_MOST_DAYS}.")
        checks = prices_check(days)
        different = [check for check in checks if check.compared and check.differs(tolerance)]
        if options.get("format") == "json":
            self.stdout.write(_as_json(checks, tolerance))
        elif not checks:
            console.print(f"No provider reported a cost in the last {days} days.")
        else:
            console.print(_table(checks, tolerance))
        if different:
            names = ", ".join(f"{check.provider}/{check.model}" for check in different)
            raise CommandError(f"The price table differs from what was reported: {names}.")

    def _show(self, console: Console, options: dict[str, Any]) -> None:
        services = get_services()
        try:
            provider, model = services.names.one(options["model"])
        except UnknownModel as error:
            raise CommandError(str(error)) from None
        served = options["tier"], options["speed"], options["geography"]
        rates = services.prices.rates(provider, model, None, *served)
        if rates is None:
            raise CommandError(f"No price is known for {provider}/{model}.")
        console.print(f"{provider}/{model}, from: {services.prices.source(provider, model)}")
        console.print(_rates_table(rates))
        if any(served) and rates == services.prices.rates(provider, model):
            # A word that was misspelled looks the same.
            words = " ".join(filter(None, served))
            console.print(f"No other price is known for {words}: these are the standard prices.")


def _table(checks: Sequence[ModelCheck], tolerance: Decimal) -> Table:
    table = Table(
        Column("model", no_wrap=True),
        *("compared", "reported", "by the table", "difference", "without a price", "unknown"),
    )
    for check in checks:
        mark = " differs" if check.compared and check.differs(tolerance) else ""
        table.add_row(
            f"{check.provider}/{check.model}",
            str(check.compared),
            dollars(check.reported),
            dollars(check.listed),
            f"{check.percent:+.2f} %{mark}" if check.compared else "–",
            str(check.unlisted),
            str(check.unknown),
        )
    return table


def _as_json(checks: Sequence[ModelCheck], tolerance: Decimal) -> str:
    rows = [
        {
            "provider": check.provider,
            "model": check.model,
            "compared": check.compared,
            "reported": float(check.reported),
            "listed": float(check.listed),
            "difference_percent": check.percent,
            "differs": bool(check.compared) and check.differs(tolerance),
            "unlisted": check.unlisted,
            "unknown": check.unknown,
        }
        for check in checks
    ]
    return json.dumps(rows, indent=2)


def _rates_table(rates: Rates) -> Table:
    table = Table("unit", "USD", "per")
    for unit, rate in rates.by_unit().items():
        table.add_row(unit, _rate_text(rate), "million tokens")
    fees = rates.fees
    for unit, fee in (
        ("web_searches", fees.web_searches),
        ("preview_searches", fees.preview_searches),
        ("file_searches", fees.file_searches),
        ("code_sessions", fees.code_sessions),
        ("map_prompts", fees.map_prompts),
        ("attachment_searches", fees.attachment_searches),
        ("search_sources", fees.search_sources),
    ):
        if fee is not None:
            table.add_row(unit, f"{fee:f}", "thousand")
    for words in fees.units.in_words() if fees.units is not None else ():
        price, _, unit = words.partition(" per ")
        table.add_row("", price.removeprefix("$"), unit)
    for size, fee in (fees.requests or {}).items():
        table.add_row(f"requests {size}".strip(), f"{fee:f}", "thousand")
    return table


def _rate_text(rate: Rate) -> str:
    steps = [f"{price.normalize():f} above {start:,}" for start, price in rate.tiers]
    return "; ".join([f"{rate.base.normalize():f}", *steps])

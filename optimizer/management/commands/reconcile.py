"""manage.py reconcile: the ledger beside what providers state that they charged."""

from __future__ import annotations

import math
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from analytics.exports.terminal import TerminalConsole
from analytics.management.teaching import TeachingCommand
from analytics.reconciliation.estimates import estimates_mark
from analytics.reconciliation.matching import Reconciliation, reconcile
from analytics.reconciliation.stored_lines import stated_providers
from analytics.reports.statement import month_of
from analytics.reports.write_output import write_output
from optimizer.presentation.reconciliation import as_csv, as_json, as_table
from optimizer.pricing.reconciliation import STATEMENT_APIS, read_api, read_statement
from providers.statements.files import COLUMNS, read_columns
from providers.statements.lines import StatementError
from providers.statements.numbers import SEPARATORS

_MOST_BYTES = 256 * 1024 * 1024


class Command(TeachingCommand):
    """Show the ledger beside providers' statements, and explain what differs."""

    help = (
        "Show what the ledger has beside what providers state, by day and model, and say why they "
        "differ: calls past the gateway, unpriced requests, estimates, other prices, time zones, "
        "rounding. Statements that were read stay in the database.\n"
        "  manage.py reconcile --read openai              by API, the last 30 days\n"
        "  manage.py reconcile --read claude --month 2026-10\n"
        "  manage.py reconcile --provider gemini --file billing.json --time-zone "
        "America/Los_Angeles\n"
        "  manage.py reconcile --provider mistral --file bill.csv --columns "
        "'day=Date,model=Model,amount=Cost'\n"
        "  manage.py reconcile --month 2026-10            what was read before, again\n"
        "APIs need an administrator's key, which is read from the environment at each run and "
        f"stored nowhere: {', '.join(api.key_variable for api in STATEMENT_APIS.values())}. "
        "RECONCILE_KEYS names the projects, workspaces or keys of the gateway as providers spell "
        "them, if others use the same account. docs/reconciliation.md explains each cause."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        source = parser.add_mutually_exclusive_group()
        source.add_argument(
            "--read", choices=sorted(STATEMENT_APIS), action="append", default=[],
            help="read this provider's report by its API; may be repeated",
        )  # fmt: skip
        source.add_argument("--file", type=Path, help="read a statement from FILE")
        parser.add_argument(
            "--provider", help="the provider of FILE; without FILE, show only this one"
        )
        parser.add_argument(
            "--columns", metavar="NAME=COLUMN,…",
            help=f"the columns of a CSV file: {', '.join(COLUMNS)}",
        )  # fmt: skip
        parser.add_argument(
            "--time-zone", default="UTC", metavar="ZONE",
            help="the zone of the days in FILE (%(default)s)",
        )  # fmt: skip
        parser.add_argument(
            "--decimal", choices=SEPARATORS,
            help="what begins the decimals in a CSV file; by default, what its numbers show",
        )  # fmt: skip
        parser.add_argument("--month", metavar="YYYY-MM", help="month (default: the last 30 days)")
        parser.add_argument("--keys", default="", metavar="ID,…", help="in place of RECONCILE_KEYS")
        parser.add_argument("--base-url", default="", help="another address of the API")
        parser.add_argument("--format", choices=("table", "json", "csv"), default="table")
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="write to FILE instead of the screen"
        )
        parser.add_argument(
            "--tolerance", type=float, metavar="PERCENT",
            help="end with an error if more of the invoice than this is missing on either side",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        """Read what is asked for, reconcile, and write the result in the chosen format."""
        since, until = self._days(options["month"])
        provider, tolerance = options["provider"], options["tolerance"]
        if tolerance is not None and not 0 <= tolerance < math.inf:
            raise CommandError("--tolerance must be a number of per cent, 0 or more.")
        try:
            if options["file"]:
                since, until = self._read_file(options)
            for name in options["read"]:
                self._read_api(name, since, until, options["base_url"])
        except StatementError as error:
            raise CommandError(str(error)) from None
        names = options["read"] or ([provider] if provider else stated_providers(since, until))
        keys = frozenset(filter(None, options["keys"].split(","))) or settings.RECONCILE_KEYS
        results = [r for name in names if (r := reconcile(name, since, until, keys)) is not None]
        if not results:
            raise CommandError(
                f"Nothing is stated of {since} until before {until}. Read a statement with --read "
                "or --file."
            )
        marked = sum(map(estimates_mark, results))
        kind = options["format"]
        write_output(self, options["output"], lambda file: self._write(results, kind, file))
        if marked and kind == "table":
            self.stdout.write(f"{marked} estimates are marked as charged or not charged.")
        beyond = [
            f"{result.provider} {result.missing_percent} %"
            for result in results
            if tolerance is not None and result.missing_percent > tolerance
        ]
        if beyond:
            raise CommandError(f"More than {tolerance} % is missing: {', '.join(beyond)}")

    def _read_file(self, options: dict[str, Any]) -> tuple[date, date]:
        path: Path = options["file"]
        if not options["provider"]:
            raise CommandError("--file needs --provider, as the ledger names it")
        try:
            ZoneInfo(options["time_zone"])
        except (ValueError, OSError, LookupError):
            raise CommandError(f"Unknown time zone {options['time_zone']}") from None
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise CommandError(f"{path} is larger than {_MOST_BYTES} bytes")
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{path} cannot be read: {type(error).__name__}") from None
        columns = read_columns(options["columns"]) if options["columns"] else None
        count, since, until = read_statement(
            text, path.name, options["provider"], columns, options["time_zone"],
            SEPARATORS.get(options["decimal"] or "", ""),
        )  # fmt: skip
        self.stderr.write(f"Read {count} lines of {path}.")
        return since, until

    def _read_api(self, provider: str, since: date, until: date, base_url: str) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"))
        console = Console(file=self.stderr)  # type: ignore[arg-type]
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(f"Reading {provider}")
            count = read_api(
                provider, since, until, os.environ, base_url=base_url,
                progress=lambda line: progress.update(
                    task, description=f"Reading {provider}, {line.day}"
                ),
            )  # fmt: skip
        self.stderr.write(f"Read {count} lines from {provider}.")

    @staticmethod
    def _days(month: str | None) -> tuple[date, date]:
        if month is None:
            today = datetime.now(UTC).date()
            return today - timedelta(days=30), today
        try:
            since, until = month_of(month)
        except ValueError:
            raise CommandError(
                f"--month must be a year and a month, like 2026-10, not {month}"
            ) from None
        return since.date(), until.date()

    @staticmethod
    def _write(results: list[Reconciliation], kind: str, file: Any) -> None:
        if kind == "table":
            as_table(results, TerminalConsole(file=file, highlight=False))
        else:
            file.write((as_json if kind == "json" else as_csv)(results))

"""manage.py statement: the use, cost and savings of a month, by user or tag."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from analytics.exports.terminal import TerminalConsole
from analytics.management.teaching import TeachingCommand
from analytics.reports.statement import BY, last_month, statement, statements
from analytics.reports.statement_formats import as_csv, as_html, as_json, as_table
from analytics.reports.statement_pdf import PdfMissing, as_pdf
from analytics.reports.write_output import write_output
from optimizer.pricing.baselines import UnknownBaseline
from optimizer.wiring.build import get_services

_WRITERS = {"json": as_json, "csv": as_csv, "html": as_html}


class Command(TeachingCommand):
    """Show what each user, tag, session, agent, key, team or project used and saved in a month."""

    help = (
        "Show what each user, tag, session, agent, key, team or project used, cost and saved in a "
        "calendar month (UTC):\n"
        "  manage.py statement                                    last month, every user\n"
        "  manage.py statement --month 2026-10 --by tag\n"
        "  manage.py statement --name ann --format html --output ann.html\n"
        "A request with several tags counts for each of them. Savings are compared with the "
        "recorded baselines (BASELINE_MODEL), or with another:\n"
        "  manage.py statement --baseline complexity"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        parser.add_argument("--month", metavar="YYYY-MM", help="month (default: last month)")
        parser.add_argument("--by", choices=BY, default="user")
        parser.add_argument("--name", help="show only this one, with its models and days")
        parser.add_argument(
            "--baseline", default="recorded", metavar="NAME",
            help="compare with the recorded baseline (BASELINE_MODEL), complexity, requested, or a "
            "model (%(default)s)",
        )  # fmt: skip
        parser.add_argument(
            "--format", choices=("table", *_WRITERS, "pdf"), default="table",
            help="pdf needs --output and requirements/pdf.txt (%(default)s)",
        )  # fmt: skip
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="write to FILE instead of the screen"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Build the statement of the month and write it in the chosen format."""
        if options["format"] == "pdf" and options["output"] is None:
            raise CommandError("--format pdf needs --output FILE")
        month, services = options["month"] or last_month(), get_services()
        services.price_service.refresh()
        try:
            compared = services.compared_with(options["baseline"])
        except UnknownBaseline as error:
            raise CommandError(f"--baseline: {error}") from None
        try:
            if options["name"]:
                figures = statement(month, options["by"], options["name"], compared)
                empty = not figures["total"]["requests"] and not figures["pruned"]
            else:
                figures = statements(month, options["by"], compared)
                empty = not figures["rows"]
        except ValueError:
            raise CommandError(
                f"--month must be a year and a month, like 2026-10, not {month}"
            ) from None
        if empty:
            subject = f" of {options['by']} {options['name']}" if options["name"] else ""
            raise CommandError(f"There are no requests{subject} in {month}.")
        if options["format"] == "pdf":
            self._write_pdf(figures, options["output"])
            return
        write_output(
            self, options["output"], lambda file: self._write(figures, options["format"], file)
        )

    def _write_pdf(self, figures: dict[str, Any], path: Path) -> None:
        try:
            path.write_bytes(as_pdf(figures))
        except PdfMissing as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"--output: {error}") from None
        self.stdout.write(f"Wrote {path}.")

    @staticmethod
    def _write(figures: dict[str, Any], kind: str, file: Any) -> None:
        if kind == "table":
            as_table(figures, TerminalConsole(file=file, highlight=False))
        else:
            file.write(_WRITERS[kind](figures))

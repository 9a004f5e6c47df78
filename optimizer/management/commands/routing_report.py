"""manage.py routing_report: report costs, savings and quality."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from analytics.database.replicas import reading_elsewhere
from analytics.exports.terminal import TerminalConsole
from analytics.management.teaching import TeachingCommand
from analytics.reports.breakdown import DIMENSIONS
from analytics.reports.report import report_with_charts, routing_report
from analytics.reports.report_formats import (
    as_csv,
    as_json,
    as_markdown,
    as_table,
    refused_text,
)
from analytics.reports.write_output import write_output
from optimizer.pricing.baselines import UnknownBaseline
from optimizer.wiring.build import get_services
from optimizer.wiring.operation.settings import settings_in_force


class Command(TeachingCommand):
    """Report costs, savings and quality of a period."""

    help = (
        "Report costs, savings and quality: in total, by strategy, confidence, provider and model, "
        "the cache, and a trend by day. Costs are USD, days are UTC. The baseline is the cost of "
        "the same requests on the model that was recorded as their baseline (BASELINE_MODEL), or "
        "on another:\n"
        "  manage.py routing_report --baseline complexity  the model that complexity would choose\n"
        "  manage.py routing_report --baseline gpt-5      all requests on this model\n"
        "  manage.py routing_report --baseline requested  each request on the model it asked for\n"
        "docs/savings.md explains how each figure is calculated."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        parser.add_argument(
            "--days", type=int, default=7, help="length of the period, 1-365 (%(default)s)"
        )
        parser.add_argument(
            "--format",
            choices=("table", "json", "csv", "markdown", "html"),
            default="table",
            help="table for terminals, json and csv for programs, markdown to read, html with "
            "charts in one file (%(default)s)",
        )
        parser.add_argument(
            "--by", choices=DIMENSIONS, help="also break costs and savings down by this"
        )
        parser.add_argument(
            "--baseline", default="recorded", metavar="NAME",
            help="compare with the recorded baseline (BASELINE_MODEL), complexity, requested, or a "
            "model (%(default)s)",
        )  # fmt: skip
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="write to FILE instead of the screen"
        )

    @reading_elsewhere()
    def handle(self, *args: Any, **options: Any) -> None:
        """Build the report of the period and write it in the chosen format."""
        if not 1 <= options["days"] <= 365:
            raise CommandError("--days must be between 1 and 365")
        kind = options["format"]
        build_report = report_with_charts if kind == "html" else routing_report
        services = get_services()
        try:
            services.price_service.refresh()
            compared = services.compared_with(options["baseline"])
        except UnknownBaseline as error:
            raise CommandError(f"--baseline: {error}") from None
        report = build_report(
            options["days"], by=options["by"], sums=compared.sums(), baseline=compared.label,
            shadow_margin=settings_in_force().shadow_margin,
        )  # fmt: skip
        if report["empty"] and kind in {"table", "markdown"}:
            self.stdout.write(
                f"No requests in the last {options['days']} days. Send some to POST /complete, "
                "or look further back with --days."
            )
            if refused := refused_text(report["refusals"]):
                self.stdout.write(f"Refused: {refused}")
            return
        write_output(self, options["output"], lambda file: self._write(report, kind, file))

    @staticmethod
    def _write(report: dict[str, Any], kind: str, file: Any) -> None:
        if kind == "table":
            as_table(report, TerminalConsole(file=file))
        else:
            formats = {"json": as_json, "csv": as_csv, "markdown": as_markdown, "html": _as_html}
            file.write(formats[kind](report))


def _as_html(report: dict[str, Any]) -> str:
    # Importing matplotlib takes a second, which the other formats should not wait for.
    from analytics.reports.report_html import as_html

    return as_html(report)

"""manage.py routing_report: what was spent, what was saved, by what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console

from analytics.database.replicas import reading_elsewhere
from analytics.management.teaching import TeachingCommand
from analytics.reports.breakdown import DIMENSIONS
from analytics.reports.output import put_out
from analytics.reports.report import report_for_pictures, routing_report
from analytics.reports.report_formats import as_csv, as_json, as_markdown, as_table
from optimizer.pricing.baselines import Baselines, UnknownBaseline
from optimizer.wiring.build import get_services


class Command(TeachingCommand):
    help = (
        "Report costs, savings and quality: in all, by strategy, confidence, provider and model, "
        "the cache, and a trend by day. Costs are USD, days are UTC. The baseline is the same "
        "requests priced on the model that complexity would have chosen, or on another:\n"
        "  manage.py routing_report --baseline gpt-5      had every request gone there\n"
        "  manage.py routing_report --baseline requested  had each gone to the model it asked for\n"
        "docs/savings.md says how each figure is reckoned."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=7, help="period, 1-365 (%(default)s)")
        parser.add_argument(
            "--format",
            choices=("table", "json", "csv", "markdown", "html"),
            default="table",
            help="table for terminals, json and csv for programs, markdown to read, html with "
            "charts in one file (%(default)s)",
        )
        parser.add_argument(
            "--by", choices=DIMENSIONS, help="break costs and savings down by this as well"
        )
        parser.add_argument(
            "--baseline", default="complexity", metavar="NAME",
            help="what to compare with: complexity, requested, or a model (%(default)s)",
        )  # fmt: skip
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="write to FILE, not to the screen"
        )

    @reading_elsewhere()
    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["days"] <= 365:
            raise CommandError("--days must be between 1 and 365")
        kind = options["format"]
        figures = report_for_pictures if kind == "html" else routing_report
        services = get_services()
        try:
            services.price_service.refresh()
            sums, name = Baselines(services.names, services.prices).sums(options["baseline"])
        except UnknownBaseline as error:
            raise CommandError(f"--baseline: {error}") from None
        report = figures(options["days"], by=options["by"], sums=sums, baseline=name)
        if report["empty"] and kind in {"table", "markdown"}:
            self.stdout.write(
                f"No requests in the last {options['days']} days. Send some to POST /complete, "
                "or look further back with --days."
            )
            return
        put_out(self, options["output"], lambda file: self._write(report, kind, file))

    @staticmethod
    def _write(report: dict[str, Any], kind: str, file: Any) -> None:
        if kind == "table":
            as_table(report, Console(file=file))
        else:
            formats = {"json": as_json, "csv": as_csv, "markdown": as_markdown, "html": _as_html}
            file.write(formats[kind](report))


def _as_html(report: dict[str, Any]) -> str:
    # Loads matplotlib, which takes a second that no other format should wait for.
    from analytics.reports.report_html import as_html

    return as_html(report)

"""manage.py export_parquet: export the ledger for DuckDB, Spark or ClickHouse."""

from __future__ import annotations

import argparse
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from analytics.database.replicas import reading_elsewhere
from analytics.exports.parquet import ParquetMissing, export_requests
from analytics.management.teaching import TeachingCommand
from analytics.models import RequestRecord


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a date like 2026-11-25") from None


class Command(TeachingCommand):
    """Export recorded requests as Parquet files."""

    help = (
        "Write requests as Parquet files, one per month, in folders that DuckDB, Spark and "
        "ClickHouse read as one table. Amounts are decimals, times are UTC. Prompts are left out "
        "without --prompts; answers are never included. Existing files are replaced.\n"
        "  manage.py export_parquet /srv/export                       the last 30 days\n"
        "  manage.py export_parquet /srv/export --since 2026-01-01 --until 2026-06-30\n"
        "  duckdb -c \"SELECT model, sum(cost) FROM '/srv/export/requests/*/*.parquet' "
        'GROUP BY 1"'
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        today = datetime.now(UTC).date()
        parser.add_argument("folder", type=Path, help="where to write")
        parser.add_argument(
            "--since", type=_day, default=today - timedelta(days=29), help="first day, UTC"
        )
        parser.add_argument("--until", type=_day, default=today, help="last day, UTC (%(default)s)")
        parser.add_argument("--prompts", action="store_true", help="include the prompts")

    def handle(self, *args: Any, **options: Any) -> None:
        """Export the period month by month, and print the files written."""
        since, until = options["since"], options["until"]
        if until < since:
            raise CommandError("--until is before --since")
        console = Console(file=self.stdout, highlight=False, soft_wrap=True)  # type: ignore[arg-type]
        bars = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                TimeElapsedColumn())  # fmt: skip
        try:
            with reading_elsewhere(), Progress(*bars, console=console, transient=True) as progress:
                expected = RequestRecord.objects.filter(
                    created_at__date__gte=since, created_at__date__lte=until
                ).count()
                bar = progress.add_task("Writing", total=expected)
                files = list(
                    export_requests(
                        options["folder"], since, until, prompts=options["prompts"],
                        step=lambda rows: progress.advance(bar, rows),
                    )
                )  # fmt: skip
        except ParquetMissing as error:
            raise CommandError(f"A required package is not installed: {error}") from None
        except OSError as error:
            raise CommandError(f"{options['folder']}: {error.strerror}") from None
        for file in files:
            console.print(f"{file.month:%Y-%m}  {file.rows:>10,} requests  {file.path}")
        if not files:
            console.print(f"No requests from {since} to {until}.")

"""manage.py export_parquet: the ledger for DuckDB, Spark or ClickHouse."""

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
        raise argparse.ArgumentTypeError(f"{text} is no date: 2026-11-25, say") from None


class Command(TeachingCommand):
    help = (
        "Writes requests as Parquet files, one a month, in folders that DuckDB, Spark and "
        "ClickHouse read as one table. Amounts are decimals, times UTC. Prompts are left out "
        "unless they are asked for; answers always are. What is there already is replaced.\n"
        "  manage.py export_parquet /srv/export                       the last 30 days\n"
        "  manage.py export_parquet /srv/export --since 2026-01-01 --until 2026-06-30\n"
        "  duckdb -c \"SELECT model, sum(cost) FROM '/srv/export/requests/*/*.parquet' "
        'GROUP BY 1"'
    )

    def add_arguments(self, parser: CommandParser) -> None:
        today = datetime.now(UTC).date()
        parser.add_argument("folder", type=Path, help="where to write")
        parser.add_argument(
            "--since", type=_day, default=today - timedelta(days=29), help="first day, UTC"
        )
        parser.add_argument("--until", type=_day, default=today, help="last day, UTC (%(default)s)")
        parser.add_argument("--prompts", action="store_true", help="also what was asked")

    def handle(self, *args: Any, **options: Any) -> None:
        since, until = options["since"], options["until"]
        if until < since:
            raise CommandError("--until lies before --since")
        console = Console(file=self.stdout, highlight=False, soft_wrap=True)  # type: ignore[arg-type]
        bars = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                TimeElapsedColumn())  # fmt: skip
        try:
            with reading_elsewhere(), Progress(*bars, console=console, transient=True) as progress:
                expected = RequestRecord.objects.filter(
                    created_at__date__gte=since, created_at__date__lte=until
                ).count()
                bar = progress.add_task("Writing", total=expected)
                found = list(
                    export_requests(
                        options["folder"], since, until, prompts=options["prompts"],
                        step=lambda rows: progress.advance(bar, rows),
                    )
                )  # fmt: skip
        except ParquetMissing as error:
            raise CommandError(f"Its package is not installed: {error}") from None
        except OSError as error:
            raise CommandError(f"{options['folder']}: {error.strerror}") from None
        for written in found:
            console.print(f"{written.month:%Y-%m}  {written.rows:>10,} requests  {written.path}")
        if not found:
            console.print(f"No request from {since} to {until}.")

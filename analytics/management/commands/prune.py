"""manage.py prune: delete old requests, decisions and cached answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from analytics.ledger.retention import prune, prune_plan
from analytics.management.teaching import TeachingCommand


class Command(TeachingCommand):
    """Delete what is older than a number of days."""

    help = (
        "Delete requests and decisions older than DAYS, and cached answers that expired, were "
        "invalidated or were unused for that long. Daily totals and feedback are kept. Works in "
        "short transactions, so the service can keep running; an interrupted run can be repeated."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        parser.add_argument("--days", type=int, required=True, help="keep this many days")
        parser.add_argument(
            "--batch-size", type=int, default=2000, help="rows per transaction (%(default)s)"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="only show what would be deleted"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete in batches and show the progress, or only count with --dry-run."""
        if options["days"] < 1:
            raise CommandError("--days must be at least 1")
        if options["batch_size"] < 1:
            raise CommandError("--batch-size must be at least 1")
        before = timezone.now() - timedelta(days=options["days"])
        plan = prune_plan(before=before)
        summary = f"{plan.requests} requests and {plan.cache_entries} cached answers"
        if options["dry_run"]:
            self.stdout.write(f"Would delete {summary}.")
            return
        total = plan.requests + plan.cache_entries
        if not total:
            self.stdout.write("Nothing to delete.")
            return
        columns = (TextColumn("Deleting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        console = Console(file=self.stdout)  # type: ignore[arg-type]
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("rows", total=total)
            for deleted in prune(before=before, batch_size=options["batch_size"]):
                progress.advance(task, deleted)
        self.stdout.write(f"Deleted {summary}.")

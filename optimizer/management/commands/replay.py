"""manage.py replay: send recorded prompts through the real service."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from analytics.ledger.undo_replay import replayed_count, replayed_remove
from analytics.management.teaching import TeachingCommand
from optimizer.lab.price_list import PriceListError, read_price_list
from optimizer.lab.replay import ReplayPlan
from optimizer.wiring.offline.replay import replay
from routing.outcomes import OutcomesError, read_outcomes

_COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeRemainingColumn())  # fmt: skip


class Command(TeachingCommand):
    """Replay recorded prompts as traffic, or remove replayed requests."""

    help = (
        "Send recorded prompts (JSON lines, plain or .gz: id, benchmark, prompt, outcomes by model "
        "with quality, input_tokens, output_tokens) through the real service. They are routed, "
        "priced, recorded and rated with the recorded quality, so that the admin and the reports "
        "show realistic data. No provider is called; the models are those of the file, under the "
        "provider 'replay'. Every request is marked as replayed and none is cached. --remove "
        "deletes all of them, with their totals and what was learned from them.\n"
        "Example: manage.py replay outcomes.jsonl.gz --prices prices.toml --days 30"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        parser.add_argument("data", type=Path, nargs="*", metavar="PATH")
        parser.add_argument(
            "--prices", type=Path, metavar="FILE",
            help='TOML: "model" = { input = "0.6", output = "0.6" }, USD per million tokens; '
            "models without a price are recorded with an unknown cost",
        )  # fmt: skip
        parser.add_argument(
            "--speed", type=float, default=0.0, metavar="R",
            help="requests per second (default: as fast as possible)",
        )  # fmt: skip
        parser.add_argument(
            "--days", type=float, default=0.0, metavar="N",
            help="spread their times over the last N days instead of now",
        )  # fmt: skip
        parser.add_argument(
            "--limit", type=int, metavar="N", help="replay only the first N prompts"
        )
        parser.add_argument(
            "--complexity", action="store_true", help="route by complexity, without auto_route"
        )
        parser.add_argument(
            "--baseline", default="", metavar="MODEL",
            help="compare the cost of each request with this model of the file, as a client may "
            "request (default: the model that complexity would have chosen)",
        )  # fmt: skip
        parser.add_argument("--remove", action="store_true", help="delete all replayed requests")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check the options, then replay the files or remove replayed requests."""
        if options["remove"]:
            if options["data"]:
                raise CommandError("Give either files to replay or --remove.")
            self._remove()
            return
        if not options["data"]:
            raise CommandError("Give files to replay, or --remove.")
        for name in ("speed", "days"):
            if options[name] < 0:
                raise CommandError(f"--{name} must not be negative")
        if options["limit"] is not None and options["limit"] < 1:
            raise CommandError("--limit must be at least 1")
        self._replay(options)

    def _replay(self, options: Mapping[str, Any]) -> None:
        try:
            prices = read_price_list(options["prices"])
            prompts = list(read_outcomes(options["data"]))[: options["limit"]]
        except (OutcomesError, PriceListError) as error:
            raise CommandError(str(error)) from None
        if not prompts:
            raise CommandError("There are no recorded prompts in these files.")
        models = sorted({model for prompt in prompts for model in prompt.outcomes})
        if options["baseline"] and options["baseline"] not in models:
            raise CommandError(f"--baseline must be one of the file's: {', '.join(models)}")
        plan = ReplayPlan(
            speed=options["speed"],
            days=options["days"],
            auto_route=not options["complexity"],
            baseline=options["baseline"],
        )
        console = Console(file=self.stderr)  # type: ignore[arg-type]
        with Progress(*_COLUMNS, console=console, transient=True) as progress:
            task = progress.add_task("Replaying", total=len(prompts))
            asyncio.run(replay(prompts, prices, plan, lambda: progress.advance(task)))
        self.stdout.write(
            f"Replayed {len(prompts)} prompts. They are marked as replayed; "
            "manage.py replay --remove deletes them."
        )

    def _remove(self) -> None:
        total = replayed_count()
        console = Console(file=self.stderr)  # type: ignore[arg-type]
        with Progress(*_COLUMNS, console=console, transient=True) as progress:
            task = progress.add_task("Removing", total=total)
            for removed in replayed_remove():
                progress.advance(task, removed)
        self.stdout.write(f"Removed {total} replayed requests and what was learned from them.")

"""manage.py whatif: estimate what a policy would do, before you switch to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from analytics.exports.terminal import TerminalConsole
from analytics.management.teaching import TeachingCommand
from analytics.reports.usage import period_start
from optimizer.lab.price_list import PriceListError, read_price_list
from optimizer.lab.whatif.study import Answer
from optimizer.policies.policy import PolicyError, read_policy
from optimizer.presentation.whatif import (
    as_figures,
    basis,
    cost_rows,
    mixes,
    monthly,
    quality_rows,
    verdict,
)
from optimizer.wiring.build import get_services
from optimizer.wiring.offline.whatif_replay import ask_outcomes, of_recorded
from routing.outcomes import OutcomesError, RecordedPrompt, read_outcomes

_COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeRemainingColumn())  # fmt: skip


class Command(TeachingCommand):
    """Estimate cost, quality and model mix of a policy on past traffic."""

    help = (
        "Estimate cost, quality and model mix of a policy on past traffic, with 95 % intervals, "
        "before it goes live. Calls no provider and changes nothing.\n"
        "  manage.py whatif --policy hybrid               learned routing for all requests that "
        "name no model\n"
        "  manage.py whatif --policy hybrid@0.8 --days 7  with another quality target\n"
        "  manage.py whatif --policy claude-haiku-5-5     always this model\n"
        "  manage.py whatif --policy night.toml           strategy or model, quality_target, "
        "cost_cap, [[rules]]\n"
        "  manage.py whatif --policy hybrid --outcomes recorded.jsonl.gz --prices prices.toml\n"
        "If the log has no outcome of the model that the policy would choose, the outcome is "
        "estimated from the probabilities recorded with each decision (EXPLORATION_RATE). If the "
        "log has too few outcomes, the command reports this instead of guessing. docs/savings.md "
        "has the formulas."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        parser.add_argument(
            "--policy", required=True, metavar="FILE|NAME",
            help="complexity, learning, hybrid, cheapest, best, a model, any of them with "
            "@quality-target, or a .toml file",
        )  # fmt: skip
        parser.add_argument(
            "--days", type=int, default=30, help="days of the log to use (%(default)s)"
        )
        parser.add_argument(
            "--named", action="store_true",
            help="include requests that name a model, as if they left the choice to routing",
        )  # fmt: skip
        parser.add_argument(
            "--outcomes", type=Path, nargs="+", metavar="PATH",
            help="use recorded outcomes (see manage.py replay) instead of the log",
        )  # fmt: skip
        parser.add_argument("--prices", type=Path, metavar="FILE", help="prices of recorded models")
        parser.add_argument("--format", choices=("table", "json"), default="table")

    def handle(self, *args: Any, **options: Any) -> None:
        """Estimate the policy from the log or from recorded outcomes, and print it."""
        if not 1 <= options["days"] <= 365:
            raise CommandError("--days must be between 1 and 365")
        try:
            answers = self._replayed(options) if options["outcomes"] else [self._logged(options)]
        except (PolicyError, OutcomesError, PriceListError) as error:
            raise CommandError(str(error)) from None
        if options["format"] == "json":
            figures = [as_figures(answer) for answer in answers]
            self.stdout.write(json.dumps(figures, indent=2))
            return
        console = TerminalConsole(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        for answer in answers:
            show(console, answer, settings.QUALITY_TOLERANCE)

    def _logged(self, options: dict[str, Any]) -> Answer:
        services = get_services()
        policy = read_policy(options["policy"], services.names)
        services.rules.refresh()
        # What the service knows: outcomes, lengths and speeds.
        services.refreshes.run_due()
        services.evidence.refresh()
        since = period_start(options["days"])
        with self._progress() as progress:
            task = progress.add_task("Deciding again", total=services.what_if.count(since))
            return services.what_if.ask(
                policy, since, step=lambda: progress.advance(task), named=options["named"]
            )

    def _replayed(self, options: dict[str, Any]) -> list[Answer]:
        prices = read_price_list(options["prices"])
        benchmarks: dict[str, list[RecordedPrompt]] = {}
        for prompt in read_outcomes(options["outcomes"]):
            benchmarks.setdefault(prompt.benchmark, []).append(prompt)
        answers = []
        with self._progress() as progress:
            total = sum(len(prompts) for prompts in benchmarks.values())
            task = progress.add_task("Replaying", total=total)
            for prompts in benchmarks.values():
                policy = of_recorded(options["policy"], prompts)
                policy = policy or read_policy(options["policy"], get_services().names)
                answers.append(
                    ask_outcomes(policy, prompts, prices, lambda: progress.advance(task))
                )
        return answers

    def _progress(self) -> Progress:
        console = Console(file=self.stderr)  # type: ignore[arg-type]
        return Progress(*_COLUMNS, console=console, transient=True)


def show(console: Console, answer: Answer, tolerance: float) -> None:
    """Print the verdict, its basis, the figures (USD, quality 0-1) and the mix of models."""
    console.print(verdict(answer, tolerance), style="bold")
    if (month := monthly(answer)) is not None:
        console.print(
            f"  A month: {month.after} in place of {month.before}, {month.change} "
            f"({month.interval} with 95 % confidence)."
        )
    for line in basis(answer):
        console.print(f"  {line}")
    if figures := [*cost_rows(answer), *quality_rows(answer)]:
        table = Table("a request", "", "with 95 % confidence")
        for row in figures:
            table.add_row(*row)
        console.print(table)
    if answer.requests:
        mix = Table("model", "as it was", "under the policy")
        for ref, (before, after) in mixes([answer]):
            mix.add_row(ref, f"{before:.1f} %", f"{after:.1f} %")
        console.print(mix)

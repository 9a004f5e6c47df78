"""manage.py route: explain a routing decision in the terminal."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.table import Table

from analytics.exports.terminal import TerminalConsole
from analytics.management.teaching import TeachingCommand
from analytics.money import dollars
from optimizer.api.http.json_out import MoneyEncoder
from optimizer.domain.options import MAX_LATENCY_SECONDS
from optimizer.wiring.build import get_services
from providers.abilities import EFFORTS
from routing.complexity import score_complexity
from routing.models import NoEligibleModel, RoutingDecision


class Command(TeachingCommand):
    """Explain which model would answer a prompt."""

    help = (
        "Explain which model would answer PROMPT, and why. Calls no provider and records nothing.\n"
        "Example: manage.py route 'Compare B-trees and LSM trees' --auto-route"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        parser.add_argument("prompt", metavar="PROMPT", help="the prompt to decide for")
        parser.add_argument(
            "--auto-route", action="store_true", help="use hybrid routing, with learned outcomes"
        )
        parser.add_argument(
            "--max-latency",
            type=float,
            metavar="SECONDS",
            help="exclude models that are expected to take longer for the whole answer",
        )
        parser.add_argument(
            "--effort", choices=EFFORTS, default="", help="how much the model is to reason"
        )
        parser.add_argument("--json", action="store_true", help="print the decision as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Decide for the prompt, and print the decision as tables or JSON."""
        prompt = options["prompt"]
        if not prompt.strip():
            raise CommandError("PROMPT must not be blank.")
        limit = options["max_latency"]
        if limit is not None and not 0 <= limit <= MAX_LATENCY_SECONDS:
            raise CommandError(f"--max-latency must be between 0 and {MAX_LATENCY_SECONDS}.")
        services = get_services()
        # What the service knows: outcomes, rules, lengths and speeds.
        services.refreshes.run_due()
        try:
            decision = services.routing.previews.decide(
                prompt,
                auto_route=options["auto_route"],
                max_latency=limit,
                effort=options["effort"],
            )
        except NoEligibleModel as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            self.stdout.write(json.dumps(asdict(decision), indent=2, cls=MoneyEncoder))
            return
        self._explain(prompt, decision)

    def _explain(self, prompt: str, decision: RoutingDecision) -> None:
        console = TerminalConsole(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        metadata = decision.metadata
        console.print(str(decision.ref), style="bold")
        console.print(decision.reasoning, markup=False)
        console.print(
            f"\nstrategy {decision.strategy_used}, confidence {decision.confidence}, "
            f"pattern {metadata['pattern']}, about {metadata['token_count']} input tokens, "
            f"estimated cost {dollars(metadata['cost_estimate'])}"
        )
        if decision.fallback_used:
            console.print(f"fallback: {metadata.get('fallback_reason', '')}", markup=False)
        parts = score_complexity(prompt).parts
        table = Table(
            title=f"Complexity {metadata['complexity']:.2f}: {metadata['tier']}",
            title_justify="left",
        )
        table.add_column("part")
        table.add_column("adds", justify="right")
        for name, value in sorted(parts.items(), key=lambda item: -item[1]):
            if value:
                table.add_row(name.replace("_", " "), f"{value:.3f}")
        if table.row_count:
            console.print(table)
        else:
            console.print(
                f"Complexity {metadata['complexity']:.2f}: {metadata['tier']}; no part adds to it."
            )
        console.print(self._candidates(metadata["candidates"]))

    @staticmethod
    def _candidates(candidates: list[dict[str, Any]]) -> Table:
        table = Table(title="Candidates", title_justify="left")
        for heading in ("model", "tier", "cost", "latency", "expected quality", "why"):
            table.add_column(
                heading, overflow="fold", no_wrap=heading in {"tier", "cost", "latency"}
            )
        for candidate in candidates:
            quality = "–"
            if candidate["expected_quality"] is not None:
                quality = (
                    f"{candidate['expected_quality']:.2f} "
                    f"({candidate['quality_low']:.2f}–{candidate['quality_high']:.2f}), "
                    f"{candidate['sample_size']} outcomes"
                )
            latency = candidate.get("expected_latency")
            mark = "✓ " if candidate["chosen"] else ""
            table.add_row(
                f"{mark}{candidate['provider']}/{candidate['model']}{_way_of(candidate)}",
                candidate["tier"],
                dollars(candidate["expected_cost"]),
                "–" if latency is None else f"{latency:.{1 if latency >= 1 else 2}f} s",
                quality,
                candidate["reason"],
            )
        return table


def _way_of(candidate: dict[str, Any]) -> str:
    """Return how the model is asked, if not as usual."""
    effort, tier = candidate.get("effort"), candidate.get("service_tier")
    return (f", {effort} effort" if effort else "") + (f", {tier} tier" if tier else "")

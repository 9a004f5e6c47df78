"""manage.py guarantee: what is promised about quality, and how it is kept."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from analytics.management.teaching import TeachingCommand
from analytics.quality import guarantee_pairs as pairs
from optimizer.domain.model_names import UnknownModel
from optimizer.presentation.guarantee import said
from optimizer.wiring.build import get_services
from routing.guarantee.calibration import Promise, calibrate

_TOLERANCES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1)


class Command(TeachingCommand):
    help = (
        "Show the guarantee in force: how far routed answers may lie below the reference model's, "
        "the threshold chosen on the comparisons so far, and the bound that it keeps. Or see what "
        "other promises would take, on the same comparisons:\n"
        "  manage.py guarantee\n"
        "  manage.py guarantee --reference claude-sonnet-5-5 --confidence 0.9\n"
        "Nothing is changed; GUARANTEE_REFERENCE and its neighbours in .env put one in force."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reference", metavar="MODEL", help="instead of the one in force")
        parser.add_argument("--confidence", type=float, default=0.95, help="(%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 < options["confidence"] < 1:
            raise CommandError("--confidence must be between 0 and 1")
        services = get_services()
        console = Console(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        reference = None
        if services.guarantee is not None:
            services.guarantee.refresh()
            guarantee = services.guarantee.guarantee()
            reference = guarantee.reference
            for line in said(guarantee):
                console.print(line)
        if options["reference"]:
            try:
                reference = services.names.one(options["reference"])
            except UnknownModel as error:
                raise CommandError(f"--reference: {error}") from None
        if reference is None:
            raise CommandError(
                "No guarantee is in force. Set GUARANTEE_REFERENCE, or give --reference to see "
                "what one would take."
            )
        self._what_others_take(console, reference, options["confidence"])

    def _what_others_take(
        self, console: Console, reference: tuple[str, str], confidence: float
    ) -> None:
        scores, losses = pairs.compared(reference)
        console.print(f"What other tolerances would take, on {len(scores)} compared answers:")
        table = Table(
            "tolerance", "threshold", "loss so far", "bound", "need not go to the reference"
        )
        for tolerance in _TOLERANCES:
            found = calibrate(scores, losses, Promise(tolerance, 1 - confidence))
            if found.threshold is None:
                table.add_row(f"{tolerance:g}", "none yet", "–", "–", "0 %")
            else:
                table.add_row(
                    f"{tolerance:g}", f"{found.threshold:.2f}", f"{found.loss:.4f}",
                    f"{found.bound:.4f}", f"{found.routed:.0%}",
                )  # fmt: skip
        console.print(table)

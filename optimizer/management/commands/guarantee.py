"""manage.py guarantee: show the quality guarantee in force, and what others would require."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from analytics.management.teaching import TeachingCommand
from analytics.quality import guarantee_pairs as pairs
from optimizer.domain.model_names import UnknownModel
from optimizer.presentation.guarantee import guarantee_lines
from optimizer.wiring.build import get_services
from routing.guarantee.calibration import Promise, calibrate_now
from routing.models import ModelRef

_TOLERANCES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1)


class Command(TeachingCommand):
    """Show the guarantee in force and what other promises would require."""

    help = (
        "Show the guarantee in force: how far the quality of routed answers may be below the "
        "reference model's, the threshold chosen from the comparisons so far, and the bound that "
        "it keeps. Also show what other promises would require, based on the same comparisons:\n"
        "  manage.py guarantee\n"
        "  manage.py guarantee --reference claude-sonnet-5-5 --confidence 0.9\n"
        "Changes nothing. To put a guarantee in force, set GUARANTEE_REFERENCE in .env, and "
        "GUARANTEE_TOLERANCE and GUARANTEE_CONFIDENCE if needed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        parser.add_argument(
            "--reference", metavar="MODEL", help="reference model, instead of the one in force"
        )
        parser.add_argument(
            "--confidence", type=float, default=0.95, help="of the promises (%(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Show the guarantee in force, then a table of other tolerances."""
        if not 0 < options["confidence"] < 1:
            raise CommandError("--confidence must be between 0 and 1")
        services = get_services()
        console = Console(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        reference = None
        services.operation.refresh()
        services.quality.refresh()
        services.guarantee.refresh()
        guarantee = services.guarantee.guarantee()
        if guarantee is not None:
            reference = guarantee.reference
            for line in guarantee_lines(guarantee):
                console.print(line)
        if options["reference"]:
            try:
                reference = services.names.one(options["reference"])
            except UnknownModel as error:
                raise CommandError(f"--reference: {error}") from None
        if reference is None:
            raise CommandError(
                "No guarantee is in force. Set GUARANTEE_REFERENCE, or give --reference to see "
                "what one would require."
            )
        self._other_tolerances(console, reference, options["confidence"])

    def _other_tolerances(self, console: Console, reference: ModelRef, confidence: float) -> None:
        console.print(
            f"Other tolerances, based on {pairs.count(reference)} compared answers; a tolerance "
            "goes by the latest that it needs:"
        )
        table = Table("tolerance", "threshold", "loss so far", "bound", "requests routed")
        for tolerance in _TOLERANCES:
            promise = Promise(tolerance, 1 - confidence)
            calibration = calibrate_now(*pairs.compared(reference, promise), promise)
            if calibration.threshold is None:
                table.add_row(f"{tolerance:g}", "none yet", "–", "–", "0 %")
            else:
                table.add_row(
                    f"{tolerance:g}", f"{calibration.threshold:.2f}", f"{calibration.loss:.4f}",
                    f"{calibration.bound:.4f}", f"{calibration.routed:.0%}",
                )  # fmt: skip
        console.print(table)

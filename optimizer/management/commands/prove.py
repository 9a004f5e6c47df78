"""manage.py prove: a signed proof of a month that anybody can verify, and a check of the ledger."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from analytics.management.teaching import TeachingCommand
from analytics.proof import verify
from analytics.proof.bundle import ProofImpossible, bundle_write, disagreement_text
from analytics.proof.day_roots import days_close
from analytics.proof.ledger_check import ledger_check, ledger_span, unsealed_adopt
from analytics.proof.signing import UnusableKey, key_path, public_text, signing_key
from analytics.reports.statement import last_month, month_of
from optimizer import __version__
from optimizer.pricing.proof_prices import ProofPrices
from optimizer.wiring.build import get_services
from optimizer.wiring.levers import TRIAL_READING


class Command(TeachingCommand):
    """Prove a month, or check that no row of the ledger was changed."""

    help = (
        "Write a proof of a month's statement, which a third party can verify without this "
        "service: the ledger's rows without prompts, prices, verdicts, the signed root of each "
        "day, and every figure. Or check the ledger against the hashes that were kept when its "
        "rows were written.\n"
        "  manage.py prove --month 2026-10                writes proof-2026-10.zip\n"
        "  manage.py prove --verifier verify.py           writes the verifier, a single file\n"
        "  python3 verify.py proof-2026-10.zip --key …    verifies it, anywhere\n"
        "  manage.py prove --check                        finds changed and missing rows\n"
        "  manage.py prove --key                          shows the public key to give away\n"
        "  manage.py prove --adopt                        seals rows of versions without seals\n"
        "A bundle names users, sessions, tags, keys' beginnings and teams as the ledger does, and "
        "no prompt or answer. docs/proof.md says what a proof proves and what not."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        actions = parser.add_mutually_exclusive_group()
        actions.add_argument(
            "--check", action="store_true", help="compare every row with its seal; 1 if one differs"
        )
        actions.add_argument("--adopt", action="store_true", help="seal rows that have no seal")
        actions.add_argument("--key", action="store_true", help="show the public key")
        actions.add_argument(
            "--verifier", type=Path, metavar="FILE", help="write the verifier to FILE"
        )
        parser.add_argument("--month", metavar="YYYY-MM", help="month (default: last month)")
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="the bundle (default: proof-YYYY-MM.zip)"
        )
        parser.add_argument(
            "--format", choices=("table", "json"), default="table", help="for --check (%(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what the options ask for."""
        try:
            if options["verifier"]:
                options["verifier"].write_bytes(Path(verify.__file__).read_bytes())
                self.stdout.write(f"Wrote {options['verifier']}.")
            elif options["key"]:
                self.stdout.write(public_text(signing_key()))
            elif options["adopt"]:
                self._adopt()
            elif options["check"]:
                self._check(options)
            else:
                self._prove(options)
        except UnusableKey as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"{error.filename} cannot be written: {error.strerror}") from None

    def _prove(self, options: dict[str, Any]) -> None:
        month = options["month"] or last_month()
        path = options["output"] or Path(f"proof-{month}.zip")
        services = get_services()
        services.price_service.refresh()
        made_key = not key_path().exists()
        span = self._span(month)
        assert span is not None
        since, until = span
        try:
            with self._progress() as progress:
                task = progress.add_task("Days", total=(until - since).days)
                proof = bundle_write(
                    path, month, ProofPrices(services.prices),
                    tolerance=settings.QUALITY_TOLERANCE,
                    version=__version__,
                    levers=TRIAL_READING,
                    progress=lambda day: progress.update(task, completed=day.day),
                )  # fmt: skip
        except ProofImpossible as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"Wrote {path}: {proof.rows} rows of {_days(proof.days)}.")
        self.stdout.write(f"Signed by {proof.key}")
        if made_key:
            self.stdout.write(f"The key was made now: keep a copy of {key_path()}.")

    def _check(self, options: dict[str, Any]) -> None:
        days_close()
        span = self._span(options["month"])
        results = [] if span is None else list(self._checks(*span))
        if options["format"] == "json":
            self.stdout.write(json.dumps([
                {
                    "day": check.day.isoformat(), "rows": check.rows, "agrees": check.agrees,
                    "changed": list(map(str, check.changed)), "pruned": check.pruned,
                    "missing": list(map(str, check.missing)), "broken": check.broken,
                    "unsealed": list(map(str, check.unsealed)),
                }
                for check in results
            ]))  # fmt: skip
        wrong = [check for check in results if not check.agrees]
        if options["format"] == "table":
            for check in wrong:
                self.stdout.write(f"{check.day}: {disagreement_text(check)}")
            pruned = sum(check.pruned for check in results)
            self.stdout.write(
                f"Checked {sum(check.rows for check in results)} rows of {_days(len(results))}"
                + (f"; {pruned} more were pruned, and their roots are kept" if pruned else "")
                + "."
            )
        if wrong:
            raise CommandError(f"The ledger does not agree with its seals on {_days(len(wrong))}.")

    def _checks(self, since: date, until: date) -> Any:
        with self._progress() as progress:
            task = progress.add_task("Days", total=(until - since).days)
            for check in ledger_check(since, until):
                progress.update(task, completed=(check.day - since).days + 1)
                yield check

    def _adopt(self) -> None:
        span = ledger_span()
        count = 0 if span is None else sum(unsealed_adopt(*span))
        self.stdout.write(f"Sealed {count} rows." if count else "Every row has its seal.")

    @staticmethod
    def _span(month: str | None) -> tuple[date, date] | None:
        if month is None:
            return ledger_span()
        try:
            since, until = month_of(month)
        except ValueError:
            raise CommandError(
                f"--month must be a year and a month, like 2026-10, not {month}"
            ) from None
        return since.date(), until.date()

    def _progress(self) -> Progress:
        columns = (TextColumn("Checking"), BarColumn(), MofNCompleteColumn())
        return Progress(*columns, console=Console(file=self.stderr), transient=True)  # type: ignore[arg-type]


def _days(count: int) -> str:
    return f"{count} {'day' if count == 1 else 'days'}"

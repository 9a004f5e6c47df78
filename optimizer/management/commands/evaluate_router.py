"""manage.py evaluate_router: how much quality a router keeps, and what that costs."""

from __future__ import annotations

import json
import math
import tomllib
from collections import defaultdict
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import track
from rich.table import Table

from routing.evaluation.curves import Interval
from routing.evaluation.outcomes import OutcomesError, RecordedPrompt, read_outcomes
from routing.evaluation.report import BenchmarkReport, Prices, evaluate
from routing.evaluation.scorers import SCORERS

_HEADINGS = {
    "apgr": "APGR",
    "cpt50": "CPT50",
    "cpt80": "CPT80",
    "cpt95": "CPT95",
    "cost_at_95": "cost at 95 %",
}


class Command(BaseCommand):
    help = (
        "Compare routers on recorded outcomes (JSON lines, plain or .gz: id, benchmark, prompt, "
        "outcomes by model with quality, input_tokens, output_tokens). APGR is the mean share of "
        "the quality gap between the weak and the strong model that is recovered (random 0.5, "
        "higher is better); CPTx the share of strong calls needed to recover x % of it, and 'cost "
        "at 95 %' what reaching 95 % of the strong model's quality costs, as a share of always "
        "using it (lower is better). Brackets hold 95 % bootstrap intervals. 'learning' is trained "
        "on the other folds only; 'oracle' knows the outcomes.\n"
        "Example: manage.py evaluate_router --data outcomes.jsonl.gz --prices prices.toml"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="PATH")
        parser.add_argument(
            "--router", nargs="+", choices=list(SCORERS), default=list(SCORERS), metavar="NAME",
            help=f"which of {', '.join(SCORERS)} (all)",
        )  # fmt: skip
        parser.add_argument("--weak", help="the weak model (worst on average)")
        parser.add_argument("--strong", help="the strong model (best on average)")
        parser.add_argument(
            "--prices", type=Path, metavar="FILE",
            help='TOML: "model" = { input = "0.6", output = "0.6" }, USD per million tokens',
        )  # fmt: skip
        parser.add_argument("--folds", type=int, default=5, help="cross-validation (%(default)s)")
        parser.add_argument("--resamples", type=int, default=1000, help="bootstrap (%(default)s)")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--format", choices=("table", "json"), default="table")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["folds"] < 2:
            raise CommandError("--folds must be at least 2")
        if options["resamples"] < 1:
            raise CommandError("--resamples must be at least 1")
        prices = _read_prices(options["prices"])
        progress = Console(file=self.stderr)  # type: ignore[arg-type]
        try:
            benchmarks: dict[str, list[RecordedPrompt]] = defaultdict(list)
            for prompt in read_outcomes(options["data"]):
                benchmarks[prompt.benchmark].append(prompt)
            reports = [
                evaluate(
                    prompts,
                    routers=options["router"],
                    prices=prices,
                    **{k: options[k] for k in ("weak", "strong", "folds", "resamples", "seed")},
                )
                for prompts in track(
                    list(benchmarks.values()), "Evaluating", console=progress, transient=True
                )
            ]
        except OutcomesError as error:
            raise CommandError(str(error)) from None
        if not reports:
            raise CommandError("There are no recorded prompts in these files.")
        if options["format"] == "json":
            self.stdout.write(json.dumps([_plain(report) for report in reports], indent=2))
            return
        console = Console(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        for report in reports:
            console.print(_table(report))


def _read_prices(path: Path | None) -> Prices:
    if path is None:
        return {}
    try:
        return {
            model: (Decimal(str(entry["input"])), Decimal(str(entry["output"])))
            for model, entry in tomllib.loads(path.read_text(encoding="utf-8")).items()
        }
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, InvalidOperation) as error:
        raise CommandError(f"{path}: no price list ({type(error).__name__})") from None


def _plain(report: BenchmarkReport) -> dict[str, Any]:
    return {
        "benchmark": report.benchmark,
        "prompts": report.prompts,
        "weak": {"model": report.weak, "quality": round(report.weak_quality, 6)},
        "strong": {"model": report.strong, "quality": round(report.strong_quality, 6)},
        "routers": {
            router: {name: _numbers(interval) for name, interval in found.items()}
            for router, found in report.routers.items()
        },
    }


def _numbers(interval: Interval) -> dict[str, float | None]:
    values = {"value": interval.value, "low": interval.low, "high": interval.high}
    return {name: None if math.isnan(v) else round(v, 6) for name, v in values.items()}


def _table(report: BenchmarkReport) -> Table:
    table = Table(
        title=f"{report.benchmark}: {report.prompts} prompts, {report.weak} "
        f"({report.weak_quality:.3f}) or {report.strong} ({report.strong_quality:.3f})",
        title_justify="left",
    )
    table.add_column("router")
    for heading in _HEADINGS.values():
        table.add_column(heading, justify="right")
    for router, found in report.routers.items():
        table.add_row(router, *(_cell(found[name]) for name in _HEADINGS))
    return table


def _cell(interval: Interval) -> str:
    if math.isnan(interval.value):
        return "–"
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]".replace("[", "\\[")

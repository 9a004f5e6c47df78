"""manage.py evaluate_router: measure the quality that a router keeps, and its cost."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from rich.console import Console
from rich.progress import Progress, track

from analytics.exports.terminal import TerminalConsole
from analytics.management.teaching import TeachingCommand
from optimizer.lab.price_list import PriceListError, read_price_list, table_prices
from routing.evaluation.report import BenchmarkReport, evaluate
from routing.evaluation.rewordings import REWORDINGS
from routing.evaluation.robustness import (
    LanguageShares,
    RewordedShares,
    language_shares,
    reworded_shares,
    sampled,
)
from routing.evaluation.scorers import SCORERS
from routing.evaluation.tables import (
    report_tables,
    report_values,
    robustness_tables,
    robustness_values,
)
from routing.learning.artifact import SHIPPED, Artifact, ArtifactError, load_artifact
from routing.outcomes import OutcomesError, RecordedPrompt, read_outcomes
from routing.training.families import family_of
from routing.training.train import FEWEST_PROMPTS

_REWORDED_PROMPTS = 400
"""Prompts that are reworded in all; more hardly change the shares."""
_Robustness = tuple[list[RewordedShares], list[LanguageShares]]


class Command(TeachingCommand):
    """Compare routers on recorded outcomes."""

    help = (
        "Compare routers on recorded outcomes (JSON lines, plain or .gz: id, benchmark, prompt, "
        "outcomes by model with quality, input_tokens, output_tokens).\n"
        "  manage.py evaluate_router --data outcomes.jsonl.gz               two models, and all\n"
        "  manage.py evaluate_router --data outcomes.jsonl.gz --robustness  reworded, translated\n"
        "  manage.py evaluate_router --data outcomes.jsonl.gz --prices prices.toml --plot out.png\n"
        "Two models: APGR is the mean share of the quality gap between the weak and the strong "
        "model that is recovered (random 0.5, higher is better). CPTx is the share of strong calls "
        "needed to recover x % of the gap, and 'cost at 95 %' (100 %) is the cost of reaching 95 % "
        "(all) of the strong model's quality, as a share of always using it (lower is better). "
        "Brackets show 95 % bootstrap intervals.\n"
        "Many models: all that have prices and recorded tokens, or those of --models. The area is "
        "the mean quality over all costs, compared with mixing models at random; for the dearest "
        "models that no mixture beats, the quality at the model's cost and the cost at its "
        "quality. Prices are those of --prices, else of the public price table.\n"
        "Routers: 'learning' is trained on the other folds only, and 'hybrid' is learning "
        "overridden by complexity; 'trained' is the artifact as it is, 'transfer' is trained on "
        "the other families of benchmarks given (--leave-out benchmark: on all other benchmarks); "
        "'oracle' knows the outcomes.\n"
        "--robustness adds the share of prompts that keep their model, among five reference "
        "models, when they are reworded (greeting, politeness, labels, options, quotes, white "
        "space, wording that nobody prepared for), and of thirteen languages that get the same "
        "one for the same request."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        parser.add_argument(
            "--data",
            type=Path,
            nargs="+",
            required=True,
            metavar="PATH",
            help="recorded outcomes, as above",
        )
        parser.add_argument(
            "--router", nargs="+", choices=list(SCORERS), metavar="NAME",
            help=f"which of {', '.join(SCORERS)} (default: all that the data allow)",
        )  # fmt: skip
        parser.add_argument(
            "--artifact", type=Path, default=SHIPPED, metavar="FILE",
            help="artifact that 'trained' uses (default: the one shipped with the service)",
        )  # fmt: skip
        parser.add_argument("--weak", help="the weak model (default: worst on average)")
        parser.add_argument("--strong", help="the strong model (default: best on average)")
        parser.add_argument(
            "--prices", type=Path, metavar="FILE",
            help='TOML: "model" = { input = "0.6", output = "0.6" }, USD per million tokens',
        )  # fmt: skip
        parser.add_argument(
            "--folds", type=int, default=5, help="folds of the cross-validation (%(default)s)"
        )
        parser.add_argument(
            "--resamples", type=int, default=1000, help="resamples of the bootstrap (%(default)s)"
        )
        parser.add_argument(
            "--seed", type=int, default=0, help="of folds, resamples and 'random' (%(default)s)"
        )
        parser.add_argument(
            "--leave-out", choices=("benchmark", "family"), default="family",
            help="what 'transfer' is not trained on: the benchmark alone, or all benchmarks that "
            "ask the same kind of question (%(default)s)",
        )  # fmt: skip
        parser.add_argument(
            "--models", nargs="+", metavar="MODEL",
            help="the models to choose among (default: all that have prices and tokens)",
        )  # fmt: skip
        parser.add_argument(
            "--robustness", action="store_true",
            help="also measure reworded prompts and thirteen languages",
        )  # fmt: skip
        parser.add_argument("--format", choices=("table", "json"), default="table")
        parser.add_argument(
            "--json", action="store_const", const="json", dest="format", help="as --format json"
        )
        parser.add_argument(
            "--plot", type=Path, metavar="FILE", help="write a plot to this PNG file"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Evaluate the routers on each benchmark, and show or plot the results."""
        _check(options)
        try:
            benchmarks = _by_benchmark(options["data"])
            artifact = self._artifact(options)
            reports = self._evaluate(benchmarks, artifact, options)
        except (OutcomesError, PriceListError) as error:
            raise CommandError(str(error)) from None
        if not reports:
            raise CommandError("There are no recorded prompts in these files.")
        self._warn(reports)
        if options["plot"]:
            self._plot(reports, options["plot"])
        robust = self._robustness(benchmarks, artifact) if options["robustness"] else None
        if options["format"] == "json":
            values: Any = [report_values(report) for report in reports]
            if robust is not None:
                values = {"benchmarks": values, "robustness": robustness_values(*robust)}
            self.stdout.write(json.dumps(values, indent=2))
        else:
            self._print(reports, robust)

    def _print(self, reports: list[BenchmarkReport], robust: _Robustness | None) -> None:
        console = TerminalConsole(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        for report in reports:
            for table in report_tables(report):
                console.print(table)
        if robust is not None:
            for table in robustness_tables(*robust):
                console.print(table)

    def _warn(self, reports: list[BenchmarkReport]) -> None:
        for report in reports:
            if report.seen:
                self.stderr.write(
                    f"{report.benchmark}: the artifact was trained on {report.seen} of these "
                    f"{report.prompts} prompts, so the figures of 'trained' would be too good."
                )
            if report.apart:
                self.stderr.write(
                    f"{report.benchmark}: {report.apart} prompts are left out, as other models "
                    "answered them."
                )

    def _evaluate(
        self,
        benchmarks: Mapping[str, Sequence[RecordedPrompt]],
        artifact: Artifact | None,
        options: dict[str, Any],
    ) -> list[BenchmarkReport]:
        recorded = {m for group in benchmarks.values() for p in group for m in p.outcomes}
        prices = {**table_prices(recorded, timezone.now()), **read_price_list(options["prices"])}
        if options["models"]:
            if unknown := sorted(set(options["models"]) - recorded):
                raise CommandError(f"No outcome is of {', '.join(unknown)}.")
            benchmarks = {
                name: kept
                for name, group in benchmarks.items()
                if (kept := _answered_by(group, set(options["models"])))
            }
            if not benchmarks:
                raise CommandError(
                    "No prompt was answered by at least two of the models of --models."
                )
        progress = Console(file=self.stderr)  # type: ignore[arg-type]
        return [
            evaluate(
                benchmarks,
                benchmark,
                routers=options["router"] or _applicable(benchmarks, benchmark, artifact),
                prices=prices,
                artifact=artifact,
                **{
                    k: options[k]
                    for k in ("weak", "strong", "folds", "resamples", "seed", "leave_out")
                },
            )
            for benchmark in track(list(benchmarks), "Evaluating", console=progress, transient=True)
        ]

    def _robustness(
        self, benchmarks: Mapping[str, Sequence[RecordedPrompt]], artifact: Artifact | None
    ) -> _Robustness:
        # Imported here, as it needs the whole of routing.
        from routing.evaluation.reference_models import reference_engine

        most = max(1, _REWORDED_PROMPTS // len(benchmarks))
        prompts = [
            text
            for group in benchmarks.values()
            for text in sampled([p.prompt for p in group], most, seed=0)
        ]
        engine = reference_engine(artifact.predictor if artifact else None)
        progress = Console(file=self.stderr)  # type: ignore[arg-type]
        with Progress(console=progress, transient=True) as bar:
            task = bar.add_task("Rewording", total=len(REWORDINGS))
            reworded = reworded_shares(engine, prompts, lambda: bar.advance(task))
        return reworded, language_shares(engine)

    def _artifact(self, options: dict[str, Any]) -> Artifact | None:
        try:
            return load_artifact(options["artifact"])
        except ArtifactError as error:
            if "trained" in (options["router"] or ()):
                raise CommandError(str(error)) from None
            self.stderr.write(f"'trained' is left out: {error}")
            return None

    def _plot(self, reports: list[BenchmarkReport], path: Path) -> None:
        from routing.evaluation.plot import plot_reports  # matplotlib takes a second to load

        try:
            plot_reports(reports, path)
        except (OSError, ValueError) as error:
            raise CommandError(f"{path}: cannot be written ({error})") from None
        self.stderr.write(f"Plotted to {path}")


def _check(options: Mapping[str, Any]) -> None:
    for name, least in (("folds", 2), ("resamples", 1), ("seed", 0)):
        if options[name] < least:
            raise CommandError(f"--{name} must be at least {least}")
    if options["plot"] and (options["plot"].suffix.lower() != ".png" or options["plot"].is_dir()):
        raise CommandError("--plot must be a file *.png")
    if options["plot"] and not options["plot"].parent.is_dir():
        raise CommandError(f"{options['plot'].parent} is not a folder")


def _by_benchmark(paths: Sequence[Path]) -> dict[str, list[RecordedPrompt]]:
    benchmarks: dict[str, list[RecordedPrompt]] = defaultdict(list)
    for prompt in read_outcomes(paths):
        benchmarks[prompt.benchmark].append(prompt)
    return dict(benchmarks)


def _answered_by(group: Sequence[RecordedPrompt], models: set[str]) -> list[RecordedPrompt]:
    """Return the prompts that at least two of ``models`` answered, with their outcomes alone."""
    kept = [
        replace(p, outcomes={m: o for m, o in p.outcomes.items() if m in models}) for p in group
    ]
    return [p for p in kept if len(p.outcomes) > 1]


def _applicable(
    benchmarks: Mapping[str, Sequence[RecordedPrompt]], benchmark: str, artifact: Artifact | None
) -> list[str]:
    """Return all routers except those with too few data or with results that would be too good."""
    others = sum(
        len(prompts)
        for name, prompts in benchmarks.items()
        if family_of(name) != family_of(benchmark)
    )
    left_out = set()
    if len(benchmarks[benchmark]) < FEWEST_PROMPTS:
        left_out |= {"learning", "hybrid"}
    if others < FEWEST_PROMPTS:
        left_out.add("transfer")
    if artifact is None or any(artifact.has_seen(p.prompt) for p in benchmarks[benchmark]):
        left_out.add("trained")
    return [name for name in SCORERS if name not in left_out]

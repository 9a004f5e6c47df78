"""manage.py train_router: train the router on recorded outcomes."""

from __future__ import annotations

import hashlib
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from analytics.management.teaching import TeachingCommand
from routing.evaluation.training_report import mix_metrics, training_metrics
from routing.learning.artifact import Artifact, prompt_hashes, save_artifact
from routing.outcomes import OutcomesError, read_outcomes
from routing.training.families import gradable, graded_by_preference
from routing.training.train import TrainingResult, fits_needed, train


class Command(TeachingCommand):
    """Train the predictor of learned routing."""

    help = (
        "Train the predictor that learned routing starts from: how likely a weak and a strong "
        "model are to answer a prompt well. Each is a mean over the weaker or the stronger models "
        "of the data, unless --weak or --strong names one. Several files are linked by the models "
        "that they share. PATH is JSON lines, plain or .gz: id, benchmark, "
        "prompt, outcomes by model with quality (0-1), input_tokens, output_tokens; an id of the "
        "form benchmark/topic/number names a topic. Benchmarks whose grades are a judge's "
        "preference between two answers (AlpacaEval, MT-Bench) are not trained on: measure with "
        "them instead. Takes a few minutes for 20 000 prompts; the "
        "same data and seed give the same file. Prompts are written as hashes only, never as text. "
        "Set ROUTER_ARTIFACT to the file and restart to use it.\n"
        "Example: manage.py train_router --data outcomes.jsonl.gz --output data/router.npz"
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
            "--output",
            type=Path,
            metavar="FILE",
            help="file to write (default: DATA_DIR/router.npz)",
        )
        parser.add_argument("--weak", help="the weak model (default: a mean over weaker models)")
        parser.add_argument(
            "--strong", help="the strong model (default: a mean over stronger models)"
        )
        parser.add_argument("--folds", type=int, default=5, help="number of folds (%(default)s)")
        parser.add_argument(
            "--seed", type=int, default=0, help="the same one gives the same file (%(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Train on the data, write the artifact, and print its measured quality."""
        for name, least in (("folds", 2), ("seed", 0)):
            if options[name] < least:
                raise CommandError(f"--{name} must be at least {least}")
        output: Path = options["output"] or Path(settings.DATA_DIR) / "router.npz"
        if not output.parent.is_dir():
            raise CommandError(f"{output.parent} is not a folder")
        choices = {key: options[key] for key in ("weak", "strong")}
        console = Console(file=self.stderr)  # type: ignore[arg-type]
        try:
            recorded = list(read_outcomes(options["data"]))
            prompts = gradable(recorded)
            with Progress(console=console, transient=True) as progress:
                task = progress.add_task(
                    f"Training on {len(prompts)} prompts",
                    total=fits_needed(prompts, options["folds"]),
                )
                trained = train(
                    prompts,
                    folds=options["folds"],
                    seed=options["seed"],
                    step=lambda: progress.advance(task),
                    **choices,
                )
            metrics = training_metrics(prompts, trained, **choices)
            mix = mix_metrics(prompts, trained)
        except OutcomesError as error:
            raise CommandError(str(error)) from None
        measured_only = Counter(p.benchmark for p in recorded if graded_by_preference(p.benchmark))
        for benchmark, count in sorted(measured_only.items()):
            self.stderr.write(
                f"{benchmark}: {count} prompts are not trained on, as their grades are a judge's "
                "preference between two answers."
            )
        record = {
            "data": {path.name: _sha256(path) for path in options["data"]},
            "benchmarks": metrics,
            "mix": mix,
            "interval_coverage": trained.coverage,
            "interval_coverage_left_out": trained.far_coverage,
            "folds": options["folds"],
            "seed": options["seed"],
            "scikit-learn": version("scikit-learn"),
            "numpy": version("numpy"),
        }
        trained_on = prompt_hashes(prompt.prompt for prompt in prompts)
        try:
            save_artifact(Artifact(trained.predictor, record, trained_on), output)
        except OSError as error:
            raise CommandError(f"{output}: cannot be written ({error.strerror})") from None
        self._report(output, metrics, mix, trained)

    def _report(
        self,
        output: Path,
        metrics: dict[str, dict[str, Any]],
        mix: dict[str, Any],
        trained: TrainingResult,
    ) -> None:
        table = Table(title="On held-out prompts", title_justify="left")
        table.add_column("benchmark")
        for heading in (
            "prompts", "weak", "strong", "APGR", "APGR, family left out", "calibration error",
        ):  # fmt: skip
            table.add_column(heading, justify="right")
        for name, figures in metrics.items():
            left_out = figures["apgr_left_out"]
            errors = (figures["calibration_error_weak"], figures["calibration_error_strong"])
            table.add_row(
                name,
                str(figures["prompts"]),
                f"{figures['weak_quality']:.3f}",
                f"{figures['strong_quality']:.3f}",
                f"{figures['apgr_held_out']:.3f}",
                "–" if left_out is None else f"{left_out:.3f}",
                f"{errors[0]:.3f} / {errors[1]:.3f}",
            )
        console = Console(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        console.print(table)
        console.print(_mix_line(mix), soft_wrap=True)
        coverage = ""
        if trained.coverage is not None:
            coverage = (
                f" (the 80 % interval of a lead held for {trained.coverage:.0%} of unseen topics)"
            )
        if trained.far_coverage is not None:
            coverage += (
                f", {trained.predictor.far_strength:g} far from what was trained on (held for "
                f"{trained.far_coverage:.0%} of benchmarks whose family was left out)"
            )
        console.print(
            f"{output}: {output.stat().st_size / 1000:.0f} kB, a prediction counts as "
            f"{trained.predictor.near_strength:g} ratings{coverage}, SHA-256 {_sha256(output)}",
            soft_wrap=True,
        )


def _mix_line(mix: dict[str, Any]) -> str:
    line = (
        f"All benchmarks with the same weight: APGR {mix['apgr_held_out']:.3f}, complexity "
        f"{mix['apgr_complexity']:.3f}"
    )
    if mix["apgr_left_out_within_families"] is None:
        return line
    errors = (mix["calibration_error_weak_left_out"], mix["calibration_error_strong_left_out"])
    return (
        f"{line}. Within families that were left out: {mix['apgr_left_out_within_families']:.3f}, "
        f"complexity {mix['apgr_complexity_within_families']:.3f}, calibration errors "
        f"{errors[0]:.3f} / {errors[1]:.3f}"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""manage.py routerarena: take part in RouterArena, and score recorded answers offline."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import track
from rich.table import Table

from analytics.management.teaching import TeachingCommand
from optimizer.lab.arena import (
    ArenaFileError,
    read_arena_choices,
    read_arena_models,
    read_arena_outcomes,
    read_arena_prompts,
)
from optimizer.wiring.routing import installed_predictor, learned_evidence, routing_engine
from routing.evaluation.arena import arena_result, robustness
from routing.models import NoEligibleModel, RoutingContext

_STRATEGIES = ("hybrid", "learning", "complexity")


class Command(TeachingCommand):
    """Write the prediction file of the public arena, or score a prediction file."""

    help = (
        "Take part in RouterArena (https://routeworks.github.io), the public comparison of "
        "routers. 'predict' writes the model that routing chooses for each of the arena's prompts. "
        "It calls no model and records nothing. 'score' computes the arena's score of a "
        "prediction file from graded answers that you have. MODELS is a TOML file with the arena's "
        "names of the models, their tiers, and their prices in USD per million tokens:\n"
        '  "gpt-4o-mini" = { tier = "simple", input = "0.15", output = "0.60" }\n'
        "Nothing in this service is trained or tuned on the arena's prompts or answers.\n"
        "Examples:\n"
        "  manage.py routerarena predict router_data.json --models models.toml "
        "--output predictions/ai-cost-optimizer.json --config config/ai-cost-optimizer.json\n"
        "  manage.py routerarena score predictions/ai-cost-optimizer.json "
        "--results cached_results/*.jsonl --models models.toml"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the two sub-commands and their options."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="predict|score")
        predict = verbs.add_parser("predict", help="write the chosen model for each prompt")
        predict.add_argument("prompts", type=Path, metavar="PROMPTS", help="the arena's prompts")
        predict.add_argument("--models", type=Path, required=True, metavar="FILE")
        predict.add_argument("--output", type=Path, required=True, metavar="FILE")
        predict.add_argument("--strategy", choices=_STRATEGIES, default="hybrid")
        predict.add_argument(
            "--config", type=Path, metavar="FILE", help="also write the arena's configuration file"
        )
        score = verbs.add_parser("score", help="score a prediction file from graded answers")
        score.add_argument("predictions", type=Path, metavar="PREDICTIONS")
        score.add_argument(
            "--results", type=Path, nargs="+", required=True, metavar="FILE",
            help="graded answers, JSON lists or JSON lines: index, model (default: the file's "
            "name), accuracy, cost or token_usage",
        )  # fmt: skip
        score.add_argument("--models", type=Path, metavar="FILE", help="prices for token_usage")
        score.add_argument(
            "--reworded", type=Path, metavar="FILE",
            help="predictions for reworded prompts, to report how many keep their model",
        )  # fmt: skip
        score.add_argument("--format", choices=("table", "json"), default="table")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write predictions, or print a score."""
        try:
            if options["verb"] == "predict":
                self._predict(options)
            else:
                self._score(options)
        except ArenaFileError as error:
            raise CommandError(str(error)) from None

    def _predict(self, options: dict[str, Any]) -> None:
        models = read_arena_models(options["models"])
        prompts = read_arena_prompts(options["prompts"])
        predictor = installed_predictor()
        engine = routing_engine(models, learned_evidence(predictor), predictor)
        progress = Console(file=self.stderr)  # type: ignore[arg-type]
        predictions = []
        for entry in track(prompts, "Deciding", console=progress, transient=True):
            try:
                decision = engine.route(
                    RoutingContext(prompt=entry.prompt), strategy=options["strategy"]
                )
            except NoEligibleModel as error:
                raise CommandError(f"prompt {entry.index}: {error}") from None
            predictions.append(
                {
                    "global index": entry.index,
                    "prompt": entry.prompt,
                    "prediction": decision.model,
                    "generated_result": None,
                    "cost": None,
                    "accuracy": None,
                }
            )
        self._write(options["output"], predictions)
        if options["config"]:
            names = [option.model for option in models.options()]
            parameters = {"router_name": options["output"].stem, "models": names}
            self._write(options["config"], {"pipeline_params": parameters})
        shares = Counter(prediction["prediction"] for prediction in predictions)
        for model, count in shares.most_common():
            self.stdout.write(f"{model}: {count} of {len(predictions)} prompts")

    def _score(self, options: dict[str, Any]) -> None:
        models = read_arena_models(options["models"]) if options["models"] else None
        choices = read_arena_choices(options["predictions"])
        result = arena_result(choices, read_arena_outcomes(options["results"], models))
        if result is None:
            raise CommandError("No graded answer is of a model that the router chose.")
        kept = None
        if options["reworded"]:
            kept = robustness(choices, read_arena_choices(options["reworded"]))
        if options["format"] == "json":
            figures = {name: getattr(result, name) for name in result.__slots__}
            self.stdout.write(json.dumps({**figures, "robustness": kept}, default=str, indent=2))
            return
        table = Table(title="RouterArena", title_justify="left", show_header=False)
        table.add_row("score", f"{100 * result.score:.2f}")
        table.add_row("accuracy", f"{result.accuracy:.2%}")
        table.add_row("cost of 1,000 prompts", f"${result.cost:.4f}")
        table.add_row("prompts", f"{result.prompts:,}")
        if result.missing:
            table.add_row("without a graded answer", f"{result.missing:,}")
        table.add_row("accuracy of the best answers", f"{result.best_accuracy:.2%}")
        table.add_row("cost of 1,000 of them", f"${result.best_cost:.4f}")
        if kept is not None:
            table.add_row("reworded prompts with the same model", f"{kept:.1%}")
        Console(file=self.stdout, highlight=False).print(table)  # type: ignore[arg-type]

    def _write(self, path: Path, content: Any) -> None:
        try:
            path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", "utf-8")
        except OSError as error:
            raise CommandError(f"{path}: cannot be written ({error.strerror})") from None
        self.stderr.write(f"Wrote {path}")

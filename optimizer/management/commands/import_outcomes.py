"""manage.py import_outcomes: learn from outcomes that were judged elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from analytics.database.batcher import batched
from analytics.management.teaching import TeachingCommand
from analytics.quality.import_outcomes import JudgedOutcome, outcomes_import
from optimizer.quality.evidence import Expectations
from optimizer.wiring.build import get_services
from providers.catalogue import Catalogue
from routing.analysis import analyze_prompt
from routing.models import ModelRef
from routing.outcomes import OutcomesError, RecordedPrompt, read_outcomes

_BATCH_SIZE = 1000


class Command(TeachingCommand):
    """Import outcomes that were judged elsewhere."""

    help = (
        "Learn from outcomes judged elsewhere (JSON lines, plain or .gz: id, benchmark, prompt, "
        "outcomes by model with quality 0-1; output_tokens teach how long answers are). "
        "Name the catalogue's model for each recorded model. "
        "An outcome counts once, however often it is imported; running services use it within "
        "EVIDENCE_REFRESH_SECONDS.\n"
        "Example: manage.py import_outcomes judged.jsonl --model gpt-x=openai/gpt-6-luna"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        parser.add_argument("data", type=Path, nargs="+", metavar="PATH")
        parser.add_argument(
            "--model", nargs="+", required=True, metavar="RECORDED=PROVIDER/MODEL",
            help="the catalogue's model for a recorded one; models without are left out",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        """Import the outcomes of the mapped models, and print how many were new."""
        services = get_services()
        names = _names(options["model"], services.catalogue)
        try:
            prompts = list(read_outcomes(options["data"]))
        except OutcomesError as error:
            raise CommandError(str(error)) from None
        recorded = {model for prompt in prompts for model in prompt.outcomes}
        if absent := sorted(set(names) - recorded):
            raise CommandError(
                f"No outcome of {', '.join(absent)}; there are {', '.join(sorted(recorded))}"
            )
        total = new = 0
        for group in batched(_judged(prompts, names, services.expectations), _BATCH_SIZE):
            total += len(group)
            new += outcomes_import(group)
        services.evidence.refresh()
        self.stdout.write(f"Learned from {new} outcomes; {total - new} were already known.")


def _names(pairs: list[str], catalogue: Catalogue) -> dict[str, ModelRef]:
    names = {}
    for pair in pairs:
        recorded, _, ref = pair.rpartition("=")
        try:
            model = ModelRef.parse(ref)
        except ValueError:
            recorded = ""
        if not recorded:
            raise CommandError(f"--model {pair}: write RECORDED=PROVIDER/MODEL")
        spec = catalogue.find(*model)
        if spec is None:
            raise CommandError(f"--model {pair}: the catalogue has no {model}")
        names[recorded] = ModelRef(spec.provider, spec.id)
    return names


def _judged(
    prompts: list[RecordedPrompt],
    names: Mapping[str, ModelRef],
    expectations: Expectations,
) -> Iterator[JudgedOutcome]:
    for prompt in prompts:
        analysis = analyze_prompt(prompt.prompt)
        for recorded, (provider, model) in names.items():
            if recorded in prompt.outcomes:
                yield JudgedOutcome(
                    external_id=f"{prompt.benchmark}:{prompt.id}:{provider}/{model}"[-200:],
                    pattern=analysis.pattern,
                    tier=analysis.tier,
                    provider=provider,
                    model=model,
                    score=prompt.outcomes[recorded].quality,
                    expected=expectations.expected(prompt.prompt, analysis.tier, provider, model),
                    tokens_out=prompt.outcomes[recorded].output_tokens or None,
                )

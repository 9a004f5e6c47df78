"""manage.py abilities: show what is published of the models, refresh it, and fit its lines."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError
from django.utils import timezone
from rich.console import Console
from rich.table import Column, Table

from analytics.exports.terminal import TerminalConsole
from analytics.management.teaching import TeachingCommand
from analytics.reports.answer_lengths import answer_lengths
from analytics.reports.answer_speeds import AnswerSpeeds, timed_answers
from optimizer.lab.published_abilities import (
    ResultChange,
    openrouter_table,
    result_changes,
    with_fitted_lines,
)
from optimizer.quality.model_places import (
    place_of,
    places_by_effort,
    published_ability,
    states_tiny_size,
)
from optimizer.wiring.installation.upstream import installed_catalogue
from optimizer.wiring.operation.catalogue_models import with_model_entries
from optimizer.wiring.operation.providers import environment_with_stored_keys
from optimizer.wiring.routing import refreshed_abilities_file
from providers.abilities import EFFORTS, AbilitiesError, AbilityTable, PublishedResult
from providers.ability_files import (
    SHIPPED_ABILITIES,
    abilities_text,
    heading_of,
    load_abilities,
    read_abilities,
)
from providers.catalogue import Catalogue, CatalogueError, ModelSpec
from providers.openrouter_indices import IndicesUnavailable, fetch_indices
from providers.registry import base_url, configured_key
from routing.learning.domains import DOMAINS
from routing.models import ModelRef
from routing.outcomes import OutcomesError, read_outcomes

_MOST_CHANGES = 20
_REFRESHED = """Written by `manage.py abilities --refresh`: indices of Artificial Analysis, as
OpenRouter lists them. Its entries win over those of providers/abilities.toml; delete the file
to go back to those alone. The lines were fitted on models that both files have."""


class Command(TeachingCommand):
    """Show, refresh and fit the published abilities of models."""

    help = (
        "Show how able each model of the catalogue is by what is published of it. The place is 0 "
        "for a model as able as the weak one of the predictor's training, and 1 for its strong "
        "one (as GPT-4o of 2024); today's models lie above. The width is the standard deviation "
        "of the place. A model of which nothing is published has its tier's place, and a wide "
        "one. Learned routing starts from these places; ratings move it away from them.\n"
        "  manage.py abilities                     places of all models\n"
        "  manage.py abilities gpt-6.1-terra       the results behind one, with their sources,\n"
        "                                          and its place, length and speed by effort\n"
        "  manage.py abilities --json              for programs; with a model, that one alone\n"
        "  manage.py abilities --refresh           read today's indices from OpenRouter\n"
        "Results that do not count have no line to the scale of abilities and decide nothing. "
        "--refresh reads OPENROUTER_BASE_URL/models, which needs no key, writes "
        "DATA_DIR/abilities.toml, and says what changed; restart the service to use it.\n"
        "--fit fits the lines of the shipped results anew, on models of recorded answers (JSON "
        "lines as for train_router):\n"
        "  manage.py abilities --fit mmlu.jsonl.gz zeroeval.jsonl.gz --output abilities.toml"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        parser.add_argument("model", nargs="?", help="show the results of this model")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument(
            "--refresh", action="store_true", help="read the indices that OpenRouter lists"
        )
        parser.add_argument(
            "--fit", type=Path, nargs="+", metavar="DATA", help="fit the lines on recorded answers"
        )
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="the file that --fit writes"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Fit, refresh, or show the table."""
        console = TerminalConsole(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        if bool(options["fit"]) != bool(options["output"]):
            raise CommandError("--fit and --output go together.")
        if options["fit"]:
            if options["refresh"] or options["json"] or options["model"]:
                raise CommandError("--fit goes with --output alone.")
            self._fit(console, options["fit"], options["output"])
            return
        try:
            catalogue = with_model_entries(installed_catalogue())
            models = _specs(catalogue, options["model"]) if options["model"] else []
            if options["refresh"]:
                changes = _refresh(catalogue)
            table = load_abilities(refreshed_abilities_file())
        except (CatalogueError, AbilitiesError) as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            body = _as_json(models or catalogue.models, table)
            if options["refresh"]:
                body["changes"] = [
                    {"model": c.model, "index": c.index, "before": c.before, "after": c.after}
                    for c in changes
                ]
            self.stdout.write(json.dumps(body, indent=1))
            return
        if options["refresh"]:
            _print_changes(console, changes)
        if models:
            _print_results(console, models, table)
            return
        console.print(_models_table(catalogue, table))
        _print_notes(console, catalogue, table)

    def _fit(self, console: Console, data: list[Path], output: Path) -> None:
        # It needs SciPy, which takes half a second to load.
        from routing.training.abilities import fit_abilities
        from routing.training.families import gradable

        try:
            shipped = read_abilities(SHIPPED_ABILITIES)
            recorded = fit_abilities(gradable(list(read_outcomes(data))))
        except (AbilitiesError, OutcomesError) as error:
            raise CommandError(str(error)) from None
        fitted = with_fitted_lines(shipped, recorded.by_model, recorded.anchors())
        _write(output, abilities_text(fitted, heading_of(SHIPPED_ABILITIES)))
        lines = Table("index", "models", "logits per point", "error (logits)")
        for index in fitted.indices.values():
            if index.line is not None:
                figures = (f"{index.line.slope:.3f}", f"{index.line.error:.2f}")
                lines.add_row(index.title, str(index.line.models), *figures)
        console.print(lines)
        console.print(f"{output}: {len(fitted.results)} results", soft_wrap=True)


def _refresh(catalogue: Catalogue) -> list[ResultChange]:
    """Write today's indices, and return what changed. Nothing is written if none came."""
    spec = catalogue.providers["openrouter"]
    environment = environment_with_stored_keys(catalogue)
    path = refreshed_abilities_file()
    shipped = read_abilities(SHIPPED_ABILITIES)
    before = load_abilities(path)
    try:
        results = fetch_indices(
            base_url(spec, environment), configured_key(spec, environment), timezone.now().date()
        )
    except IndicesUnavailable as error:
        raise CommandError(f"Nothing is changed. {error}") from None
    fresh = openrouter_table(shipped, results)
    _write(path, abilities_text(fresh, _REFRESHED))
    return result_changes(before, fresh)


def _write(path: Path, text: str) -> None:
    """Replace the file at once, so that nobody reads half of it."""
    half = path.with_name(f".{path.name}.new")
    try:
        half.write_text(text, encoding="utf-8")
        half.replace(path)
    except OSError as error:
        raise CommandError(f"{path} cannot be written ({error.strerror}).") from None


def _models_table(catalogue: Catalogue, table: AbilityTable) -> Table:
    shown = Table(Column("model", overflow="fold"), "place", "width", "results that count")
    for spec, effort in _rows(catalogue.models, table):
        place = place_of(spec, table, effort)
        results = _results(spec, effort, table)
        counted = sum(table.indices[r.index].line is not None for r in results)
        shown.add_row(
            f"{spec.ref}, effort {effort}" if effort else spec.ref,
            f"{place.at:.2f}",
            f"{place.width:.2f}",
            f"{counted} of {len(results)}" if results else _stands_for_results(spec),
        )
    return shown


def _stands_for_results(spec: ModelSpec) -> str:
    """Return what a model of which nothing is published has its place by."""
    return "none: below 1 B" if states_tiny_size(spec.id) else f"none: tier {spec.tier}"


def _specs(catalogue: Catalogue, name: str) -> list[ModelSpec]:
    specs = [spec for spec in catalogue.models if name in {spec.id, spec.ref}]
    if not specs:
        raise CommandError(f"There is no model {name} in the catalogue.")
    return specs


def _print_results(console: Console, specs: Sequence[ModelSpec], table: AbilityTable) -> None:
    """Show what is published of one model, which several providers may have."""
    place = place_of(specs[0], table, "")
    console.print(f"{', '.join(spec.ref for spec in specs)}: place {place.at:.2f}", soft_wrap=True)
    shown = Table("index", "skill", "effort", "value", "counts", "date")
    results = table.results_of(specs[0].id)
    for r in results:
        index = table.indices[r.index]
        counts = "yes" if index.line is not None else "no"
        shown.add_row(
            index.title, index.skill, r.effort or "–", f"{r.value:g}", counts, r.day.isoformat()
        )
    console.print(shown if results else "Nothing is published of it.")
    by_domain = [
        f"{domain} {change:+.2f}"
        for domain, change in zip(DOMAINS, place_of(specs[0], table, "").by_domain, strict=False)
        if round(change, 2)
    ]
    if by_domain:
        console.print(f"Its place differs by what a prompt asks for: {', '.join(by_domain)}.")
    try:
        console.print(_efforts_table(specs, table))
    except DatabaseError:
        console.print("The database cannot be read, so lengths and speeds by effort are not shown.")
    for source in dict.fromkeys(r.source for r in results):
        console.print(source, soft_wrap=True)


def _efforts_table(specs: Sequence[ModelSpec], table: AbilityTable) -> Table:
    """Show the place, the length and the speed at each effort that is published or was asked for.

    Lengths and speeds are those of the latest answers of all providers of the model.
    """
    refs = {ModelRef(spec.provider, spec.id) for spec in specs}
    lengths: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for row in answer_lengths():
        if row.ref in refs:
            lengths[row.kind.effort].append((row.answers, row.mean))
    timed = [row for row in timed_answers() if row[0] in refs]
    speeds = AnswerSpeeds((min(refs), effort, answer) for _, effort, answer in timed)
    published = places_by_effort(specs[0], table)
    shown = Table("effort", "place", "width", "answers", "mean tokens", "first (s)", "tokens/s")
    for effort in ("", *(e for e in EFFORTS if e in {*published, *lengths})):
        place = place_of(specs[0], table, effort)
        answers = sum(n for n, _ in lengths[effort])
        mean = sum(n * tokens for n, tokens in lengths[effort]) / answers if answers else None
        speed = speeds.at(min(refs), effort)
        figures = ("–", "–")
        if speed is not None:
            rate = f"{1 / speed.per_token:.0f}" if speed.per_token else "–"
            figures = (f"{speed.first:.{1 if speed.first >= 1 else 2}f}", rate)
        shown.add_row(
            effort or "not stated",
            f"{place.at:.2f}",
            f"{place.width:.2f}",
            str(answers),
            "–" if mean is None else f"{mean:.0f}",
            *figures,
        )
    return shown


def _rows(models: Sequence[ModelSpec], table: AbilityTable) -> list[tuple[ModelSpec, str]]:
    """Return each model and each of its efforts that has an ability, the most able first."""
    rows = [
        (spec, effort)
        for spec in models
        for effort in ("", *table.efforts(spec.id))
        if not effort or any(table.indices[r.index].line for r in _results(spec, effort, table))
    ]
    rows.sort(key=lambda row: -place_of(row[0], table, row[1]).at)
    return rows


def _results(spec: ModelSpec, effort: str, table: AbilityTable) -> list[PublishedResult]:
    return [r for r in table.results_of(spec.id) if r.effort == effort]


def _print_notes(console: Console, catalogue: Catalogue, table: AbilityTable) -> None:
    absent = [m.ref for m in catalogue.models if published_ability(m, table) is None]
    known = len(catalogue.models) - len(absent)
    console.print(f"{known} of {len(catalogue.models)} models have a published ability.")
    if absent:
        console.print(f"Without one: {', '.join(absent)}.")
    console.print("The results of one, with their sources: manage.py abilities MODEL")


def _print_changes(console: Console, changes: Sequence[ResultChange]) -> None:
    added = sum(change.before is None for change in changes)
    gone = sum(change.after is None for change in changes)
    console.print(
        f"{refreshed_abilities_file()}: {added} results are new, {len(changes) - added - gone} "
        f"changed, {gone} are gone. Restart the service to use them.",
        soft_wrap=True,
    )
    for change in changes[:_MOST_CHANGES]:
        before = "–" if change.before is None else f"{change.before:g}"
        after = "–" if change.after is None else f"{change.after:g}"
        console.print(f"  {change.model}, {change.index}: {before} → {after}", soft_wrap=True)
    if len(changes) > _MOST_CHANGES:
        console.print(f"  and {len(changes) - _MOST_CHANGES} more: --refresh --json lists all")


def _as_json(models: Sequence[ModelSpec], table: AbilityTable) -> dict[str, Any]:
    return {
        "models": [
            {
                "model": spec.ref,
                "effort": effort or None,
                "place": round(place.at, 3),
                "width": round(place.width, 3),
                "published": published_ability(spec, table, effort) is not None,
                "place_by_domain": {
                    domain: round(change, 3) + 0.0  # no negative zero
                    for domain, change in zip(DOMAINS, place.by_domain, strict=False)
                },
                "results": [
                    {
                        "index": r.index,
                        "title": table.indices[r.index].title,
                        "skill": table.indices[r.index].skill,
                        "value": r.value,
                        "counts": table.indices[r.index].line is not None,
                        "source": r.source,
                        "date": r.day.isoformat(),
                    }
                    for r in _results(spec, effort, table)
                ],
            }
            for spec, effort in _rows(models, table)
            for place in [place_of(spec, table, effort)]
        ]
    }

"""Fits the lines of published indices, and brings the table of abilities up to date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from optimizer.lab.ability_lines import IndexValue, fit_line, fit_lines
from providers.abilities import AbilityTable, PublishedResult, ability_key
from providers.openrouter_indices import OPENROUTER_INDICES


@dataclass(frozen=True, slots=True)
class ResultChange:
    """A result before and after a refresh; ``None`` where there is none."""

    model: str
    index: str
    before: float | None
    after: float | None


def with_fitted_lines(
    table: AbilityTable, recorded: Mapping[str, float], anchors: tuple[float, float]
) -> AbilityTable:
    """Return the table with lines fitted anew on the ``recorded`` abilities, and these anchors.

    An index through which no line can be drawn has none afterwards.
    """
    values = [
        IndexValue(r.index, ability_key(r.model), table.indices[r.index].x(r.value))
        for r in table.results
    ]
    known = {ability_key(model): ability for model, ability in recorded.items()}
    weak, strong = anchors
    bare = AbilityTable.of(weak, strong, table.without_lines().indices, table.results)
    return bare.with_lines(fit_lines(values, known))


def openrouter_table(shipped: AbilityTable, results: Iterable[PublishedResult]) -> AbilityTable:
    """Return OpenRouter's results as a table of their own, each index with a line of its own.

    The lines are fitted on the models whose ability the shipped table has, because such
    indices change their scale with each version.
    """
    fresh = AbilityTable.of(shipped.weak, shipped.strong, OPENROUTER_INDICES, results)
    lines = {}
    for name in OPENROUTER_INDICES:
        xs, known = [], []
        for result in fresh.results:
            ability = shipped.ability(result.model) if result.index == name else None
            if ability is not None:
                xs.append(result.value)
                known.append(ability)
        line = fit_line(xs, known)
        if line is not None:
            lines[name] = line
    return fresh.with_lines(lines)


def result_changes(before: AbilityTable, after: AbilityTable) -> list[ResultChange]:
    """Return the results of OpenRouter's indices that differ, by model and index."""
    old, new = (
        {
            (ability_key(r.model), r.index): r.value
            for r in table.results
            if r.index in OPENROUTER_INDICES
        }
        for table in (before, after)
    )
    return [
        ResultChange(*key, old.get(key), new.get(key))
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]

"""Lines from published indices to the scale of abilities, fitted on models that have both.

An index whose models have recorded answers is fitted on them. An index of newer models, which
nobody recorded, is then fitted on the abilities that the first lines give; their widths become
part of its error.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from providers.abilities import Ability, AbilityLine, mean_ability

FEWEST_MODELS = 5
"""Through fewer models no line is drawn: its error could not be told."""
_LEAST_ERROR = 0.1


class IndexValue(NamedTuple):
    """What a model reached in an index; ``x`` is on the scale on which the index is a line."""

    index_name: str
    model: str
    x: float


def fit_lines(
    values: Sequence[IndexValue], recorded: Mapping[str, float]
) -> dict[str, AbilityLine]:
    """Return a line for each index through at least five models of known ability.

    ``recorded`` are the abilities of models with recorded answers. An index that does not rise
    with ability gets no line.
    """
    direct = {model: Ability(mean) for model, mean in recorded.items()}
    lines = _fit_each(values, direct)
    rest = [value for value in values if value.index_name not in lines]
    return {**lines, **_fit_each(rest, {**_mapped(values, lines), **direct})}


def _fit_each(values: Sequence[IndexValue], known: Mapping[str, Ability]) -> dict[str, AbilityLine]:
    by_index: dict[str, list[IndexValue]] = defaultdict(list)
    for value in values:
        if value.model in known:
            by_index[value.index_name].append(value)
    lines = {}
    for index, group in by_index.items():
        line = fit_line([v.x for v in group], [known[v.model] for v in group])
        if line is not None:
            lines[index] = line
    return lines


def _mapped(values: Sequence[IndexValue], lines: Mapping[str, AbilityLine]) -> dict[str, Ability]:
    """Return the abilities that the lines give."""
    by_model: dict[str, list[Ability]] = defaultdict(list)
    for value in values:
        if value.index_name in lines:
            by_model[value.model].append(lines[value.index_name].ability(value.x))
    return {model: mean_ability(estimates) for model, estimates in by_model.items()}


def fit_line(xs: Sequence[float], known: Sequence[Ability]) -> AbilityLine | None:
    """Return the least-squares line through the points, weighted equally.

    Return ``None`` if there are fewer than five, if they do not differ, or if it does not rise.
    """
    n = len(xs)
    if n < FEWEST_MODELS:
        return None
    center = sum(xs) / n
    spread = sum((x - center) ** 2 for x in xs)
    if spread <= 0:
        return None
    mean = sum(ability.mean for ability in known) / n
    slope = sum((x - center) * a.mean for x, a in zip(xs, known, strict=True)) / spread
    if slope <= 0:
        return None
    residuals = [a.mean - mean - slope * (x - center) for x, a in zip(xs, known, strict=True)]
    scatter = sum(r * r for r in residuals) / (n - 2)
    inherited = sum(a.width**2 for a in known) / n
    error = max(_LEAST_ERROR, math.sqrt(scatter + inherited))
    return AbilityLine(mean, slope, center, spread, error, n)

"""Published results of models, and the ability that follows from them.

Facts come from public leaderboards and model cards, each with its source and date. An index that
has a line is mapped to the scale on which the predictor works (logits): the line was fitted on
models that have both the index and recorded answers (``manage.py abilities --fit``).
:mod:`providers.ability_files` reads results from ``abilities.toml`` and an operator's own file.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

SKILLS = (
    "intelligence", "coding", "agentic", "maths", "knowledge", "instruction", "long context",
)  # fmt: skip
SKILL_COUNTS = 0.2
"""How much of a published difference between two skills of a model its recorded answers show.

Estimated from 22 pairs of a model and a skill that have both: most of such a difference is what is
special to one benchmark.
"""
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_DATE = re.compile(r"-20\d{6}$|-20\d\d-\d\d-\d\d$")
# Names on Amazon Bedrock: "eu.anthropic.claude-haiku-4-5-20251001-v1:0", "openai.gpt-oss-20b-1:0".
_BEDROCK = re.compile(r"(?:(?:us|us-gov|eu|apac|jp|au|ca|sa|global)\.)?[a-z0-9]{2,}\.(?=[a-z])")
_BEDROCK_VERSION = re.compile(r"-v?\d+:\d+$")
# A share of tasks is mapped through its log-odds, which have no end at 0 and at 100 %.
_LEAST_SHARE = 0.005


class AbilitiesError(Exception):
    """The file of abilities cannot be read; the message names the file and the entry."""


@dataclass(frozen=True, slots=True)
class AbilityLine:
    """A line from an index to ability: ``intercept + slope * (x - center)``, in logits.

    ``error`` is the standard deviation of the residuals, ``models`` how many models it was fitted
    on, ``center`` the mean of their values, and ``spread`` the sum of their squared distances
    from it.
    """

    intercept: float
    slope: float
    center: float
    spread: float
    error: float
    models: int

    def ability(self, x: float) -> Ability:
        """Return the ability at ``x``; its width grows with the distance from the fitted models."""
        away = x - self.center
        error = self.error * math.sqrt(1 + 1 / self.models + away * away / self.spread)
        return Ability(self.intercept + self.slope * away, error)


@dataclass(frozen=True, slots=True)
class Ability:
    """How able a model is, in logits, with the standard deviation ``width`` of that estimate."""

    mean: float
    width: float = 0.0


def mean_ability(estimates: Sequence[Ability]) -> Ability:
    """Return the mean of ``estimates``, weighted by precision, with their mean error as width.

    Benchmarks of one model share their errors, so more of them do not make it narrower.
    """
    weights = [1 / e.width**2 for e in estimates]
    total = sum(weights)
    mean = sum(w * e.mean for w, e in zip(weights, estimates, strict=True)) / total
    return Ability(mean, math.sqrt(len(weights) / total))


@dataclass(frozen=True, slots=True)
class AbilityIndex:
    """A leaderboard or benchmark. Without a line, its results are shown and decide nothing.

    ``scale`` is "points", or "percent" for a share of tasks from 0 to 100.
    """

    name: str
    title: str
    skill: str
    scale: str
    line: AbilityLine | None = None

    def x(self, value: float) -> float:
        """Return ``value`` as the line takes it: points as they are, a share as log-odds."""
        if self.scale == "points":
            return value
        share = min(1 - _LEAST_SHARE, max(_LEAST_SHARE, value / 100))
        return math.log(share / (1 - share))


@dataclass(frozen=True, slots=True)
class PublishedResult:
    """What a model reached in an index. ``effort`` is that of its reasoning, empty if not stated.

    ``day`` is when the source published the value, or when it was read there.
    """

    model: str
    index: str
    value: float
    source: str
    day: date
    effort: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """The model, the effort and the index: results of the same key replace each other."""
        return (ability_key(self.model), self.effort, self.index)


@dataclass(frozen=True, slots=True)
class AbilityTable:
    """All indices by name, all results, and the two abilities between which models are placed.

    ``weak`` and ``strong`` are the abilities of the predictor's weak and strong model, in logits.
    """

    weak: float
    strong: float
    indices: Mapping[str, AbilityIndex]
    results: tuple[PublishedResult, ...]
    _by_model: Mapping[str, tuple[PublishedResult, ...]] = field(repr=False, compare=False)

    @classmethod
    def of(
        cls,
        weak: float,
        strong: float,
        indices: Mapping[str, AbilityIndex],
        results: Iterable[PublishedResult],
    ) -> AbilityTable:
        """Build the table; results are found by model."""
        by_model: dict[str, list[PublishedResult]] = defaultdict(list)
        kept = tuple(results)
        for result in kept:
            by_model[ability_key(result.model)].append(result)
        return cls(weak, strong, indices, kept, {key: tuple(r) for key, r in by_model.items()})

    def results_of(self, model: str) -> tuple[PublishedResult, ...]:
        """Return the results of ``model``; its dated editions are it, unless they have their own.

        ``model`` may have its maker's or a cloud's name before it, as in "openai/gpt-oss-20b".
        """
        key = ability_key(model)
        own = self._by_model.get(key)
        return self._by_model.get(_DATE.sub("", key), ()) if own is None else own

    def ability(self, model: str, effort: str = "") -> Ability | None:
        """Return :func:`mean_ability` over the mapped indices; ``None`` without any.

        Results of the same ``effort`` count, else those whose effort is not stated, else all.
        """
        used = self._counted(model, effort)
        return mean_ability([self.estimate(result) for result in used]) if used else None

    def above_mean(self, model: str, effort: str = "") -> dict[str, float]:
        """Return by skill how much more able ``model`` is in it than on average, in logits.

        It is the difference between the mean over the indices of the skill and over all, times
        :data:`SKILL_COUNTS`. Skills of which nothing is published are absent.
        """
        used = self._counted(model, effort)
        by_skill: dict[str, list[Ability]] = defaultdict(list)
        for result in used:
            by_skill[self.indices[result.index].skill].append(self.estimate(result))
        if len(by_skill) < 2:
            return {}
        whole = mean_ability([ability for group in by_skill.values() for ability in group]).mean
        return {
            skill: SKILL_COUNTS * (mean_ability(group).mean - whole)
            for skill, group in by_skill.items()
        }

    def _counted(self, model: str, effort: str) -> list[PublishedResult]:
        mapped = self._mapped(model)
        used = [r for r in mapped if r.effort == effort]
        return used or [r for r in mapped if not r.effort] or mapped

    def _mapped(self, model: str) -> list[PublishedResult]:
        return [r for r in self.results_of(model) if self.indices[r.index].line is not None]

    def ability_at(self, model: str, effort: str) -> Ability | None:
        """Return the ability by the results that state this ``effort``; ``None`` without any."""
        used = [r for r in self._mapped(model) if r.effort == effort]
        return mean_ability([self.estimate(result) for result in used]) if used else None

    def estimate(self, result: PublishedResult) -> Ability:
        """Return the ability that one result of a mapped index speaks for."""
        index = self.indices[result.index]
        assert index.line is not None
        return index.line.ability(index.x(result.value))

    def efforts(self, model: str) -> tuple[str, ...]:
        """Return the efforts for which ``model`` has results, the least first."""
        stated = {result.effort for result in self.results_of(model)}
        return tuple(effort for effort in EFFORTS if effort in stated)

    def with_lines(self, lines: Mapping[str, AbilityLine]) -> AbilityTable:
        """Return the same results with these lines for their indices."""
        indices = {
            name: AbilityIndex(i.name, i.title, i.skill, i.scale, lines.get(name, i.line))
            for name, i in self.indices.items()
        }
        return AbilityTable.of(self.weak, self.strong, indices, self.results)

    def without_lines(self) -> AbilityTable:
        """Return the same results, none of which decides anything."""
        indices = {
            name: AbilityIndex(i.name, i.title, i.skill, i.scale)
            for name, i in self.indices.items()
        }
        return AbilityTable.of(self.weak, self.strong, indices, self.results)

    def overlaid(self, other: AbilityTable) -> AbilityTable:
        """Return both together; where both have an index or a result, that of ``other`` counts."""
        results = {result.key: result for result in (*self.results, *other.results)}
        indices = {**self.indices, **other.indices}
        return AbilityTable.of(self.weak, self.strong, indices, results.values())


def ability_key(model: str) -> str:
    """Return the name by which one model is the same at every provider."""
    name = model.rpartition("/")[2].lower()
    if match := _BEDROCK.match(name):
        name = _BEDROCK_VERSION.sub("", name[match.end() :])
    return name.partition(":")[0].replace("@", "-").replace(".", "-")

"""Published results of models, and the ability that follows from them.

Facts come from public leaderboards and model cards, each with its source and date. An index that
has a line is mapped to the scale on which the predictor works (logits): the line was fitted on
models that have both the index and recorded answers (``manage.py abilities --fit``).
Results are read from ``abilities.toml`` and, if there is one, from a second file whose entries win.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from providers.toml_file import read_toml

SHIPPED_ABILITIES = Path(__file__).with_name("abilities.toml")
SKILLS = (
    "intelligence", "coding", "agentic", "maths", "knowledge", "instruction", "long context",
)  # fmt: skip
SKILL_COUNTS = 0.2
"""How much of a published difference between two skills of a model its recorded answers show.

Estimated from 22 pairs of a model and a skill that have both: most of such a difference is what is
special to one benchmark.
"""
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
SCALES = ("points", "percent")
_LINE_FIELDS = ("intercept", "slope", "center", "spread", "error", "models")
_NAME = re.compile(r"[a-z0-9_]+")
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
        results = {_key(result): result for result in (*self.results, *other.results)}
        indices = {**self.indices, **other.indices}
        return AbilityTable.of(self.weak, self.strong, indices, results.values())


def ability_key(model: str) -> str:
    """Return the name by which one model is the same at every provider."""
    name = model.rpartition("/")[2].lower()
    if match := _BEDROCK.match(name):
        name = _BEDROCK_VERSION.sub("", name[match.end() :])
    return name.partition(":")[0].replace("@", "-").replace(".", "-")


def _key(result: PublishedResult) -> tuple[str, str, str]:
    return (ability_key(result.model), result.effort, result.index)


def load_abilities(operator_file: Path | None = None) -> AbilityTable:
    """Return the shipped table; results and indices of the operator's file win over it.

    Raises :class:`AbilitiesError`, which names the file and the wrong entry.
    """
    shipped = read_abilities(SHIPPED_ABILITIES)
    if operator_file is None or not operator_file.exists():
        return shipped
    return shipped.overlaid(read_abilities(operator_file))


def read_abilities(path: Path) -> AbilityTable:
    """Return the table that is in one file."""
    raw = read_toml(path, AbilitiesError)
    weak, strong = _anchors(path, raw.get("scale"))
    declared = raw.get("indices", {})
    if not isinstance(declared, dict):
        raise AbilitiesError(f"{path}: [indices] must be tables")
    indices = {name: _index(f"{path}: index {name}", name, e) for name, e in declared.items()}
    results: dict[tuple[str, str, str], PublishedResult] = {}
    for number, entry in enumerate(_tables(f"{path}: models", raw.get("models", [])), start=1):
        model = entry.get("name")
        if not isinstance(model, str) or not model:
            raise AbilitiesError(f"{path}: model {number} needs a name")
        where = f"{path}: model {model}"
        for row in _tables(where, entry.get("results", [])):
            result = _result(where, model, row, indices)
            if _key(result) in results:
                raise AbilitiesError(f"{where}: it has two results of {result.index}")
            results[_key(result)] = result
    return AbilityTable.of(weak, strong, indices, results.values())


def _tables(where: str, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise AbilitiesError(f"{where}: it must be a list of tables")
    return value


def _anchors(path: Path, entry: Any) -> tuple[float, float]:
    entry = entry if isinstance(entry, dict) else {}
    weak, strong = (_number(f"{path}: [scale] {end}", entry.get(end)) for end in ("weak", "strong"))
    if weak >= strong:
        raise AbilitiesError(f"{path}: [scale] weak must be below strong")
    return weak, strong


def _index(where: str, name: str, entry: Any) -> AbilityIndex:
    if not isinstance(entry, dict) or not _NAME.fullmatch(name):
        raise AbilitiesError(f"{where}: it must be a table with a name of a-z, 0-9 and _")
    skill, scale = entry.get("skill"), entry.get("scale", "points")
    if skill not in SKILLS:
        raise AbilitiesError(f"{where}: skill must be one of {', '.join(SKILLS)}")
    if scale not in SCALES:
        raise AbilitiesError(f"{where}: scale must be one of {', '.join(SCALES)}")
    line = _line(where, entry["line"]) if "line" in entry else None
    return AbilityIndex(name, str(entry.get("title") or name), skill, scale, line)


def _line(where: str, entry: Any) -> AbilityLine:
    if not isinstance(entry, dict) or set(entry) != set(_LINE_FIELDS):
        raise AbilitiesError(f"{where}: line needs {', '.join(_LINE_FIELDS)}")
    numbers = {name: _number(f"{where}: line {name}", entry[name]) for name in _LINE_FIELDS}
    if min(numbers[name] for name in ("slope", "spread", "error", "models")) <= 0:
        raise AbilitiesError(f"{where}: slope, spread, error and models must be above zero")
    return AbilityLine(**{**numbers, "models": int(numbers["models"])})  # type: ignore[arg-type]


def _result(
    where: str, model: str, row: dict[str, Any], indices: Mapping[str, AbilityIndex]
) -> PublishedResult:
    index = str(row.get("index"))
    if index not in indices:
        raise AbilitiesError(f"{where}: index must be one of {', '.join(indices)}")
    where = f"{where}, {index}"
    value = _number(where, row.get("value"))
    if indices[index].scale == "percent" and not 0 <= value <= 100:
        raise AbilitiesError(f"{where}: a share must be from 0 to 100")
    effort = row.get("effort", "")
    if effort and effort not in EFFORTS:
        raise AbilitiesError(f"{where}: effort must be one of {', '.join(EFFORTS)}")
    source, day = row.get("source"), row.get("date")
    if not isinstance(source, str) or not source.startswith(("https://", "http://")):
        raise AbilitiesError(f"{where}: source must be the address of a page")
    if not isinstance(day, date):
        raise AbilitiesError(f"{where}: date must be a date, as in 2026-11-29")
    return PublishedResult(model, index, value, source, day, effort)


def _number(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise AbilitiesError(f"{where}: it must be a number")
    return float(value)


def heading_of(path: Path) -> str:
    """Return the comment at the head of a file of abilities, without its signs."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line[1:].removeprefix(" "))
    return "\n".join(lines)


def abilities_text(abilities: AbilityTable, heading: str) -> str:
    """Return the table as the text of a file, below ``heading``, whose lines are comments."""
    lines = [f"# {line}".rstrip() for line in heading.splitlines()]
    lines += ["", "[scale]", f"weak = {abilities.weak:.4f}", f"strong = {abilities.strong:.4f}"]
    for index in abilities.indices.values():
        lines += [
            "", f"[indices.{index.name}]", f"title = {_quoted(index.title)}",
            f"skill = {_quoted(index.skill)}", f"scale = {_quoted(index.scale)}",
        ]  # fmt: skip
        if index.line is not None:
            fields = (f"{name} = {_figure(getattr(index.line, name))}" for name in _LINE_FIELDS)
            lines.append(f"line = {{ {', '.join(fields)} }}")
    by_model: dict[str, list[PublishedResult]] = defaultdict(list)
    for result in abilities.results:
        by_model[result.model].append(result)
    for model, results in by_model.items():
        lines += ["", "[[models]]", f"name = {_quoted(model)}", "results = ["]
        lines += [f"    {_row(result)}," for result in results]
        lines.append("]")
    return "\n".join(lines) + "\n"


def _row(result: PublishedResult) -> str:
    effort = f"effort = {_quoted(result.effort)}, " if result.effort else ""
    return (
        f"{{ index = {_quoted(result.index)}, {effort}value = {result.value:g}, "
        f"date = {result.day.isoformat()}, source = {_quoted(result.source)} }}"
    )


def _figure(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def _quoted(text: str) -> str:
    """Return ``text`` as a basic string of TOML; characters of control become spaces."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'

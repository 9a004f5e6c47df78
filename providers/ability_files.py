"""Reads and writes files of published results: the shipped one, and the operator's."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from providers.abilities import (
    EFFORTS,
    SKILLS,
    AbilitiesError,
    AbilityIndex,
    AbilityLine,
    AbilityTable,
    PublishedResult,
)
from providers.toml_file import read_toml

SHIPPED_ABILITIES = Path(__file__).with_name("abilities.toml")
_SCALES = ("points", "percent")
_LINE_FIELDS = ("intercept", "slope", "center", "spread", "error", "models")
_NAME = re.compile(r"[a-z0-9_]+")


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
            if result.key in results:
                raise AbilitiesError(f"{where}: it has two results of {result.index}")
            results[result.key] = result
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
    if scale not in _SCALES:
        raise AbilitiesError(f"{where}: scale must be one of {', '.join(_SCALES)}")
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

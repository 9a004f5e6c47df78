"""Adds settings to the files of agents, and leaves everything else in them as it is."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BEGIN, END = "# AI Cost Optimizer: begin", "# AI Cost Optimizer: end"
_TABLE = re.compile(r"^\s*\[", re.MULTILINE)


class CannotMerge(ValueError):
    """The file has a form that nothing can be added to safely; the message says why."""


@dataclass(frozen=True, slots=True)
class JsonFile:
    """Settings in a JSON file; objects are merged, and other values replaced."""

    path: str
    values: Mapping[str, Any]

    def merged(self, text: str) -> str:
        """Return ``text`` with the settings. Raises :class:`CannotMerge`."""
        try:
            known = json.loads(text) if text.strip() else {}
        except ValueError:
            raise CannotMerge("it is not plain JSON; comments would be lost") from None
        if not isinstance(known, dict):
            raise CannotMerge("it holds no JSON object")
        return json.dumps(_merged(known, self.values), indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class EnvFile:
    """Settings as ``NAME=value`` or, with another ``separator``, as ``name: value``."""

    path: str
    values: Mapping[str, str]
    separator: str = "="

    def merged(self, text: str) -> str:
        """Return ``text`` with the settings: each replaces its line, or is added."""
        lines = text.splitlines()
        for name, value in self.values.items():
            line = f"{name}{self.separator}{value}"
            begins = re.compile(rf"(export\s+)?{re.escape(name)}\s*{re.escape(self.separator[:1])}")
            place = next((at for at, known in enumerate(lines) if begins.match(known)), None)
            if place is None:
                lines.append(line)
            else:
                lines[place] = line
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class TomlFile:
    """Settings in a TOML file: some at the top, and one table of our own."""

    path: str
    top: Mapping[str, str]
    table: str
    values: Mapping[str, str]

    def merged(self, text: str) -> str:
        """Return ``text`` with the settings. Raises :class:`CannotMerge`."""
        try:
            tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise CannotMerge(f"it is no valid TOML: {error}") from None
        text = self._without_table(text)
        first = _TABLE.search(text)
        head, rest = (text, "") if first is None else (text[: first.start()], text[first.start() :])
        for name, value in self.top.items():
            line = f"{name} = {json.dumps(value)}"
            pattern = re.compile(rf"^[ \t]*{re.escape(name)}[ \t]*=.*$", re.MULTILINE)
            match = pattern.search(head)
            if match is None:
                head = f"{line}\n{head}"
            else:
                head = head[: match.start()] + line + head[match.end() :]
        table = "\n".join(
            [f"[{self.table}]", *(f"{name} = {value}" for name, value in self.values.items())]
        )
        merged = "\n".join(part.strip("\n") for part in (head, rest, table) if part.strip()) + "\n"
        try:
            known = tomllib.loads(merged)
        except tomllib.TOMLDecodeError as error:
            raise CannotMerge(f"the settings do not fit into it: {error}") from None
        if any(known.get(name) != value for name, value in self.top.items()):
            raise CannotMerge("it sets the same names in another form")
        return merged

    def _without_table(self, text: str) -> str:
        start = re.search(rf"^\[{re.escape(self.table)}\][ \t]*$", text, re.MULTILINE)
        if start is None:
            return text
        after = _TABLE.search(text, start.end())
        return text[: start.start()] + (text[after.start() :] if after else "")


@dataclass(frozen=True, slots=True)
class YamlListFile:
    """One item of a list in a YAML file, between two comments of ours.

    ``head`` are the lines of a new file before the list.
    """

    path: str
    name: str
    item: tuple[str, ...]
    head: tuple[str, ...] = ()

    def merged(self, text: str) -> str:
        """Return ``text`` with the item. Raises :class:`CannotMerge`."""
        block = [f"  {BEGIN}", *(f"  {line}" for line in self.item), f"  {END}"]
        if not text.strip():
            return "\n".join([*self.head, f"{self.name}:", *block]) + "\n"
        lines = text.splitlines()
        marks = [at for at, line in enumerate(lines) if line.strip() in (BEGIN, END)]
        if len(marks) == 2:
            lines[marks[0] : marks[1] + 1] = block
        elif f"{self.name}:" in lines:
            place = lines.index(f"{self.name}:") + 1
            lines[place:place] = block
        elif any(line.startswith(f"{self.name}:") for line in lines):
            raise CannotMerge(f"its list of {self.name} is written in one line")
        else:
            lines += [f"{self.name}:", *block]
        return "\n".join(lines) + "\n"


ConfigFile = JsonFile | EnvFile | TomlFile | YamlListFile


def _merged(known: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(known)
    for name, value in more.items():
        old = result.get(name)
        both = isinstance(value, Mapping) and isinstance(old, Mapping)
        result[name] = _merged(old, value) if both else value  # type: ignore[arg-type]
    return result


def file_write(file: ConfigFile, home: Path) -> tuple[Path, Path | None]:
    """Write the settings; return the file and the copy of what it was, if it was there.

    A file is readable by its owner alone, as it holds a key. Raises :class:`CannotMerge` and
    ``OSError``.
    """
    path = home / file.path
    before = path.read_text(encoding="utf-8") if path.exists() else None
    text = file.merged(before or "")
    backup = None
    if before is not None and before != text:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        backup = path.with_name(f"{path.name}.{stamp}.bak")
        _write(backup, before)
    if before != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.new")
        _write(beside, text)
        beside.replace(path.resolve() if path.is_symlink() else path)
    return path, backup


def _write(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)

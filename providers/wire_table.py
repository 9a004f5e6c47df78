"""The published table: what becomes of each field of a client's API on each provider's wire.

``wires.toml`` is the data, docs/wires.md shows it, and tests hold both to the code.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from providers.chat import OriginalRequest
from providers.toml_file import read_toml

Word = Literal["carried", "adapted", "dropped", "binding", "handled"]

WIRES = ("openai", "openai-responses", "anthropic", "gemini", "local")
WORDS: tuple[Word, ...] = get_args(Word)
_TABLE = Path(__file__).with_name("wires.toml")
_STEP = re.compile(r"([^.\[\]]+)|\[([^\]]*)\]")


class BadTable(Exception):
    """The table is not as it must be; the message says where."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """What becomes of a field on one wire: a word, and how that is done where it needs saying."""

    word: Word
    how: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an API.

    ``name`` is its path, where ``[]`` is each item of a list and ``[kind]`` one kind of item, and
    ``at`` is the place in ``request``, which has the field; ``without`` is the same request
    without it. ``on`` has what becomes of the field on each other wire. ``label`` marks a field
    that has no part in the answer: it is no reason to refuse a strict request.
    """

    name: str
    at: str
    request: Mapping[str, Any]
    without: Mapping[str, Any]
    on: Mapping[str, Treatment]
    label: bool = False


@dataclass(frozen=True, slots=True)
class Api:
    """A client API; ``wire`` is its own wire, on which every field arrives as it came."""

    wire: str
    title: str
    path: str
    reference: str
    fields: tuple[Field, ...]

    @property
    def others(self) -> tuple[str, ...]:
        """The wires to which requests of this API are translated."""
        # Requests of other APIs reach OpenAI's models as chat completions.
        return tuple(w for w in WIRES if w not in (self.wire, "openai-responses"))


def wire_table() -> tuple[Api, ...]:
    """Return the client APIs with their fields. Raises :class:`BadTable`."""
    return tuple(_api(wire, entry) for wire, entry in _DATA.items())


def client_name(source: OriginalRequest, field: str) -> str:
    """Return the name in the client's API of a field of chat completions.

    An API may have several fields for one purpose: the name is that of the first in the request.
    What follows the name in brackets stays.
    """
    field, bracket, more = field.partition(" (")
    names = _NAMES.get(source.wire, {}).get(field, (field,))
    name = next((name for name in names if _is_in(source.body, name)), names[0])
    return name + bracket + more


def labels_of(source: OriginalRequest) -> frozenset[str]:
    """Return the fields of the client's API that have no part in the answer."""
    return _LABELS.get(source.wire, frozenset())


def _is_in(body: Any, name: str) -> bool:
    for step in name.split("."):
        if isinstance(body, list):
            body = body[0] if body else None
        if not isinstance(body, Mapping) or step not in body:
            return False
        body = body[step]
    return body is not None


def _api(wire: str, entry: Mapping[str, Any]) -> Api:
    fields = [_field(wire, name, field, entry) for name, field in entry["fields"].items()]
    return Api(wire, entry["title"], entry["path"], entry["reference"], tuple(fields))


def _field(wire: str, name: str, field: Mapping[str, Any], api: Mapping[str, Any]) -> Field:
    place = f"{_TABLE.name}: {wire}: {name}"
    given = field.get("given", {})
    without = {**api["request"], **(api["given"][given] if isinstance(given, str) else given)}
    request, at = copy.deepcopy(without), field.get("at", name)
    if "sample" in field:
        _set(request, at, field["sample"])
    own = {"sample", "at", "given", "label", "all"}
    if unknown := field.keys() - own - set(WIRES):
        raise BadTable(f"{place}: unknown {', '.join(sorted(unknown))}")
    on = {w: _treatment(place, field[w]) for w in WIRES if w in field}
    if "all" in field:
        others = Api(wire, "", "", "", ()).others
        on = {w: on.get(w) or _treatment(place, field["all"]) for w in others}
    return Field(name, at, request, without, on, field.get("label", False))


def _treatment(place: str, text: str) -> Treatment:
    word, _, how = text.partition(": ")
    if word not in WORDS:
        raise BadTable(f"{place}: {text!r} must begin with one of {', '.join(WORDS)}")
    return Treatment(word, how)


def _set(request: dict[str, Any], path: str, sample: Any) -> None:
    """Set ``path`` to ``sample``; ``[]`` is the first item, ``[kind]`` a new item at the end."""
    steps = list(_steps(path))
    here: Any = request
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        if following is None:
            if step == "+":
                here.append(sample)
            else:
                here[step] = sample
        elif isinstance(step, int):
            here = here[step]
        else:
            here = here.setdefault(step, [] if following == "+" else {})


def _steps(path: str) -> Iterator[str | int]:
    for name, index in _STEP.findall(path):
        if name:
            yield name
        else:
            yield int(index or 0) if index == "" or index.isdigit() else "+"


_DATA = read_toml(_TABLE, BadTable)
_NAMES: Mapping[str, Mapping[str, Sequence[str]]] = {
    wire: entry.get("names", {}) for wire, entry in _DATA.items()
}
_LABELS: Mapping[str, frozenset[str]] = {
    wire: frozenset(name for name, field in entry["fields"].items() if field.get("label"))
    for wire, entry in _DATA.items()
}
FIELDS: frozenset[str] = frozenset(
    re.split(r"[.\[,]", name, maxsplit=1)[0] for entry in _DATA.values() for name in entry["fields"]
) - {"any other field"}
"""The fields of the bodies of all client APIs."""

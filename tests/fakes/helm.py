"""Renders a chart without Helm: the part of Go's templates, and of Helm's functions, that it uses.

Anything else raises :class:`ChartError`. https://pkg.go.dev/text/template and
https://helm.sh/docs/chart_template_guide/function_list/
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

_ACTION = re.compile(r"\{\{(-\s)?\s*(.*?)\s*(\s-)?\}\}", re.S)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[()|]|[^\s()|]+')


class ChartError(Exception):
    """A template cannot be rendered; the message says why."""


class Chart:
    """The chart in ``folder``, as a release that is named ``release``."""

    def __init__(self, folder: Path, release: str = "live") -> None:
        self._templates = sorted((folder / "templates").iterdir())
        self._chart = yaml.safe_load((folder / "Chart.yaml").read_text())
        self._values = yaml.safe_load((folder / "values.yaml").read_text())
        self.schema = json.loads((folder / "values.schema.json").read_text())
        self._release = {"Name": release, "Service": "Helm", "Revision": 1, "Namespace": "here"}
        self._defined: dict[str, list[Any]] = {}

    def values(self, **changes: Any) -> dict[str, Any]:
        """Return the chart's values with ``changes``, merged as Helm does."""
        return _merged(self._values, changes)

    def render(self, **changes: Any) -> dict[str, str]:
        """Return what each template becomes, by its name."""
        about = {name[0].upper() + name[1:]: value for name, value in self._chart.items()}
        root = {"Values": self.values(**changes), "Release": self._release, "Chart": about}
        nodes = {path.name: self._parsed(path.read_text()) for path in self._templates}
        return {
            name: "".join(self._run(tree, root, root))
            for name, tree in nodes.items()
            if not name.startswith("_")
        }

    def documents(self, **changes: Any) -> dict[str, dict[str, Any]]:
        """Return the manifests by kind."""
        rendered = self.render(**changes)
        manifests = [
            document
            for name, text in rendered.items()
            if name.endswith(".yaml")
            for document in yaml.safe_load_all(text)
            if document
        ]
        kinds = [manifest["kind"] for manifest in manifests]
        assert len(kinds) == len(set(kinds))
        return dict(zip(kinds, manifests, strict=True))

    def _parsed(self, text: str) -> list[Any]:
        parts: list[Any] = []
        place, trim = 0, False
        for match in _ACTION.finditer(text):
            before = text[place : match.start()]
            before = before.lstrip() if trim else before
            parts += [before.rstrip() if match[1] else before, (match[2],)]
            place, trim = match.end(), bool(match[3])
        parts.append(text[place:].lstrip() if trim else text[place:])
        return self._block(iter(parts))[0]

    def _block(self, parts: Iterator[Any]) -> tuple[list[Any], str]:
        nodes: list[Any] = []
        for part in parts:
            if isinstance(part, str):
                nodes.append(part)
                continue
            word, _, rest = part[0].partition(" ")
            if word in ("end", "else"):
                return nodes, part[0]
            if word in ("if", "with", "range", "define"):
                inside, ended = self._block(parts)
                otherwise: list[Any] = []
                if ended == "else":
                    otherwise, ended = self._block(parts)
                if ended != "end":
                    raise ChartError(f"{part[0]} has no end")
                if word == "define":
                    self._defined[json.loads(rest)] = inside
                else:
                    nodes.append((word, rest, inside, otherwise))
            else:
                nodes.append(part)
        return nodes, ""

    def _run(self, nodes: list[Any], dot: Any, root: Any) -> Iterator[str]:
        for node in nodes:
            if isinstance(node, str):
                yield node
            elif len(node) == 1:
                value = self._value(node[0], dot, root)
                yield _text(value)
            else:
                word, expression, inside, otherwise = node
                value = self._value(expression, dot, root)
                if not value:
                    yield from self._run(otherwise, dot, root)
                elif word == "range":
                    for item in value:
                        yield from self._run(inside, item, root)
                else:
                    yield from self._run(inside, value if word == "with" else dot, root)

    def _value(self, expression: str, dot: Any, root: Any) -> Any:
        tokens = iter([*_TOKEN.findall(expression), None])
        return self._pipeline(tokens, dot, root)

    def _pipeline(self, tokens: Iterator[Any], dot: Any, root: Any) -> Any:
        """Return the value of what stands before a closing parenthesis or the end."""
        words: list[Any] = []
        piped: list[Any] = []
        for token in tokens:
            if token == "(":
                words.append((self._pipeline(tokens, dot, root),))
            elif token in ("|", ")", None):
                piped = [self._call(words, piped, dot, root)]
                words = []
                if token != "|":
                    return piped[0]
            else:
                words.append(token)
        raise ChartError("a parenthesis is open")

    def _call(self, words: list[Any], piped: list[Any], dot: Any, root: Any) -> Any:
        first, *rest = words
        args = [_operand(word, dot, root) for word in rest] + piped
        if first == "include":
            return "".join(self._run(self._defined[args[0]], args[1], root))
        if isinstance(first, str) and (function := _FUNCTIONS.get(first)) is not None:
            return function(*args)
        if args:
            raise ChartError(f"{first} is no function that is known here")
        return _operand(first, dot, root)


def _operand(word: Any, dot: Any, root: Any) -> Any:
    if isinstance(word, tuple):
        return word[0]
    if word.startswith('"'):
        return json.loads(word)
    if word.lstrip("-").isdigit():
        return int(word)
    if not word.startswith((".", "$")):
        raise ChartError(f"{word} is not known here")
    value = root if word.startswith("$") else dot
    for name in filter(None, word.lstrip("$").split(".")):
        if not isinstance(value, Mapping):
            raise ChartError(f"{word} does not exist")
        value = value.get(name)
    return value


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _merged(values: Any, changes: Any) -> Any:
    if not isinstance(values, dict) or not isinstance(changes, dict):
        return changes
    return values | {name: _merged(values.get(name), change) for name, change in changes.items()}


def _fail(message: str) -> Any:
    raise ChartError(message)


def _or(*values: Any) -> Any:
    return next((value for value in values if value), values[-1])


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "contains": lambda part, text: part in text,
    "default": lambda usual, value: value or usual,
    "fail": _fail,
    "nindent": lambda spaces, text: "".join(f"\n{' ' * spaces}{line}" for line in text.split("\n")),
    "not": lambda value: not value,
    "or": _or,
    "printf": lambda form, *values: form.replace("%v", "%s") % tuple(map(_text, values)),
    "quote": lambda value: json.dumps(_text(value)),
    "sha256sum": lambda text: hashlib.sha256(text.encode()).hexdigest(),
    "toYaml": lambda value: yaml.safe_dump(value, default_flow_style=False).removesuffix("\n"),
    "trimSuffix": lambda suffix, text: text.removesuffix(suffix),
    "trunc": lambda length, text: text[:length],
}

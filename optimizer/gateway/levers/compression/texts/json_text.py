"""Writes JSON shorter without a change of meaning: numbers, strings and keys stay as written.

Nothing is parsed into values and written again, which would change ``1.10``, ``1e400`` or a key
that an object has twice. Whitespace between tokens goes, and a list of objects with the same keys
names these once: ``[{"a":1,"b":2},{"a":3,"b":4}]`` becomes
``{"@columns":["a","b"],"@rows":[[1,2],[3,4]]}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_COLUMNS, _ROWS = '{"@columns":', ',"@rows":'
_TOKENS = re.compile(r'"(?:[^"\\]++|\\.)*+"|[^ \t\r\n"]++', re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_FLAT = re.compile(r'(?:"(?:[^"\\]++|\\.)*+"|[^\[\]{}",])++', re.DOTALL)
_LEAST_ROWS = 3
_DEEPEST = 3
"""Levels below the top at which lists of objects are still looked for."""


def is_json(text: str) -> bool:
    """Return whether ``text`` is one JSON object or list; constants such as NaN count as JSON."""
    if text.lstrip(" \t\r\n")[:1] not in {"{", "["}:
        return False
    try:
        # Numbers stay texts: Python refuses to read integers of many digits.
        json.loads(text, parse_int=str, parse_float=str, strict=False)
    except (ValueError, RecursionError):
        return False
    return True


def without_whitespace(text: str) -> str:
    """Return the JSON ``text`` without whitespace between its tokens."""
    return "".join(_TOKENS.findall(text))


def with_columns(text: str) -> str:
    """Return JSON without whitespace, ``text``, in which lists of like objects name keys once.

    ``text`` itself where there is no such list, or where it has the new form's own names.
    """
    if '"@columns"' in text or '"@rows"' in text:
        return text
    return _columned(text, 0)


def as_objects(text: str) -> str:
    """Return what :func:`with_columns` was given."""
    if not text.startswith(_COLUMNS):
        opening = text[:1]
        if opening not in {"{", "["} or _COLUMNS not in text:
            return text
        return _rebuilt(text, as_objects)
    end = _value_end(text, len(_COLUMNS))
    names = list(_elements(text[len(_COLUMNS) : end]))
    rows = text[end + len(_ROWS) : -1]
    objects = (
        ",".join(
            f"{name}:{as_objects(value)}" for name, value in zip(names, _elements(row), strict=True)
        )
        for row in _elements(rows)
    )
    return f"[{','.join(f'{{{fields}}}' for fields in objects)}]"


def _columned(text: str, depth: int) -> str:
    if text[:1] not in {"{", "["} or depth > _DEEPEST or len(text) < 32:
        return text
    if text[0] == "[" and text.startswith("[{"):
        objects = [list(_members(element)) for element in _elements(text)]
        names = [name for name, _ in objects[0]]
        if (
            len(objects) >= _LEAST_ROWS
            and len(set(names)) == len(names) > 0
            and all([name for name, _ in each] == names for each in objects)
        ):
            rows = ",".join(
                f"[{','.join(_columned(value, depth + 1) for _, value in each)}]"
                for each in objects
            )
            return f"{_COLUMNS}[{','.join(names)}]{_ROWS}[{rows}]}}"
    return _rebuilt(text, lambda value: _columned(value, depth + 1))


def _rebuilt(text: str, change) -> str:  # type: ignore[no-untyped-def]
    if text[0] == "[":
        return f"[{','.join(map(change, _elements(text)))}]"
    return f"{{{','.join(f'{name}:{change(value)}' for name, value in _members(text))}}}"


def _members(text: str) -> Iterator[tuple[str, str]]:
    """Yield the names and the values of an object without whitespace; nothing of other values."""
    if text[:1] != "{":
        return
    at = 1
    while text[at] != "}":
        match = _STRING.match(text, at)
        assert match is not None
        begin = match.end() + 1
        end = _value_end(text, begin)
        yield match[0], text[begin:end]
        at = end + (text[end] == ",")


def _elements(text: str) -> Iterator[str]:
    """Yield the elements of a list without whitespace."""
    at = 1
    while text[at] != "]":
        end = _value_end(text, at)
        yield text[at:end]
        at = end + (text[end] == ",")


def _value_end(text: str, at: int) -> int:
    """Return where the value that begins at ``at`` ends."""
    if text[at] not in "[{":
        match = _FLAT.match(text, at)
        assert match is not None
        return match.end()
    depth = 0
    for token in _NESTING.finditer(text, at):
        sign = token[0]
        if sign in "[{":
            depth += 1
        elif sign in "]}":
            depth -= 1
            if not depth:
                return token.end()
    raise AssertionError("the value was read as JSON before")


_NESTING = re.compile(r'[\[\]{}]|"(?:[^"\\]++|\\.)*+"', re.DOTALL)

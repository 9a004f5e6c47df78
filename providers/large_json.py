"""Read and write large JSON without holding the interpreter for long.

One call of :mod:`json` for a body of many megabytes keeps every other thread waiting, even if it
runs beside the event loop. Here such values are read and written piece by piece, with the same
result as at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from json.decoder import JSONArray, JSONObject  # type: ignore[attr-defined]
from math import isfinite
from typing import Any

import orjson

LARGE_BYTES = 256 * 1024
"""Larger JSON is read and written on a thread, so that other requests are served meanwhile."""

DENSE_BYTES = 32 * 1024
"""Smaller JSON is read at once, whatever it holds."""
# Reading, checking and translating each object or array takes several microseconds.
_MOST_CONTAINERS = 2_000

MOST_LEVELS = 200
"""What is nested deeper in an answer is left out: Python reads deeper values than it writes."""

# orjson reads so many bytes in a tenth of a second.
_MOST_AT_ONCE = 8 * 1024 * 1024
# The shortest integers that may have more than 64 bits, which orjson reads as floats.
_DIGITS = bytes(48 if 48 <= byte <= 57 else 32 for byte in range(256))
_LONG_INTEGER = b"0" * 19
# The values that are written in one call: it takes about a millisecond.
_VALUES_PER_PIECE = 2_000
_LEVELS_READ_APART = 6

Dumps = Callable[[Any], str]
_Scan = Callable[[str, int], tuple[Any, int]]


def is_large(raw: bytes) -> bool:
    """Return whether ``raw`` is long, or has so many values, that a thread should read it.

    Below :data:`DENSE_BYTES` it never is, so that callers need not ask.
    """
    if len(raw) > LARGE_BYTES:
        return True
    return raw.count(b"{") + raw.count(b"[") > _MOST_CONTAINERS


def read_large(text: str, parse_constant: Callable[[str], Any] | None = None) -> Any:
    """Return what :class:`json.JSONDecoder` reads in ``text``; faster where orjson reads the same.

    Raises ``ValueError`` and ``RecursionError``.
    """
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) <= _MOST_AT_ONCE and _LONG_INTEGER not in raw.translate(_DIGITS):
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            pass  # the decoder reads more, such as lone surrogates, or says what is wrong
    decoder: Any = json.JSONDecoder(parse_constant=parse_constant)
    keys: dict[str, str] = {}
    # It takes several times as long as one call, but other threads run meanwhile.
    for _ in range(_LEVELS_READ_APART):
        decoder.scan_once = _one_level(decoder.scan_once, keys)
    return decoder.decode(text)


def replace_constants(value: Any) -> bool:
    """Replace NaN and infinities within ``value`` by ``None``; return whether there was any.

    Python writes and reads them, but they are no JSON: most clients cannot read a body with one.
    """
    replaced, waiting = False, [value]
    while waiting:
        holder = waiting.pop()
        for key, item in holder.items() if isinstance(holder, dict) else enumerate(holder):
            if isinstance(item, (dict, list)):
                waiting.append(item)
            elif isinstance(item, float) and not isfinite(item):
                holder[key], replaced = None, True
    return replaced


def writable(value: Any) -> Any:
    """Return a copy of ``value`` that can be written: ``None`` where it is no JSON or too deep."""
    root = [value]
    waiting: list[tuple[Any, int]] = [(root, 0)]
    while waiting:
        holder, level = waiting.pop()
        for key, item in list(holder.items() if isinstance(holder, dict) else enumerate(holder)):
            if isinstance(item, (dict, list, tuple)):
                if level == MOST_LEVELS:
                    holder[key] = None
                    continue
                holder[key] = dict(item) if isinstance(item, dict) else list(item)
                waiting.append((holder[key], level + 1))
            elif isinstance(item, float) and not isfinite(item):
                holder[key] = None
    return root[0]


def _one_level(inner: _Scan, keys: dict[str, str]) -> _Scan:
    """Return a scanner that reads one level of arrays and objects, and what is in it by ``inner``.

    ``keys`` are the names read so far, so that equal ones share their memory.
    """

    def scan(text: str, place: int) -> tuple[Any, int]:
        begin = text[place : place + 1]
        if begin == "{":
            return JSONObject((text, place + 1), True, inner, None, None, keys)  # type: ignore[no-any-return]
        if begin == "[":
            return JSONArray((text, place + 1), inner)  # type: ignore[no-any-return]
        return inner(text, place)

    return scan


def write_large(value: Any) -> bytes:
    """Return the JSON that :func:`json.dumps` gives for ``value``, piece by piece."""
    return "".join(json_pieces(value, json.dumps, separators=(", ", ": "))).encode()


def json_pieces(
    value: Any, dumps: Dumps, *, separators: tuple[str, str], ordered: bool = False
) -> Iterator[str]:
    """Yield the text that ``dumps`` gives for ``value`` in pieces of limited size.

    ``separators`` are those of ``dumps``, and ``ordered`` is whether it sorts the keys.
    """
    if _is_small(value, _VALUES_PER_PIECE):
        yield dumps(value)
        return
    comma, colon = separators
    between = ""
    if isinstance(value, Mapping):
        yield "{"
        for key in sorted(value) if ordered else value:
            yield f"{between}{dumps(key)}{colon}"
            yield from json_pieces(value[key], dumps, separators=separators, ordered=ordered)
            between = comma
        yield "}"
        return
    yield "["
    for items in _runs(value):
        yield between
        if len(items) == 1:
            yield from json_pieces(items[0], dumps, separators=separators, ordered=ordered)
        else:
            yield dumps(items)[1:-1]
        between = comma
    yield "]"


def _runs(values: list[Any]) -> Iterator[list[Any]]:
    """Yield the items in runs that are written at once, and large ones alone."""
    run: list[Any] = []
    left = _VALUES_PER_PIECE
    for item in values:
        size = _size(item, _VALUES_PER_PIECE)
        if run and size > left:
            yield run
            run, left = [], _VALUES_PER_PIECE
        run.append(item)
        left -= size
    if run:
        yield run


def _is_small(value: Any, most: int) -> bool:
    return _size(value, most) <= most


def _size(value: Any, most: int) -> int:
    """Return the number of values in ``value``, itself included; more than ``most`` if it is."""
    if not isinstance(value, (dict, list)):
        return 1
    size, stack = 0, [value]
    while stack:
        container = stack.pop()
        size += 1 + len(container)
        if size > most:
            return size
        inner = container.values() if isinstance(container, dict) else container
        stack.extend(item for item in inner if isinstance(item, (dict, list)))
    return size

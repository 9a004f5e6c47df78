"""Reads a client's JSON, strictly, and field by field; errors name the place in the body."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import JSONParser

from providers.large_json import LARGE_BYTES, read_large

_EMPTY: tuple[Any, ...] = (False, "", [], {})

MOST_CONTAINERS = 500_000
MOST_ITEMS = 2_000_000
_PIECE = 1024 * 1024


class CompressedBody(APIException):
    """The body is compressed (415), at a path where bodies are not decompressed."""

    status_code = 415
    default_detail = "Compressed bodies are not supported. Send the body without Content-Encoding."


class TooManyValues(APIException):
    """The body is small enough, but what it holds would take many times its size (413)."""

    status_code = 413
    default_detail = (
        f"The request body has too many values: more than {MOST_CONTAINERS} objects and arrays, "
        f"or {MOST_ITEMS} items."
    )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"Out of range float values are not JSON compliant: {name}")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def read_json(body: bytes) -> Any:
    """Return the JSON value of ``body``.

    Raises :class:`rest_framework.exceptions.ParseError`, and :class:`TooManyValues` if it has more
    than :data:`MOST_CONTAINERS` brackets or :data:`MOST_ITEMS` commas. Those within texts count
    too: a text that has as many is longer than any model takes.
    """
    if len(body) > LARGE_BYTES and not _is_bounded(body):
        raise TooManyValues
    try:
        text = body.removeprefix(BOM_UTF8).decode()  # which some clients write before it
        if len(body) > LARGE_BYTES:
            return read_large(text, _refuse_constant)
        if text[:1] == "{":
            value, end = _DECODER.raw_decode(text)
            if end == len(text):  # else white space may follow, which ``decode`` looks for
                return value
        return _DECODER.decode(text)
    except ValueError as error:
        raise ParseError(f"JSON parse error - {error}") from None
    except RecursionError:
        raise ParseError("JSON parse error - nested too deeply") from None


def _is_bounded(body: bytes) -> bool:
    containers = items = 0
    for start in range(0, len(body), _PIECE):  # other threads run between two pieces
        end = start + _PIECE
        containers += body.count(b"[", start, end) + body.count(b"{", start, end)
        items += body.count(b",", start, end)
        if containers > MOST_CONTAINERS or items > MOST_ITEMS:
            return False
    return True


class JsonParser(JSONParser):
    """Reads request bodies for DRF; invalid UTF-8, JSON or nesting is the client's error."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Return the JSON value of the body; raise :class:`CompressedBody` if it is compressed."""
        request = (parser_context or {}).get("request")
        if request is not None:
            encoding = request.headers.get("content-encoding", "identity")
            if encoding.strip().lower() not in {"", "identity"}:
                raise CompressedBody
        return read_json(stream.read())


class InvalidField(Exception):
    """A field of the request is invalid.

    ``param`` is the field's place, such as ``messages[0].role``; ``code`` is the error code.
    """

    def __init__(self, param: str, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


def is_number(value: Any) -> bool:
    """Return whether ``value`` is a JSON number: not a boolean and not NaN."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


class BodyReader:
    """Reads the fields of one JSON object. ``null`` counts as absent.

    All methods that read a field raise :class:`InvalidField` if it is invalid.
    """

    def __init__(self, value: Any, path: str = "") -> None:
        self.path = path
        if not isinstance(value, dict):
            raise InvalidField(path or "body", f"{path or 'The body'} must be a JSON object.")
        self._values: Mapping[str, Any] = value
        self._read: set[str] = set()

    @property
    def mapping_itself(self) -> Mapping[str, Any]:
        """The object as it came."""
        return self._values

    def place(self, name: str) -> str:
        """Return the place of the field ``name`` in the body, such as ``messages[0].role``."""
        return f"{self.path}.{name}" if self.path else name

    def error(self, name: str, message: str, code: str | None = None) -> InvalidField:
        """Return an error that names the place of the field before ``message``."""
        place = self.place(name)
        return InvalidField(place, f"{place}: {message}", code)

    def unread(self) -> list[str]:
        """Return the fields that are present and have not been read."""
        return [k for k, v in self._values.items() if v is not None and k not in self._read]

    def unread_effective(self, *idle: Any) -> list[str]:
        """Return the unread fields that ask for something.

        A value that is false or empty asks for nothing, nor do the values ``idle`` of this API.
        """
        nothing, read = (None, *_EMPTY, *idle), self._read
        return [k for k, v in self._values.items() if k not in read and v not in nothing]

    def raw(self, name: str) -> Any:
        """Return the field without a check; ``None`` if it is absent."""
        # The methods below repeat these two lines: a chat has thirty such fields.
        self._read.add(name)
        return self._values.get(name)

    def has(self, name: str) -> bool:
        """Return whether the field is present."""
        return self._values.get(name) is not None

    def required(self, name: str) -> Any:
        """Return the field without a check of its type; it must be present."""
        value = self.raw(name)
        if value is None:
            raise self.error(name, "is required.", "missing_required_parameter")
        return value

    def text(self, name: str, default: str = "", *, required: bool = False) -> str:
        """Return a string; ``default`` if it is absent and not ``required``."""
        self._read.add(name)
        value = self.required(name) if required else self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.error(name, "must be a string.", "invalid_type")
        return value

    def choice(self, name: str, known: tuple[str, ...], default: str = "") -> str:
        """Return a string that is one of ``known``; ``default`` if it is absent."""
        value = self.text(name, default)
        if value not in known and value != default:
            raise self.error(name, f"must be one of {', '.join(known)}.", "invalid_value")
        return value

    def number(self, name: str, low: float, high: float) -> float | None:
        """Return a number from ``low`` to ``high``; ``None`` if it is absent."""
        self._read.add(name)
        value = self._values.get(name)
        if value is None:
            return None
        if not is_number(value):
            raise self.error(name, "must be a number.", "invalid_type")
        if not low <= value <= high:
            raise self.error(name, f"must be between {low:g} and {high:g}.", "out_of_range")
        return value  # type: ignore[no-any-return]

    def integer(self, name: str, low: int, high: int) -> int | None:
        """Return an integer from ``low`` to ``high``; ``None`` if it is absent."""
        self._read.add(name)
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(name, "must be an integer.", "invalid_type")
        if not low <= value <= high:
            raise self.error(name, f"must be between {low} and {high}.", "out_of_range")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a boolean; ``default`` if it is absent."""
        self._read.add(name)
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(name, "must be true or false.", "invalid_type")
        return value

    def mapping(self, name: str) -> Mapping[str, Any] | None:
        """Return an object as a mapping; ``None`` if it is absent."""
        self._read.add(name)
        value = self._values.get(name)
        if value is not None and not isinstance(value, dict):
            raise self.error(name, "must be an object.", "invalid_type")
        return value

    def object(self, name: str) -> BodyReader | None:
        """Return a reader of an object; ``None`` if it is absent."""
        value = self.mapping(name)
        return None if value is None else BodyReader(value, self.place(name))

    def array(self, name: str) -> list[Any]:
        """Return an array; empty if it is absent."""
        self._read.add(name)
        value = self._values.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.error(name, "must be an array.", "invalid_type")
        return value

    def texts(self, name: str, *, most: int = 1000) -> tuple[str, ...]:
        """Return an array of at most ``most`` strings; empty if it is absent."""
        values = self.array(name)
        if not values:
            return ()
        if len(values) > most or not all(isinstance(value, str) for value in values):
            raise self.error(name, f"must be an array of at most {most} strings.", "invalid_type")
        return tuple(values)

    def objects(self, name: str) -> Iterator[BodyReader]:
        """Yield a reader of each object in an array."""
        for number, value in enumerate(self.array(name)):
            yield self.item(name, number, value)

    def item(self, name: str, number: int, value: Any) -> BodyReader:
        """Return a reader of ``value``, the object that is ``number`` in an array."""
        return BodyReader(value, f"{self.place(name)}[{number}]")

    def parts(self, name: str) -> Iterator[BodyReader]:
        """Yield a reader of each part of a content; a string is a part of type "text"."""
        for number, value in enumerate(self.array(name)):
            part = {"type": "text", "text": value} if isinstance(value, str) else value
            yield self.item(name, number, part)

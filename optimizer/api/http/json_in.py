"""Reads JSON strictly, and safely if it is nested very deeply."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import JSONParser

from providers.large_json import LARGE_BYTES, read_large

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
        text = body.decode()
        if len(body) > LARGE_BYTES:
            return read_large(text, _refuse_constant)
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

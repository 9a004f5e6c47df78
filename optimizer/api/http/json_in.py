"""Reads JSON strictly, and safely if it is nested very deeply."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import JSONParser

from providers.large_json import LARGE_BYTES, read_large


class CompressedBody(APIException):
    """The body is compressed (415), at a path where bodies are not decompressed."""

    status_code = 415
    default_detail = "Compressed bodies are not supported. Send the body without Content-Encoding."


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"Out of range float values are not JSON compliant: {name}")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def read_json(body: bytes) -> Any:
    """Return the JSON value of ``body``.

    Raises :class:`rest_framework.exceptions.ParseError`.
    """
    try:
        text = body.decode()
        if len(body) > LARGE_BYTES:
            return read_large(text, _refuse_constant)
        return _DECODER.decode(text)
    except ValueError as error:
        raise ParseError(f"JSON parse error - {error}") from None
    except RecursionError:
        raise ParseError("JSON parse error - nested too deeply") from None


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

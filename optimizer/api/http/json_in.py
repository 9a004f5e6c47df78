"""JSON in: strict, and safe against hostile nesting."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import JSONParser


class CompressedBody(APIException):
    """415: nothing is unpacked here, so that nothing can grow beyond the body's bound."""

    status_code = 415
    default_detail = "Compressed bodies are not read: send it without Content-Encoding."


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"Out of range float values are not JSON compliant: {name}")


_DECODER = json.JSONDecoder(parse_constant=_no_number)


def read_json(body: bytes) -> Any:
    """Raises :class:`rest_framework.exceptions.ParseError`."""
    try:
        return _DECODER.decode(body.decode())
    except ValueError as error:
        raise ParseError(f"JSON parse error - {error}") from None
    except RecursionError:
        raise ParseError("JSON parse error - nested too deeply") from None


class JsonParser(JSONParser):
    """A body that is not UTF-8 JSON, however deep, is the client's mistake."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        request = (parser_context or {}).get("request")
        if request is not None:
            encoding = request.headers.get("content-encoding", "identity")
            if encoding.strip().lower() not in {"", "identity"}:
                raise CompressedBody
        return read_json(stream.read())

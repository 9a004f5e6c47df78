"""Lines of JSON, as batches have them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import orjson

from providers.large_json import write_large

logger = logging.getLogger(__name__)


def line_of(value: Mapping[str, Any]) -> bytes:
    """Return ``value`` as one line of JSON, with its end."""
    try:
        return orjson.dumps(value) + b"\n"
    except TypeError:  # integers of more than 64 bits, or lone surrogates
        return write_large(value) + b"\n"


def object_of(line: bytes) -> Mapping[str, Any]:
    """Return the JSON object of a line; an empty one, with a warning, if it is none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        logger.warning("A line of a batch's results cannot be read")
        return {}
    return value

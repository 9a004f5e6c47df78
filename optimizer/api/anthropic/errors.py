"""Writes failures in the error format of the Anthropic API.

Format: https://docs.anthropic.com/en/api/errors
"""

from __future__ import annotations

from typing import Any

from optimizer.api.http.errors import Failure, Kind

_TYPES: dict[Kind, str] = {
    "invalid": "invalid_request_error",
    "unauthorized": "authentication_error",
    "forbidden": "permission_error",
    "not_found": "not_found_error",
    "too_large": "request_too_large",
    "rate_limited": "rate_limit_error",
    "overloaded": "overloaded_error",
    "timeout": "timeout_error",
    "internal": "api_error",
}


def error_body(failure: Failure, request_id: object = None) -> dict[str, Any]:
    """Return the JSON body that reports ``failure``."""
    return {
        "type": "error",
        "error": {"type": _TYPES[failure.kind], "message": failure.message},
        "request_id": None if request_id is None else str(request_id),
    }

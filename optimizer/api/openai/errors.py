"""Writes failures in the error format of the OpenAI API.

Format: https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

from typing import Any

from optimizer.api.http.failure import Failure, Kind

_TYPES: dict[Kind, str] = {
    "invalid": "invalid_request_error",
    "unauthorized": "invalid_request_error",
    "forbidden": "permission_error",
    "not_found": "invalid_request_error",
    "too_large": "invalid_request_error",
    "rate_limited": "rate_limit_error",
    "billing": "invalid_request_error",
    "overloaded": "server_error",
    "timeout": "timeout_error",
    "internal": "server_error",
}


def error_body(failure: Failure) -> dict[str, Any]:
    """Return the JSON body that reports ``failure``."""
    return {
        "error": {
            "message": failure.message,
            "type": _TYPES[failure.kind],
            "param": failure.param,
            "code": failure.code,
        }
    }

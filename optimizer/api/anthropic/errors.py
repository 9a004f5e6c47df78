"""Writes failures in the error format of the Anthropic API.

Format: https://docs.anthropic.com/en/api/errors
"""

from __future__ import annotations

from typing import Any

from optimizer.api.http.failure import Failure, Kind

_TYPES: dict[Kind, str] = {
    "invalid": "invalid_request_error",
    "unauthorized": "authentication_error",
    "forbidden": "permission_error",
    "not_found": "not_found_error",
    "too_large": "request_too_large",
    "rate_limited": "rate_limit_error",
    "billing": "billing_error",
    "overloaded": "overloaded_error",
    "timeout": "timeout_error",
    "internal": "api_error",
}


class ThreadNotHeld(Exception):
    """The request continues a thread of one provider, and another model may answer it.

    The official clients then send the whole conversation.
    """


def error_body(failure: Failure, request_id: object = None) -> dict[str, Any]:
    """Return the JSON body that reports ``failure``."""
    return _body(_TYPES[failure.kind], failure.message, request_id)


def thread_not_found(request_id: object) -> dict[str, Any]:
    """Return the body that tells a client to send the whole conversation again."""
    body = _body(
        "not_found_error",
        "thread: the earlier turns are not held by the provider of this model. "
        "Send the whole conversation.",
        request_id,
    )
    body["error"]["details"] = {"error_code": "thread_not_found"}
    return body


def _body(kind: str, message: str, request_id: object) -> dict[str, Any]:
    return {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": None if request_id is None else str(request_id),
    }

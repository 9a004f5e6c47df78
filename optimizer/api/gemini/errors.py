"""Writes failures in the error format of Google's APIs.

Format: https://cloud.google.com/apis/design/errors
"""

from __future__ import annotations

from typing import Any

from optimizer.api.http.failure import Failure, Kind

_STATUS: dict[Kind, str] = {
    "invalid": "INVALID_ARGUMENT",
    "unauthorized": "UNAUTHENTICATED",
    "forbidden": "PERMISSION_DENIED",
    "not_found": "NOT_FOUND",
    "too_large": "INVALID_ARGUMENT",
    "rate_limited": "RESOURCE_EXHAUSTED",
    "billing": "FAILED_PRECONDITION",
    "overloaded": "UNAVAILABLE",
    "timeout": "DEADLINE_EXCEEDED",
    "internal": "INTERNAL",
}


def error_body(failure: Failure) -> dict[str, Any]:
    """Return the JSON body that reports ``failure``."""
    error: dict[str, Any] = {
        "code": failure.status,
        "message": failure.message,
        "status": _STATUS[failure.kind],
    }
    if details := _details(failure):
        error["details"] = details
    return {"error": error}


def _details(failure: Failure) -> list[dict[str, Any]]:
    details: list[dict[str, Any]] = []
    kind = "type.googleapis.com/google.rpc"
    if failure.code:
        details.append({"@type": f"{kind}.ErrorInfo", "reason": failure.code})
    if failure.param:
        violation = {"field": failure.param, "description": failure.message}
        details.append({"@type": f"{kind}.BadRequest", "fieldViolations": [violation]})
    if failure.retry_after is not None:
        details.append({"@type": f"{kind}.RetryInfo", "retryDelay": f"{failure.retry_after}s"})
    return details

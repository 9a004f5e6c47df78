"""Chooses the error format by path, for errors that occur outside a view."""

from __future__ import annotations

from typing import Any

from optimizer.api.anthropic.errors import error_body as anthropic_error
from optimizer.api.gemini.errors import error_body as gemini_error
from optimizer.api.gemini.paths import is_gemini
from optimizer.api.http.failure import Failure
from optimizer.api.openai.errors import error_body as openai_error


def error_of_path(path: str, failure: Failure) -> dict[str, Any] | None:
    """Return the error in the format of the API at ``path``; ``None`` for our own API."""
    if path.startswith("/v1/messages"):
        return anthropic_error(failure)
    if is_gemini(path):
        return gemini_error(failure)
    return openai_error(failure) if path.startswith("/v1/") or path == "/v1" else None

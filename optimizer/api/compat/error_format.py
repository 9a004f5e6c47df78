"""Which API a path belongs to, for errors that no view of it has a say in."""

from __future__ import annotations

from typing import Any

from optimizer.api.anthropic.errors import error_body as anthropic_error
from optimizer.api.http.failures import Failure
from optimizer.api.openai.errors import error_body as openai_error


def error_of_path(path: str, failure: Failure) -> dict[str, Any] | None:
    """The error as ``path``'s API spells it; ``None`` where that is our own."""
    if path.startswith("/v1/messages"):
        return anthropic_error(failure)
    return openai_error(failure) if path.startswith("/v1/") else None

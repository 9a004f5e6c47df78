"""Join the messages of a stream that came as one JSON array.

Google's API streams an array where the request does not ask for server-sent events, and some
servers send one anyway.
"""

from __future__ import annotations

import json
from typing import Any

from providers.errors import MalformedResponse
from providers.gemini.answer import error_in
from providers.gemini.shapes import mend


def joined(provider: str, raw: bytes) -> dict[str, Any]:
    """Return the array in ``raw`` as one answer. Raises :class:`ProviderError`."""
    try:
        messages = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise MalformedResponse(provider, "returned malformed JSON") from error
    messages = [message for message in messages if isinstance(message, dict)]
    if not messages:
        raise MalformedResponse(provider, "returned JSON that is not an object")
    body: dict[str, Any] = {}
    candidates: dict[Any, dict[str, Any]] = {}
    for message in messages:
        if message.get("error"):
            raise error_in(provider, message)
        mend(message)
        pieces = message.get("candidates")
        body.update({k: v for k, v in message.items() if k != "candidates"})
        for piece in pieces if isinstance(pieces, list) else ():
            if isinstance(piece, dict):
                _add(candidates.setdefault(piece.get("index") or 0, {}), piece)
    if candidates:
        body["candidates"] = list(candidates.values())
    return body


def _add(candidate: dict[str, Any], piece: dict[str, Any]) -> None:
    """Add a piece of a candidate: its parts follow, its other fields replace."""
    content = candidate.setdefault("content", {"role": "model", "parts": []})
    added = piece.get("content")
    parts = added.get("parts") if isinstance(added, dict) else None
    content["parts"].extend(parts if isinstance(parts, list) else [])
    candidate.update({k: v for k, v in piece.items() if k != "content" and v is not None})

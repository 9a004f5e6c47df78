"""Gemini's answers: https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optimizer.gateway.levers.compression.answers.anthropic import numbered
from optimizer.gateway.levers.compression.texts.forms import TOOL
from providers.events import Relayed


class GeminiAnswers:
    """The answers of this wire; requests with several candidates have no rounds."""

    def merged(self, bodies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the last response with the visible parts of all."""
        shown = [part for body in bodies for part in _parts(body) if not _is_hidden(part)]
        merged = _with_parts(bodies[-1], shown)
        if "responseId" in bodies[0]:
            merged["responseId"] = bodies[0]["responseId"]
        return merged

    def stream(self) -> GeminiStreams:
        """Return the merger of streams."""
        return GeminiStreams()


class GeminiStreams:
    """Leaves hidden calls out, and gives all messages one id."""

    def __init__(self) -> None:
        self._id: Any = None
        self._held: list[Relayed] = []

    def feed(self, message: Relayed) -> list[Relayed]:
        """Return what the client gets now."""
        data = message.data
        if data is None:
            return [message]
        if self._id is None:
            self._id = data.get("responseId")
        parts = _parts(data)
        shown = [part for part in parts if not _is_hidden(part)]
        sent = dict(data) if len(shown) == len(parts) else _with_parts(data, shown)
        if self._id is not None and "responseId" in sent:
            sent["responseId"] = self._id
        written = message if sent == data else numbered(message, sent)
        if _has_ended(data) or self._held:
            self._held.append(written)
            return []
        return [written] if shown or not parts else []

    def next_round(self) -> list[Relayed]:
        """Forget the ending, but for what it has of the answer."""
        kept = []
        for message in self._held:
            data = message.data
            if data is not None and _parts(data):
                candidate = {k: v for k, v in data["candidates"][0].items() if k != "finishReason"}
                kept.append(numbered(message, {**data, "candidates": [candidate]}))
        self._held.clear()
        return kept

    def round_body(self) -> None:
        """Return nothing: the round's events say all of it."""

    def endings(self) -> list[Relayed]:
        """Return the ending of the last round."""
        return self._held


def _candidate(body: Mapping[str, Any]) -> Mapping[str, Any]:
    candidates = body.get("candidates")
    first = candidates[0] if isinstance(candidates, list) and candidates else None
    return first if isinstance(first, Mapping) else {}


def _parts(body: Mapping[str, Any]) -> list[Any]:
    content = _candidate(body).get("content")
    parts = content.get("parts") if isinstance(content, Mapping) else None
    return parts if isinstance(parts, list) else []


def _with_parts(body: Mapping[str, Any], parts: list[Any]) -> dict[str, Any]:
    candidate = _candidate(body)
    content = {"role": "model", **(candidate.get("content") or {}), "parts": parts}
    return {**body, "candidates": [{**candidate, "content": content}]}


def _has_ended(body: Mapping[str, Any]) -> bool:
    return bool(_candidate(body).get("finishReason"))


def _is_hidden(part: Any) -> bool:
    call = part.get("functionCall") if isinstance(part, Mapping) else None
    return isinstance(call, Mapping) and call.get("name") == TOOL

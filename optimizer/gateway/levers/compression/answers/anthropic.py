"""Anthropic's messages: https://docs.anthropic.com/en/api/messages-streaming."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from optimizer.gateway.levers.compression.texts.forms import TOOL
from providers.events import Relayed
from providers.http.streaming import as_text


class AnthropicAnswers:
    """The answers of this wire."""

    def merged(self, bodies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the last message with the visible blocks of all."""
        blocks = [block for body in bodies for block in body.get("content") or ()]
        shown = [block for block in blocks if not _is_hidden(block)]
        return {**bodies[-1], "id": bodies[0].get("id"), "content": shown}

    def stream(self) -> AnthropicStreams:
        """Return the merger of streams."""
        return AnthropicStreams()


class AnthropicStreams:
    """Leaves hidden blocks out and numbers the others anew."""

    def __init__(self) -> None:
        self._first = True
        self._shown = 0
        self._places: dict[Any, int | None] = {}
        self._held: list[Relayed] = []

    def feed(self, message: Relayed) -> list[Relayed]:
        """Return what the client gets now."""
        data = message.data
        if data is None:
            return [message]
        kind, index = data.get("type") or message.name, data.get("index")
        if kind == "message_start":
            return [message] if self._first else []
        if kind in {"message_delta", "message_stop"}:
            self._held.append(message)
            return []
        if kind == "content_block_start":
            hidden = _is_hidden(data.get("content_block"))
            self._places[index] = None if hidden else self._shown
            self._shown += not hidden
        if kind not in {"content_block_start", "content_block_delta", "content_block_stop"}:
            return [message]
        place = self._places.get(index, index)
        if place is None:
            return []
        return [message if place == index else numbered(message, {**data, "index": place})]

    def next_round(self) -> list[Relayed]:
        """Forget the ending."""
        self._first = False
        self._held.clear()
        self._places.clear()
        return []

    def round_body(self) -> None:
        """Return nothing: the round's events say all of it."""

    def endings(self) -> list[Relayed]:
        """Return the ending of the last round."""
        return self._held


def numbered(message: Relayed, data: dict[str, Any]) -> Relayed:
    """Return ``message`` with other data."""
    return replace(message, text=as_text(data), data=data)


def _is_hidden(block: Any) -> bool:
    called = isinstance(block, Mapping) and block.get("type") == "tool_use"
    return called and block.get("name") == TOOL

"""OpenAI's chat completions: https://platform.openai.com/docs/api-reference/chat-streaming."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optimizer.gateway.levers.compression.answers.anthropic import numbered
from optimizer.gateway.levers.compression.texts.forms import TOOL
from providers.events import Relayed

_JOINED = ("content", "reasoning_content", "reasoning", "refusal")
_LISTS = ("reasoning_details", "annotations")


class OpenAIAnswers:
    """The answers of this wire; requests with several choices have no rounds."""

    def merged(self, bodies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the last completion with the texts and visible calls of all."""
        choices = [dict((body.get("choices") or [{}])[0]) for body in bodies]
        messages = [choice.get("message") or {} for choice in choices]
        message = dict(messages[-1])
        for name in _JOINED:
            texts = [m[name] for m in messages if isinstance(m.get(name), str)]
            if texts:
                message[name] = "".join(texts)
        for name in _LISTS:
            entries = [entry for m in messages for entry in m.get(name) or ()]
            if entries:
                message[name] = entries
        calls = [c for m in messages for c in m.get("tool_calls") or () if not _is_hidden(c)]
        message.pop("tool_calls", None)
        if calls:
            message["tool_calls"] = calls
        choice = {**choices[-1], "message": message}
        return {**bodies[-1], "id": bodies[0].get("id"), "choices": [choice]}

    def stream(self) -> OpenAIStreams:
        """Return the merger of streams."""
        return OpenAIStreams()


class OpenAIStreams:
    """Leaves hidden calls out, numbers the others anew, and gives all chunks one id."""

    def __init__(self) -> None:
        self._first = True
        self._about: dict[str, Any] = {}
        self._shown = 0
        self._places: dict[Any, int | None] = {}
        self._held: list[Relayed] = []

    def feed(self, message: Relayed) -> list[Relayed]:
        """Return what the client gets now."""
        data = message.data
        if data is None:
            self._held.append(message)
            return []
        chunk = dict(data)
        if self._first and not self._about:
            self._about = {name: data[name] for name in ("id", "created") if name in data}
        chunk.update(self._about)
        choices = data.get("choices") or ()
        if not choices:
            self._held.append(self._sent(message, chunk))
            return []
        choice = dict(choices[0])
        delta = choice.get("delta")
        if isinstance(delta, Mapping):
            choice["delta"] = self._delta(delta)
            chunk["choices"] = [choice]
        if choice.get("finish_reason"):
            self._held.append(self._sent(message, chunk))
            return []
        kept = choice.get("delta")
        if kept or kept == delta:
            return [self._sent(message, chunk)]
        return [self._sent(message, chunk)] if data.get("usage") else []

    def _sent(self, message: Relayed, chunk: dict[str, Any]) -> Relayed:
        return message if chunk == message.data else numbered(message, chunk)

    def _delta(self, delta: Mapping[str, Any]) -> dict[str, Any]:
        kept = dict(delta)
        if not self._first:
            kept.pop("role", None)
            if not kept.get("content"):
                kept.pop("content", None)
        calls = kept.pop("tool_calls", None)
        shown = []
        for call in calls or ():
            index = call.get("index")
            if index not in self._places:
                hidden = _is_hidden(call)
                self._places[index] = None if hidden else self._shown
                self._shown += not hidden
            if (place := self._places[index]) is not None:
                shown.append({**call, "index": place})
        if shown:
            kept["tool_calls"] = shown
        elif calls and kept.keys() <= {"role", "content"} and not kept.get("content"):
            return {}
        return kept

    def next_round(self) -> list[Relayed]:
        """Forget the ending, but for what its last chunk has of the answer."""
        self._first = False
        kept = []
        for message in self._held:
            choices: list[Any] = (message.data or {}).get("choices") or []
            delta = choices[0].get("delta") if choices else None
            if delta and message.data is not None and delta.keys() - {"role"}:
                chunk = {**message.data, "choices": [{**choices[0], "finish_reason": None}]}
                chunk.pop("usage", None)
                kept.append(numbered(message, chunk))
        self._held.clear()
        self._places.clear()
        return kept

    def round_body(self) -> None:
        """Return nothing: the round's events say all of it."""

    def endings(self) -> list[Relayed]:
        """Return the ending of the last round."""
        return self._held


def _is_hidden(call: Any) -> bool:
    function = call.get("function") if isinstance(call, Mapping) else None
    return isinstance(function, Mapping) and function.get("name") == TOOL

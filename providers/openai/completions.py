"""The older API of completions, for servers that have it.

Wire: https://platform.openai.com/docs/api-reference/completions
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from providers import features
from providers.chat import Native
from providers.completion import CompletionRequest
from providers.events import Event
from providers.openai.stream import OpenAIStream

WIRE = "openai-completions"
PATH = "/completions"
_FIELDS_NOT_SENT = frozenset({"model", "optimizer", "stream", "stream_options"})
# The only models of OpenAI's own that have this API.
_OPENAI_MODELS = re.compile(r"gpt-3\.5-turbo-instruct|davinci|babbage")


def has_completions(request: CompletionRequest, has: frozenset[str]) -> bool:
    """Return whether the model has this API; ``has`` are the features of its server."""
    if features.TEXT_COMPLETIONS in has - request.lacks:
        # A model that we choose answers chats; only a prompt of tokens needs this API.
        return not request.chat.chosen or any(isinstance(p, Native) for p in request.chat.parts())
    return bool(_OPENAI_MODELS.match(request.model))


def completions_payload(request: CompletionRequest) -> dict[str, Any]:
    """Return the JSON body as it came, with the model's own name."""
    assert request.chat.source is not None
    body = {k: v for k, v in request.chat.source.body.items() if k not in _FIELDS_NOT_SENT}
    return {**body, "model": request.model}


def as_chat(body: dict[str, Any], place: str) -> dict[str, Any]:
    """Return a copy in which the texts are the content of a "message" or a "delta" (``place``)."""
    choices = body.get("choices")
    if not isinstance(choices, list):
        return dict(body)
    chats = [
        {
            "index": choice.get("index"),
            place: {"role": "assistant", "content": choice.get("text")},
            "finish_reason": choice.get("finish_reason"),
        }
        for choice in choices
        if isinstance(choice, dict)
    ]
    return {**body, "choices": chats}


class CompletionsStream(OpenAIStream):
    """Reads the stream of a completion, whose chunks are passed on unchanged."""

    def feed(self, name: str, chunk: dict[str, Any] | None) -> Iterator[Event]:
        """Yield the events of one message; ``None`` is the end marker."""
        yield from super().feed(name, None if chunk is None else as_chat(chunk, "delta"))
        self.repaired = False

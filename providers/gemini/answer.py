"""Read Gemini's answers, whole and streamed: both are ``GenerateContentResponse``.

Wire: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

from providers.chat import Text, Thinking, ToolCall
from providers.completion import (
    AnswerPart,
    Choice,
    Completion,
    CompletionRequest,
    FinishReason,
    complete_usage,
)
from providers.errors import ContentBlocked, EmptyCompletion, MalformedResponse, error_for_status
from providers.events import (
    Event,
    Finished,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolCallStarted,
    UsageReported,
)
from providers.gemini.usage import GeminiUsageOfStream, read_usage

_FINISH: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
}


def read_response(provider: str, request: CompletionRequest, body: dict[str, Any]) -> Completion:
    """Return the completion in ``body``.

    Raises :class:`ProviderError`, or ``KeyError``, ``TypeError`` and the like if the body
    has an unexpected shape.
    """
    candidates = body.get("candidates") or []
    usage = read_usage(request.model, body)
    if not candidates:
        usage = complete_usage(usage, request.chat, ())
        if (body.get("promptFeedback") or {}).get("blockReason"):
            raise ContentBlocked(provider, "blocked the prompt", usage=usage)
        raise EmptyCompletion(provider, "returned no candidates", usage=usage)
    choices = tuple(_choice(candidate) for candidate in candidates)
    return Completion(
        provider=provider,
        model=request.model,
        choices=choices,
        usage=complete_usage(usage, request.chat, choices),
        response_id=body.get("responseId"),
    )


def _choice(candidate: dict[str, Any]) -> Choice:
    parts = tuple(part for raw in _raw_parts(candidate) for part in _parts(raw))
    calls = any(isinstance(part, ToolCall) for part in parts)
    return Choice(parts, _finish_reason(candidate.get("finishReason") or "", calls=calls))


def _raw_parts(candidate: dict[str, Any]) -> list[dict[str, Any]]:
    return (candidate.get("content") or {}).get("parts") or []


def _finish_reason(reason: str, *, calls: bool) -> FinishReason:
    finish = _FINISH.get(reason, "other")
    # Gemini ends an answer that calls tools with STOP.
    return "tool_calls" if calls and finish == "stop" else finish


def _parts(part: dict[str, Any]) -> Iterator[AnswerPart]:
    if call := part.get("functionCall"):
        arguments = json.dumps(call.get("args") or {}, ensure_ascii=False)
        call_id = call.get("id") or f"call_{secrets.token_hex(8)}"
        yield ToolCall(call_id, call["name"], arguments, part.get("thoughtSignature") or "")
    elif part.get("text"):
        # Parts marked "thought" are the model's reasoning, not its answer.
        yield Thinking(part["text"]) if part.get("thought") else Text(part["text"])


class GeminiStream:
    """Reads one stream. ``complete`` is true once the whole answer has arrived."""

    def __init__(self, provider: str, model: str = "") -> None:
        self._provider = provider
        self._usage = GeminiUsageOfStream(model)
        self._started = False
        self._calls: dict[int, int] = {}
        self.complete = False
        self.repaired = False

    def feed(self, name: str, body: dict[str, Any] | None) -> Iterator[Event]:
        """Yield the events of one response.

        Raises :class:`ProviderError` if the response reports an error.
        """
        if body is None:
            return
        if isinstance(body.get("error"), dict):
            code = body["error"].get("code")
            if isinstance(code, int) and 400 <= code <= 599:
                raise error_for_status(self._provider, code)
            raise MalformedResponse(self._provider, "ended the stream with an unknown error")
        if not self._started:
            self._started = True
            yield Started(body.get("responseId"))
        usage = self._usage.add(body)
        if (body.get("promptFeedback") or {}).get("blockReason") and not body.get("candidates"):
            raise ContentBlocked(self._provider, "blocked the prompt", usage=usage)
        for candidate in body.get("candidates") or ():
            yield from self._candidate(candidate)
        # The report of a chunk counts the content of that chunk, so it comes after it.
        if usage is not None:
            yield UsageReported(usage)

    def _candidate(self, candidate: dict[str, Any]) -> Iterator[Event]:
        choice = candidate.get("index") or 0
        for raw in _raw_parts(candidate):
            for part in _parts(raw):
                yield from self._part(part, choice)
        if reason := candidate.get("finishReason"):
            self.complete = True
            yield Finished(_finish_reason(reason, calls=choice in self._calls), choice)

    def _part(self, part: AnswerPart, choice: int) -> Iterator[Event]:
        if isinstance(part, ToolCall):
            index = self._calls.get(choice, 0)
            self._calls[choice] = index + 1
            yield ToolCallStarted(index, part.id, part.name, part.signature, choice)
            yield ToolArguments(index, part.arguments, choice)
        elif isinstance(part, Thinking):
            yield ThinkingDelta(part.text, choice=choice)
        else:
            assert isinstance(part, Text)
            yield TextDelta(part.text, choice)

"""Writes a complete answer as a ``GenerateContentResponse``.

Format: https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from optimizer.api.gemini.seals import sealed_call, sealed_thought
from optimizer.domain.result import CompletionResult
from providers.chat import Text, Thinking, ToolCall
from providers.completion import AnswerPart, Choice, FinishReason, Usage
from providers.gemini.parts import WIRE

_FINISH: dict[FinishReason, str] = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
    "other": "STOP",
}


def response(result: CompletionResult, *, shown: bool) -> dict[str, Any]:
    """Return the answer; ``shown`` is whether the client wants to read the reasoning."""
    completion = result.completion
    candidates = []
    for index, choice in enumerate(completion.choices):
        candidate: dict[str, Any] = {
            "content": {"role": "model", "parts": list(_parts(choice, result, shown=shown))},
            "finishReason": finish_reason(choice.finish_reason),
            "index": index,
        }
        if choice.logprobs:
            candidate["logprobsResult"] = _logprobs(choice.logprobs)
        candidates.append(candidate)
    return {
        "candidates": candidates,
        "usageMetadata": usage_body(completion.usage),
        "modelVersion": completion.model,
        "responseId": str(result.request_id),
    }


def finish_reason(reason: FinishReason) -> str:
    """Return Gemini's word for the end of an answer."""
    return _FINISH[reason]


def _parts(choice: Choice, result: CompletionResult, *, shown: bool) -> Iterator[dict[str, Any]]:
    for part in choice.parts:
        body = part_body(part, result.completion.provider, result.completion.model, shown=shown)
        if body is not None:
            yield body
    if choice.refusal:
        yield {"text": choice.refusal}


def part_body(part: AnswerPart, provider: str, model: str, *, shown: bool) -> dict[str, Any] | None:
    """Return a part of the answer of ``model``; ``None`` if it says nothing to this API."""
    if isinstance(part, Text):
        return {"text": part.text} if part.text else None
    if isinstance(part, ToolCall):
        call = {"id": part.id, "name": part.name, "args": part.input}
        return {"functionCall": call, "thoughtSignature": sealed_call(part, provider, model)}
    if isinstance(part, Thinking):
        return {
            "text": part.text if shown else "",
            "thought": True,
            "thoughtSignature": sealed_thought(part, provider, model),
        }
    if part.wire == WIRE:
        return dict(part.value)
    return {"text": part.text} if part.text else None


def usage_body(usage: Usage) -> dict[str, Any]:
    """Return the ``usageMetadata``, in tokens; here reasoning is not a part of the answer."""
    return {
        "promptTokenCount": usage.input_tokens,
        "cachedContentTokenCount": usage.cache_read_tokens,
        "candidatesTokenCount": max(0, usage.output_tokens - usage.reasoning_tokens),
        "thoughtsTokenCount": usage.reasoning_tokens,
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
    }


def _logprobs(tokens: list[Any]) -> dict[str, Any]:
    """Return the log probabilities, which come in OpenAI's shape."""
    known = [token for token in tokens if isinstance(token, Mapping)]
    return {
        "chosenCandidates": [_token(token) for token in known],
        "topCandidates": [
            {"candidates": [_token(top) for top in token.get("top_logprobs") or ()]}
            for token in known
        ],
    }


def _token(token: Mapping[str, Any]) -> dict[str, Any]:
    return {"token": token.get("token"), "logProbability": token.get("logprob")}

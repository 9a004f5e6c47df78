"""Read Gemini's whole answers (``GenerateContentResponse``).

Wire: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from providers.chat import ToolCall
from providers.completion import Choice, Completion, CompletionRequest, FinishReason, Usage
from providers.errors import (
    ContentBlocked,
    EmptyCompletion,
    MalformedResponse,
    ProviderError,
    error_for_status,
)
from providers.failed_endings import failed_ending, is_failure
from providers.gemini.parts import WIRE, PartReader
from providers.gemini.shapes import mend
from providers.gemini.usage import read_usage
from providers.usage_estimates import complete_usage

_FINISH: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
}
# Endings that are an answer even if nothing was said.
_ANSWERS = frozenset(
    {"STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"}
)


def read_response(provider: str, request: CompletionRequest, body: dict[str, Any]) -> Completion:
    """Return the completion in ``body``.

    Raises :class:`ProviderError`, or ``KeyError``, ``TypeError`` and the like if the body
    has an unexpected shape.
    """
    if body.get("error"):
        raise error_in(provider, body)
    mend(body)
    candidates = body.get("candidates") or []
    usage = read_usage(request.model, body)
    if not candidates:
        usage = complete_usage(usage, request.chat, ())
        if is_blocked(body):
            raise ContentBlocked(provider, "blocked the prompt", usage=usage)
        raise EmptyCompletion(provider, "returned no candidates", usage=usage)
    reader = PartReader(request.chat)
    choices = tuple(_choice(reader, candidate) for candidate in candidates)
    usage = complete_usage(usage, request.chat, choices)
    if not any(choice.parts for choice in choices) and (
        error := nothing_said(provider, [c.get("finishReason") for c in candidates], usage)
    ):
        raise error
    ends = zip((c.get("finishReason") for c in candidates), choices, strict=True)
    if all(is_failure(reason, called=bool(choice.tool_calls)) for reason, choice in ends):
        raise failed_ending(provider, str(candidates[0]["finishReason"]), usage)
    return Completion(
        provider=provider,
        model=request.model,
        choices=choices,
        usage=usage,
        response_id=response_id(body),
    )


def _choice(reader: PartReader, candidate: dict[str, Any]) -> Choice:
    parts = tuple(reader.parts(candidate))
    calls = any(isinstance(part, ToolCall) for part in parts)
    return Choice(parts, finish_reason(candidate.get("finishReason"), calls=calls))


def response_id(body: Mapping[str, Any]) -> str | None:
    """Return the provider's id of the answer, if it gives one."""
    value = body.get("responseId")
    return value if isinstance(value, str) else None


def finish_reason(reason: Any, *, calls: bool) -> FinishReason:
    """Return the common word for Gemini's ``reason``; ``calls`` is whether tools are called."""
    finish = _FINISH.get(reason, "other") if isinstance(reason, str) else "other"
    # Gemini ends an answer that calls tools with STOP.
    return "tool_calls" if calls and finish in {"stop", "other"} else finish


def nothing_said(
    provider: str, reasons: Iterable[Any], usage: Usage | None
) -> ProviderError | None:
    """Return the error of an answer without content; ``None`` if its endings are an answer."""
    reasons = list(reasons)
    if any(reason in _ANSWERS for reason in reasons if isinstance(reason, str)):
        return None
    if any(finish_reason(reason, calls=False) == "content_filter" for reason in reasons):
        return ContentBlocked(provider, "blocked the content", usage=usage)
    # MALFORMED_FUNCTION_CALL, UNEXPECTED_TOOL_CALL, NO_IMAGE and others.
    return EmptyCompletion(provider, "returned an answer without content", usage=usage)


def is_blocked(body: Mapping[str, Any]) -> bool:
    """Return whether the provider refused the prompt."""
    feedback = body.get("promptFeedback")
    return isinstance(feedback, Mapping) and bool(feedback.get("blockReason"))


def error_in(provider: str, body: Mapping[str, Any]) -> ProviderError:
    """Return the error that stands where an answer should be."""
    reported = body.get("error")
    code = reported.get("code") if isinstance(reported, Mapping) else None
    if not isinstance(code, int) or isinstance(code, bool) or not 400 <= code <= 599:
        return MalformedResponse(provider, "answered with an unknown error")
    error = error_for_status(provider, code)
    error.wire, error.body = WIRE, body
    return error

"""Read OpenAI's answers: a whole ``chat.completion``, and the pieces that its stream shares.

Wire: https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from providers.chat import Text, Thinking, ToolCall
from providers.completion import (
    AnswerPart,
    Choice,
    Completion,
    CompletionRequest,
    FinishReason,
    Opaque,
    Usage,
    complete_usage,
)
from providers.errors import EmptyCompletion, MalformedResponse, ProviderError, error_for_status
from providers.usage import read_usage

FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
# The fields of a message or a delta that other wires also have, under any name.
KNOWN_FIELDS = frozenset(
    {
        "role",
        "content",
        "refusal",
        "tool_calls",
        "reasoning_content",
        "reasoning",
        "reasoning_details",
    }
)
_PLAIN_FIELDS = frozenset(
    {
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
    }
)
_PLAIN_INPUT_DETAILS = frozenset({"cached_tokens", "cache_write_tokens", "audio_tokens"})
_PLAIN_MOST = 100_000_000
_STANDARD_TIERS = (None, "default", "auto")
_ABOUT_THE_ANSWER = ("system_fingerprint", "service_tier")


def read_completion(provider: str, request: CompletionRequest, body: dict[str, Any]) -> Completion:
    """Return the completion in ``body``.

    Raises :class:`ProviderError`, or ``KeyError``, ``TypeError`` and the like if the body
    has an unexpected shape.
    """
    if "choices" not in body and isinstance(body.get("error"), dict):
        # Routers report an upstream failure in a response with status 200.
        raise upstream_error(provider, body["error"])
    if not body["choices"]:
        raise EmptyCompletion(provider, "returned no choices")
    choices = tuple(_choice(provider, choice) for choice in body["choices"])
    return Completion(
        provider=provider,
        model=request.model,
        choices=choices,
        usage=complete_usage(plain_usage(body) or read_usage(body), request.chat, choices),
        response_id=body.get("id"),
        extra=about_the_answer(body),
    )


def _choice(provider: str, choice: dict[str, Any]) -> Choice:
    if isinstance(choice.get("error"), dict):
        raise upstream_error(provider, choice["error"])
    message = choice["message"]
    content = message.get("content") or ""
    if not isinstance(content, str):
        raise MalformedResponse(provider, "returned content that is not text")
    return Choice(
        parts=tuple(_parts(message, content)),
        finish_reason=FINISH.get(choice.get("finish_reason") or "", "other"),
        refusal=message.get("refusal") or "",
        logprobs=read_logprobs(choice),
    )


def _parts(message: dict[str, Any], content: str) -> Iterator[AnswerPart]:
    if reasoning := reasoning_of(message):
        yield Thinking(reasoning)
    if content:
        yield Text(content)
    for call in message.get("tool_calls") or ():
        yield ToolCall(
            call.get("id") or "",
            call["function"]["name"],
            call["function"].get("arguments") or "",
            signature_of(call),
        )
    if fields := unknown_fields(message):
        yield Opaque("openai", fields)


def reasoning_of(message: Mapping[str, Any]) -> str:
    """Return the reasoning; DeepSeek, vLLM and OpenRouter use different names for the field."""
    reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
    return reasoning if isinstance(reasoning, str) else ""


def signature_of(call: Mapping[str, Any]) -> str:
    """Return Gemini's encrypted reasoning, from the field in which Google sends it on this wire."""
    google = (call.get("extra_content") or {}).get("google") or {}
    return google.get("thought_signature") or ""


def unknown_fields(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the non-empty fields that no other wire knows."""
    if message.keys() <= KNOWN_FIELDS:
        return {}
    return {k: v for k, v in message.items() if k not in KNOWN_FIELDS and v}


def read_logprobs(choice: Mapping[str, Any]) -> list[Any] | None:
    """Return the log probabilities of the content's tokens, or ``None``."""
    return (choice.get("logprobs") or {}).get("content")


def about_the_answer(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields about the whole answer: system fingerprint and service tier."""
    return {name: body[name] for name in _ABOUT_THE_ANSWER if body.get(name) is not None}


def plain_usage(body: Mapping[str, Any]) -> Usage | None:
    """Return the usage of an ordinary answer, as :func:`read_usage` would; else ``None``.

    Nearly all answers report just this, and are read in a fraction of the time.
    """
    usage = body.get("usage")
    if type(usage) is not dict or not usage.keys() <= _PLAIN_FIELDS:
        return None
    if body.get("service_tier") not in _STANDARD_TIERS:
        return None
    within = usage.get("prompt_tokens_details", {})
    out = usage.get("completion_tokens_details", {})
    if type(within) is not dict or type(out) is not dict:
        return None
    unusual = within.keys() - _PLAIN_INPUT_DETAILS or "thinking_tokens" in out
    if unusual or within.get("audio_tokens") or out.get("audio_tokens"):
        return None
    tokens_in, tokens_out = usage.get("prompt_tokens"), usage.get("completion_tokens")
    cached, written = within.get("cached_tokens", 0), within.get("cache_write_tokens", 0)
    reasoning = out.get("reasoning_tokens", 0)
    for count in (tokens_in, tokens_out, cached, written, reasoning):
        if type(count) is not int or not 0 <= count <= _PLAIN_MOST:
            return None
    if not tokens_in or not tokens_out or cached + written > tokens_in or reasoning > tokens_out:
        return None
    if usage.get("total_tokens") != tokens_in + tokens_out:
        return None
    return Usage(tokens_in, tokens_out, cached, written, reasoning)


def upstream_error(provider: str, error: dict[str, Any]) -> ProviderError:
    """Return the error that a router reports in a response with status 200."""
    code = error.get("code")
    if isinstance(code, int) and not isinstance(code, bool) and 400 <= code <= 599:
        return error_for_status(provider, code)
    return MalformedResponse(provider, "reported an error in a response with status 200")

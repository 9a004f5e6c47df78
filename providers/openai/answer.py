"""Read OpenAI's answers: a whole ``chat.completion``, and the pieces that its stream shares.

Wire: https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from providers.chat import Text, Thinking, ToolCall
from providers.completion import AnswerPart, Choice, Completion, CompletionRequest, Opaque, Usage
from providers.errors import (
    ContentBlocked,
    EmptyCompletion,
    MalformedResponse,
    ProviderError,
    error_for_status,
)
from providers.failed_endings import failed_ending, is_failure
from providers.openai.media_text import text_for_media
from providers.openai.repair import as_calls, meaning_of, new_call_id
from providers.openai.searches import searches_in, shows_results
from providers.tool_names import ToolNames
from providers.usage import read_usage
from providers.usage_estimates import complete_usage

# The fields of a message or a delta that other wires also have, under any name.
KNOWN_FIELDS = frozenset(
    {
        "role",
        "content",
        "refusal",
        "tool_calls",
        "function_call",
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
_PLAIN_OUTPUT_DETAILS = frozenset(
    {
        "reasoning_tokens",
        "audio_tokens",
        "accepted_prediction_tokens",
        "rejected_prediction_tokens",
    }
)
# What gateways and xAI say of a cost beside the usage.
_BESIDE_USAGE = frozenset({"provider_metadata", "server_side_tool_usage"})
_PLAIN_MOST = 100_000_000
_STANDARD_TIERS = (None, "default", "auto")
_ABOUT_THE_ANSWER = ("system_fingerprint", "service_tier")


class CallNames:
    """The client's names of the tools, and which of them take plain text.

    An answer on the client's own wire has the client's names already. ``for_own_api`` is whether
    the client uses this API.
    """

    __slots__ = ("_freeform", "_names", "for_own_api")

    def __init__(self, request: CompletionRequest, *, relayed: bool) -> None:
        source = request.chat.source
        self.for_own_api = relayed or (source is not None and source.wire == "openai")
        self._names = None if relayed else ToolNames(request.chat)
        tools = () if relayed else request.chat.tools
        self._freeform = {tool.name for tool in tools if tool.freeform}

    def of(self, name: Any) -> tuple[str, bool]:
        """Return the client's name of the tool, and whether its input is plain text."""
        text = name if isinstance(name, str) else ""
        inner = text if self._names is None else self._names.inner(text)
        return inner, inner in self._freeform


def read_completion(
    provider: str, request: CompletionRequest, body: dict[str, Any], *, relayed: bool = False
) -> Completion:
    """Return the completion in ``body``, which has been repaired.

    Raises :class:`ProviderError`, or ``KeyError``, ``TypeError`` and the like if the body
    has an unexpected shape.
    """
    choices = body.get("choices")
    if not choices and body.get("error"):
        # Routers report an upstream failure in a response with status 200.
        failed = upstream_error(provider, body["error"])
        failed.usage = read_usage(body)
        raise failed
    if "choices" not in body or not isinstance(choices or [], list):
        raise MalformedResponse(provider, "returned an answer that does not follow its protocol")
    usage = plain_usage(body) or read_usage(body)
    if not choices:
        raise EmptyCompletion(provider, "returned no choices", usage=usage)
    names = CallNames(request, relayed=relayed)
    try:
        read = tuple(_choice(provider, choice, names) for choice in choices)
    except ProviderError as error:
        error.usage = usage
        raise
    parts = read[0].parts
    if "web_search" in body or len(parts) != 1 or type(parts[0]) is not Text:
        usage = _with_searches(usage, body)
    if read[0].finish_reason == "other":
        _must_not_have_failed(provider, request, choices, read, usage)
    if request.chat.chosen and all(map(is_empty, read)):
        raise EmptyCompletion(provider, "returned an empty answer", usage=usage)
    response_id = body.get("id")
    return Completion(
        provider=provider,
        model=request.model,
        choices=read,
        usage=complete_usage(usage, request.chat, read),
        response_id=response_id if isinstance(response_id, str) else None,
        extra=about_the_answer(body),
    )


def _with_searches(usage: Usage | None, body: Mapping[str, Any]) -> Usage | None:
    """Return ``usage`` with the searches that the answer shows, where it does not count them."""
    if usage is None or usage.web_searches:
        return usage
    messages = [choice.get("message") for choice in body["choices"] if isinstance(choice, dict)]
    count = sum(searches_in(message) for message in messages if isinstance(message, dict))
    count = count or int(shows_results(body))
    return replace(usage, web_searches=count) if count else usage


def _must_not_have_failed(
    provider: str,
    request: CompletionRequest,
    choices: list[dict[str, Any]],
    read: tuple[Choice, ...],
    usage: Usage | None,
) -> None:
    """Raise the error of choices that all ended in one, though some words may have arrived."""
    reasons = [choice.get("finish_reason") for choice in choices]
    ends = zip(reasons, read, strict=True)
    if all(is_failure(reason, called=bool(choice.tool_calls)) for reason, choice in ends):
        usage = complete_usage(usage, request.chat, read)
        raise failed_ending(provider, str(reasons[0]), usage)


def is_empty(choice: Choice) -> bool:
    """Return whether nothing in the choice is of use, though the provider calls it complete.

    An answer that was cut off or blocked says at least that.
    """
    return not (choice.parts or choice.refusal) and choice.finish_reason in {"stop", "other"}


def _choice(provider: str, choice: dict[str, Any], names: CallNames) -> Choice:
    if choice.get("error"):
        raise upstream_error(provider, choice["error"])
    message = choice["message"]
    return Choice(
        parts=tuple(_parts(message, names)),
        finish_reason=meaning_of(choice.get("finish_reason")),
        refusal=message.get("refusal") or "",
        logprobs=read_logprobs(choice),
    )


def _parts(message: dict[str, Any], names: CallNames) -> Iterator[AnswerPart]:
    reasoning, details = reasoning_of(message), details_of(message)
    if reasoning or details:
        yield Thinking(reasoning, details=details)
    if message.get("content"):
        yield Text(message["content"])
    for call in as_calls(message.get("tool_calls") or ()):
        yield _call(call, names)
    legacy = message.get("function_call")
    if isinstance(legacy, dict) and legacy.get("name"):
        yield ToolCall(new_call_id(), str(legacy["name"]), legacy.get("arguments") or "{}")
    if fields := unknown_fields(message):
        if not names.for_own_api and (text := text_for_media(fields)):
            yield Text(text)
        yield Opaque("openai", fields)


def _call(call: dict[str, Any], names: CallNames) -> ToolCall:
    call_id = call.get("id") or new_call_id()
    custom = call.get("custom")
    if call.get("type") == "custom" and isinstance(custom, dict):
        text = json.dumps({"input": str(custom.get("input") or "")}, ensure_ascii=False)
        return ToolCall(call_id, str(custom.get("name") or ""), text, freeform=True)
    name, freeform = names.of(call["function"].get("name"))
    arguments = call["function"].get("arguments") or "{}"
    return ToolCall(call_id, name, arguments, signature_of(call), freeform=freeform)


def reasoning_of(message: Mapping[str, Any]) -> str:
    """Return the reasoning; DeepSeek, vLLM and OpenRouter use different names for the field."""
    reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
    return reasoning if isinstance(reasoning, str) else ""


def details_of(message: Mapping[str, Any]) -> list[Any] | None:
    """Return OpenRouter's ``reasoning_details``; ``None`` if there are none."""
    details = message.get("reasoning_details")
    return details if isinstance(details, list) and details else None


def signature_of(call: Mapping[str, Any]) -> str:
    """Return Gemini's encrypted reasoning, from the field in which Google sends it on this wire."""
    extra = call.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) else ""


def unknown_fields(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the non-empty fields that no other wire knows."""
    if message.keys() <= KNOWN_FIELDS:
        return {}
    return {k: v for k, v in message.items() if k not in KNOWN_FIELDS and v}


def read_logprobs(choice: Mapping[str, Any]) -> list[Any] | None:
    """Return the log probabilities of the content's tokens, or ``None``."""
    logprobs = choice.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    return content if isinstance(content, list) else None


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
    if body.get("service_tier") not in _STANDARD_TIERS or not _BESIDE_USAGE.isdisjoint(body):
        return None
    within = usage.get("prompt_tokens_details", {})
    out = usage.get("completion_tokens_details", {})
    if type(within) is not dict or type(out) is not dict:
        return None
    unusual = within.keys() - _PLAIN_INPUT_DETAILS or out.keys() - _PLAIN_OUTPUT_DETAILS
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


# https://platform.openai.com/docs/api-reference/responses/object#responses/object-error
STATUS_BY_CODE = {
    "rate_limit_exceeded": 429,
    "insufficient_quota": 402,
    "server_error": 500,
    "server_is_overloaded": 503,
    "vector_store_timeout": 500,
}
"""The statuses that OpenAI's codes of errors stand for."""


def upstream_error(provider: str, error: Any) -> ProviderError:
    """Return the error that a response with status 200 reports, by a router's code or OpenAI's."""
    fields = error if isinstance(error, dict) else {}
    code = fields.get("code")
    if isinstance(code, int) and not isinstance(code, bool) and 400 <= code <= 599:
        return error_for_status(provider, code)
    for name in (code, fields.get("type")):
        if name == "content_filter":
            return ContentBlocked(provider, "blocked the content")
        if isinstance(name, str) and name in STATUS_BY_CODE:
            return error_for_status(provider, STATUS_BY_CODE[name])
    return MalformedResponse(provider, "reported an error in a response with status 200")

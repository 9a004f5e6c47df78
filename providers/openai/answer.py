"""Read OpenAI's answers: a whole ``chat.completion``, and the pieces that its stream shares.

Wire: https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from providers.chat import Text, Thinking, ToolCall
from providers.completion import (
    AnswerPart,
    Choice,
    Completion,
    CompletionRequest,
    Opaque,
    Usage,
    estimated_usage,
    token_count,
)
from providers.errors import EmptyCompletion, MalformedResponse, ProviderError, error_for_status
from providers.openai.repair import FINISH, as_calls, new_call_id
from providers.tool_names import ToolNames

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
_ABOUT_THE_ANSWER = ("system_fingerprint", "service_tier")


class CallNames:
    """The client's names of the tools, and which of them take plain text.

    An answer on the client's own wire has the client's names already.
    """

    __slots__ = ("_freeform", "_names")

    def __init__(self, request: CompletionRequest, *, relayed: bool) -> None:
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
        raise upstream_error(provider, body["error"])
    if "choices" not in body or not isinstance(choices or [], list):
        raise MalformedResponse(provider, "returned an answer that does not follow its protocol")
    usage = read_usage(body.get("usage"))
    if not choices:
        raise EmptyCompletion(provider, "returned no choices", usage=usage)
    names = CallNames(request, relayed=relayed)
    read = tuple(_choice(provider, choice, names) for choice in choices)
    if request.chat.chosen and all(map(is_empty, read)):
        raise EmptyCompletion(provider, "returned an empty answer", usage=usage)
    response_id = body.get("id")
    return Completion(
        provider=provider,
        model=request.model,
        choices=read,
        usage=usage or estimated_usage(request.chat, read),
        response_id=response_id if isinstance(response_id, str) else None,
        extra=about_the_answer(body),
    )


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
        finish_reason=FINISH.get(choice.get("finish_reason") or "", "other"),
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


def read_usage(reported: dict[str, Any] | None) -> Usage | None:
    """Return the usage as reported, or ``None`` if it is not reported."""
    if not reported:
        return None
    prompt_details = reported.get("prompt_tokens_details") or {}
    output_details = reported.get("completion_tokens_details") or {}
    return Usage(
        input_tokens=token_count(reported["prompt_tokens"]),
        output_tokens=token_count(reported.get("completion_tokens")),
        cache_read_tokens=token_count(prompt_details.get("cached_tokens")),
        cache_write_tokens=token_count(prompt_details.get("cache_write_tokens")),
        reasoning_tokens=token_count(output_details.get("reasoning_tokens")),
    )


def upstream_error(provider: str, error: Any) -> ProviderError:
    """Return the error that a router reports in a response with status 200."""
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, int) and not isinstance(code, bool) and 400 <= code <= 599:
        return error_for_status(provider, code)
    return MalformedResponse(provider, "reported an error in a response with status 200")

"""Read the answers of OpenAI's Responses API.

Wire: https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
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
)
from providers.errors import EmptyCompletion, ProviderError, error_for_status
from providers.openai.answer import STATUS_BY_CODE
from providers.unchecked_fields import objects_of
from providers.usage import read_usage
from providers.usage_estimates import complete_usage

WIRE = "openai-responses"
_INCOMPLETE: dict[str, FinishReason] = {
    "max_output_tokens": "length",
    "content_filter": "content_filter",
}
# A response that is worked on in the background has no output yet.
_UNFINISHED = frozenset({"queued", "in_progress"})
# What it uses is known once it has ended.
_UNKNOWN_YET = Usage(0, 0, estimated=True, unreported=("input", "output"))


def read_response(provider: str, request: CompletionRequest, body: Mapping[str, Any]) -> Completion:
    """Return the completion in ``body``, a ``response`` object. Raises :class:`ProviderError`."""
    if body.get("status") == "failed" or ("output" not in body and body.get("error")):
        raise response_error(provider, body)
    output = body.get("output")
    items = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
    parts = tuple(part for item in items for part in item_parts(item))
    usage = read_usage(body)
    refusal = "".join(refusals(items))
    if not parts and not refusal and body.get("status") not in _UNFINISHED | {"incomplete"}:
        raise EmptyCompletion(provider, "returned a response without output", usage=usage)
    choice = Choice(parts, finish_reason(body, parts), refusal)
    if usage is None and body.get("status") in _UNFINISHED:
        usage = _UNKNOWN_YET
    else:
        usage = complete_usage(usage, request.chat, (choice,))
    return Completion(
        provider=provider,
        model=request.model,
        choices=(choice,),
        usage=usage,
        response_id=text_of(body.get("id")) or None,
        extra={"service_tier": tier} if (tier := text_of(body.get("service_tier"))) else {},
    )


def finish_reason(body: Mapping[str, Any], parts: Iterable[AnswerPart]) -> FinishReason:
    """Return the finish reason of a response with the output ``parts``."""
    if body.get("status") == "incomplete":
        details = body.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        return _INCOMPLETE.get(text_of(reason), "other")
    if body.get("status") in _UNFINISHED:
        return "other"
    return "tool_calls" if any(isinstance(part, ToolCall) for part in parts) else "stop"


def item_parts(item: Mapping[str, Any]) -> Iterator[AnswerPart]:
    """Yield the parts of an output item; one that only this API knows is kept as it is."""
    kind = item.get("type")
    if kind == "message":
        for content in objects_of(item.get("content")):
            if content.get("annotations"):
                yield Opaque(WIRE, content, text_of(content.get("text")))
            elif text := text_of(content.get("text")):
                yield Text(text)
    elif kind == "function_call":
        arguments = item.get("arguments")
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments or {})
        yield ToolCall(call_id(item), text_of(item.get("name")), arguments or "{}")
    elif kind == "custom_tool_call":
        arguments = json.dumps({"input": text_of(item.get("input"))})
        yield ToolCall(call_id(item), text_of(item.get("name")), arguments, freeform=True)
    elif kind == "reasoning":
        yield Thinking(reasoning_text(item), details=dict(item))
    elif kind:
        yield Opaque(WIRE, item)


def call_id(item: Mapping[str, Any]) -> str:
    """Return the id with which the result of the call comes back."""
    return text_of(item.get("call_id")) or text_of(item.get("id"))


def reasoning_text(item: Mapping[str, Any]) -> str:
    """Return what a reasoning item shows: its text, or else its summary."""
    shown = [text_of(c.get("text")) for c in objects_of(item.get("content"))]
    shown = shown or [text_of(s.get("text")) for s in objects_of(item.get("summary"))]
    return "\n\n".join(filter(None, shown))


def refusals(items: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the texts with which the model refuses to answer."""
    for item in items:
        for content in objects_of(item.get("content")):
            if refusal := text_of(content.get("refusal")):
                yield refusal


def response_error(provider: str, body: Mapping[str, Any]) -> ProviderError:
    """Return the error that a failed response, or an ``error`` event, reports."""
    error = body.get("error")
    fields = error if isinstance(error, dict) else body
    code = text_of(fields.get("code")) or text_of(fields.get("type"))
    failure = error_for_status(provider, STATUS_BY_CODE.get(code, 400 if code else 500))
    failure.usage = read_usage(body)
    failure.words = text_of(fields.get("message"))[:500]
    return failure


def text_of(value: Any) -> str:
    """Return ``value`` if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""

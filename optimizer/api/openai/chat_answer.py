"""Writes a complete answer in the format of OpenAI's chat completions.

Format: https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

import time
from typing import Any

from optimizer.domain.result import CompletionResult
from providers.chat import Thinking, ToolCall
from providers.completion import AnswerPart, Choice, FinishReason, Opaque, Usage

FINISH: dict[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "other": "stop",
}


def completion_id(request_id: object) -> str:
    """Return the id of the completion that answers a request."""
    return f"chatcmpl-{request_id}"


def chat_completion(result: CompletionResult) -> dict[str, Any]:
    """Return a ``chat.completion`` object."""
    completion = result.completion
    return {
        "id": completion_id(result.request_id),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": completion.model,
        "choices": [
            {
                "index": index,
                "message": message_body(choice),
                "logprobs": logprobs_body(choice.logprobs),
                "finish_reason": FINISH[choice.finish_reason],
            }
            for index, choice in enumerate(completion.choices)
        ],
        "usage": usage_body(completion.usage),
        **answer_extras(completion.extra),
    }


def answer_extras(extra: Any) -> dict[str, Any]:
    """Return the fields that OpenAI's own servers add to an answer as a whole."""
    return {k: v for k, v in (extra or {}).items() if k in {"system_fingerprint", "service_tier"}}


def logprobs_body(logprobs: list[Any] | None) -> dict[str, Any] | None:
    """Return the ``logprobs`` object; ``None`` if there are none."""
    return None if logprobs is None else {"content": logprobs, "refusal": None}


def message_body(choice: Choice) -> dict[str, Any]:
    """Return the ``message`` object of a choice."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": choice.text or (None if choice.tool_calls or choice.refusal else ""),
        "refusal": choice.refusal or None,
    }
    reasoning = "".join(part.text for part in choice.parts if isinstance(part, Thinking))
    if reasoning:
        message["reasoning_content"] = reasoning
    if choice.tool_calls:
        message["tool_calls"] = [tool_call_body(call) for call in choice.tool_calls]
    for part in choice.parts:
        message.update(opaque_fields(part))
    return message


def opaque_fields(part: AnswerPart) -> dict[str, Any]:
    """Return the fields from an OpenAI-compatible server that other APIs do not have."""
    if isinstance(part, Opaque) and part.wire == "openai":
        return dict(part.value)
    return {}


def tool_call_body(call: ToolCall) -> dict[str, Any]:
    """Return a ``tool_calls`` entry."""
    body: dict[str, Any] = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
    if call.signature:
        body["extra_content"] = signature_body(call.signature)
    return body


def signature_body(signature: str) -> dict[str, Any]:
    """Return Gemini's encrypted reasoning in the field that Gemini's own servers use for it."""
    return {"google": {"thought_signature": signature}}


def usage_body(usage: Usage) -> dict[str, Any]:
    """Return the ``usage`` object, in tokens."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }

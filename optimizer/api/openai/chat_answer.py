"""A completion as OpenAI's chat completions spell it, whole.

Wire: https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

import time
from typing import Any

from optimizer.domain.result import CompletionResult
from providers.chat import ToolCall
from providers.completion import AnswerPart, Choice, FinishReason, Opaque, Thinking, Usage

FINISH: dict[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "other": "stop",
}


def completion_id(request_id: object) -> str:
    return f"chatcmpl-{request_id}"


def chat_completion(result: CompletionResult) -> dict[str, Any]:
    """A ``chat.completion`` object."""
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
        **about_the_answer(completion.extra),
    }


def about_the_answer(extra: Any) -> dict[str, Any]:
    """What OpenAI's own servers say of an answer as a whole."""
    return {k: v for k, v in (extra or {}).items() if k in {"system_fingerprint", "service_tier"}}


def logprobs_body(logprobs: list[Any] | None) -> dict[str, Any] | None:
    return None if logprobs is None else {"content": logprobs, "refusal": None}


def message_body(choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": choice.text or (None if choice.tool_calls or choice.refusal else ""),
        "refusal": choice.refusal or None,
    }
    thought = "".join(part.text for part in choice.parts if isinstance(part, Thinking))
    if thought:
        message["reasoning_content"] = thought
    if choice.tool_calls:
        message["tool_calls"] = [tool_call_body(call) for call in choice.tool_calls]
    for part in choice.parts:
        message.update(own_fields(part))
    return message


def own_fields(part: AnswerPart) -> dict[str, Any]:
    """What a server of this very wire said that other wires have no word for."""
    if isinstance(part, Opaque) and part.wire == "openai":
        return dict(part.value)
    return {}


def tool_call_body(call: ToolCall) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
    if call.signature:
        found["extra_content"] = signature_body(call.signature)
    return found


def signature_body(signature: str) -> dict[str, Any]:
    """Gemini's sealed reasoning, as its own servers put it on this wire."""
    return {"google": {"thought_signature": signature}}


def usage_body(usage: Usage) -> dict[str, Any]:
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

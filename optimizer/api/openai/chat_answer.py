"""Writes a complete answer in the format of OpenAI's chat completions.

Format: https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from optimizer.domain.reasoning_seals import seal, seal_call
from optimizer.domain.result import CompletionResult
from providers.chat import Text, Thinking, ToolCall
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


def chat_completion(result: CompletionResult, *, legacy: bool = False) -> dict[str, Any]:
    """Return a ``chat.completion`` object.

    ``legacy`` is whether the client declared ``functions``, the older form of tools.
    """
    completion = result.completion
    author = (completion.provider, completion.model)
    return {
        "id": completion_id(result.request_id),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": completion.model,
        "choices": [
            {
                "index": index,
                "message": message_body(choice, author, legacy=legacy),
                "logprobs": logprobs_body(choice.logprobs),
                "finish_reason": finish_body(choice.finish_reason, legacy=legacy),
            }
            for index, choice in enumerate(completion.choices)
        ],
        "usage": usage_body(completion.usage),
        **answer_extras(completion.extra),
    }


def finish_body(reason: FinishReason, *, legacy: bool = False) -> str:
    """Return the finish reason; a call of a function has a name of its own."""
    return "function_call" if legacy and reason == "tool_calls" else FINISH[reason]


def answer_extras(extra: Any) -> dict[str, Any]:
    """Return the fields that OpenAI's own servers add to an answer as a whole."""
    return {k: v for k, v in (extra or {}).items() if k in {"system_fingerprint", "service_tier"}}


def logprobs_body(logprobs: list[Any] | None) -> dict[str, Any] | None:
    """Return the ``logprobs`` object; ``None`` if there are none."""
    return None if logprobs is None else {"content": logprobs, "refusal": None}


def message_body(
    choice: Choice, author: tuple[str, str], *, legacy: bool = False
) -> dict[str, Any]:
    """Return the ``message`` object of a choice that ``author`` (provider, model) wrote."""
    text = "".join(map(text_in_content, choice.parts))
    calls = choice.tool_calls
    message: dict[str, Any] = {
        "role": "assistant",
        "content": text or (None if calls or choice.refusal else ""),
        "refusal": choice.refusal or None,
    }
    thoughts = [part for part in choice.parts if isinstance(part, Thinking)]
    if thoughts:
        if reasoning := "".join(thought.text for thought in thoughts):
            message["reasoning_content"] = reasoning
        message["reasoning_details"] = [
            reasoning_detail(thought, author, index) for index, thought in enumerate(thoughts)
        ]
    if calls and legacy:
        message["function_call"] = {"name": calls[0].name, "arguments": arguments_of(calls[0])}
    elif calls:
        message["tool_calls"] = [tool_call_body(call, author) for call in calls]
    for part in choice.parts:
        if isinstance(part, Opaque):
            add_fields(message, opaque_fields(part.wire, part.value))
    return message


def text_in_content(part: AnswerPart) -> str:
    """Return the text of a part that belongs to ``content``."""
    if isinstance(part, Text):
        return part.text
    if isinstance(part, Opaque) and not opaque_fields(part.wire, part.value):
        return part.text
    return ""


def reasoning_detail(thought: Thinking, author: tuple[str, str], index: int) -> dict[str, Any]:
    """Return an entry of ``reasoning_details`` that holds the reasoning under our seal.

    OpenRouter documents the form: https://openrouter.ai/docs/use-cases/reasoning-tokens
    """
    sealed = seal(thought, *author)
    about = {"id": None, "format": "unknown", "index": index}
    if thought.text:
        return {"type": "reasoning.text", "text": thought.text, "signature": sealed, **about}
    return {"type": "reasoning.encrypted", "data": sealed, **about}


def opaque_fields(wire: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a message that hold a part of the answer only some APIs have.

    They are those of an OpenAI-compatible server, or a picture in OpenRouter's form:
    https://openrouter.ai/docs/features/multimodal/image-generation
    """
    if wire == "openai":
        return dict(value)
    picture = value.get("inlineData")
    if isinstance(picture, Mapping) and str(picture.get("mimeType")).startswith("image/"):
        url = f"data:{picture['mimeType']};base64,{picture.get('data') or ''}"
        return {"images": [{"type": "image_url", "image_url": {"url": url}, "index": 0}]}
    return {}


def add_fields(message: dict[str, Any], fields: Mapping[str, Any]) -> None:
    """Add ``fields`` to a message; lists and the pieces of a recording are joined."""
    for name, value in fields.items():
        known = message.get(name)
        if isinstance(known, list) and isinstance(value, list):
            message[name] = [*known, *value]
        elif isinstance(known, dict) and isinstance(value, dict):
            message[name] = {**known, **value} | {
                key: known[key] + value[key]
                for key in ("data", "transcript")
                if isinstance(known.get(key), str) and isinstance(value.get(key), str)
            }
        else:
            message[name] = value


def arguments_of(call: ToolCall) -> str:
    """Return the arguments as JSON text, which is never empty."""
    return call.arguments or "{}"


def tool_call_body(call: ToolCall, author: tuple[str, str]) -> dict[str, Any]:
    """Return a ``tool_calls`` entry."""
    if call.freeform:
        return {"id": call.id, "type": "custom", "custom": custom_body(call)}
    body: dict[str, Any] = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments_of(call)},
    }
    if call.signature:
        body["extra_content"] = signature_body(call, author)
    return body


def custom_body(call: ToolCall) -> dict[str, Any]:
    """Return the name and the input of a call of a freeform tool."""
    text = call.input.get("input")
    return {"name": call.name, "input": text if isinstance(text, str) else call.arguments}


def signature_body(call: ToolCall, author: tuple[str, str]) -> dict[str, Any]:
    """Return encrypted reasoning in the field that Gemini's own servers use, under our seal."""
    return {"google": {"thought_signature": seal_call(call, *author)}}


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

"""One answer in the shape of each provider's wire."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.fakes.wires import anthropic_message, gemini_response, openai_completion

Call = tuple[str, str, dict[str, Any]]
"""Id, name, arguments."""

_ENDINGS = {
    "stop": ("stop", "end_turn", "STOP"),
    "length": ("length", "max_tokens", "MAX_TOKENS"),
    "filter": ("content_filter", "refusal", "SAFETY"),
}


def openai_answer(text: str, calls: Sequence[Call], ending: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": None}
    if calls:
        message["tool_calls"] = [
            {
                "id": call_id,
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for call_id, name, arguments in calls
        ]
    finish = "tool_calls" if calls else _ENDINGS[ending][0]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return openai_completion("m", choices=[choice])


def anthropic_answer(text: str, calls: Sequence[Call], ending: str) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    content += [
        {"type": "tool_use", "id": call_id, "name": name, "input": arguments}
        for call_id, name, arguments in calls
    ]
    reason = "tool_use" if calls else _ENDINGS[ending][1]
    return anthropic_message("m", content=content, stop_reason=reason)


def gemini_answer(text: str, calls: Sequence[Call], ending: str) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"text": text}] if text else []
    parts += [
        {"functionCall": {"id": call_id, "name": name, "args": arguments}}
        for call_id, name, arguments in calls
    ]
    candidate = {
        "content": {"parts": parts, "role": "model"},
        "finishReason": _ENDINGS[ending][2],
        "index": 0,
    }
    return gemini_response("m", candidates=[candidate])


ANSWERS = {"openrouter": openai_answer, "claude": anthropic_answer, "gemini": gemini_answer}
"""By the provider's name."""

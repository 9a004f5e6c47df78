"""Recordings of each wire's answers: reasoning, a text, two tool calls and usage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.fakes.answers import openai_answer
from tests.fakes.wires import anthropic_message, gemini_response

Event = tuple[str, Any]
"""The name of a server-sent event, and its JSON or text."""

_CALLS = [("call_1", "find", {"city": "Paris"}), ("call_2", "sum", {"of": [1, 2]})]
_TEXT, _THOUGHT = "The capital is Paris.", "France, so Paris."


@dataclass(frozen=True)
class Recording:
    """One answer of a provider, whole and as the events that it streams."""

    whole: dict[str, Any]
    events: list[Event]


def _openai() -> Recording:
    whole = openai_answer(_TEXT, _CALLS, "stop")
    message = whole["choices"][0]["message"]
    details = [{"type": "reasoning.text", "text": _THOUGHT, "index": 0, "format": "unknown"}]
    message |= {"reasoning": _THOUGHT, "reasoning_details": details}
    whole |= {"service_tier": "default", "provider": "Azure"}
    whole["usage"] |= {"cost": 0.0001, "cost_details": {"upstream_inference_cost": 0.0001}}
    head = {**whole, "object": "chat.completion.chunk"}
    del head["usage"]

    def chunk(finish: str | None = None, **delta: Any) -> Event:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return "", {**head, "choices": [choice]}

    def call(index: int, **fields: Any) -> dict[str, Any]:
        return {"index": index, **fields}

    calls = message["tool_calls"]
    return Recording(
        whole,
        [
            chunk(role="assistant", content="", reasoning=_THOUGHT, reasoning_details=details),
            chunk(content=_TEXT[:8]),
            chunk(content=_TEXT[8:]),
            chunk(tool_calls=[call(0, **{**calls[0], "function": {"name": "find"}})]),
            chunk(tool_calls=[call(0, function={"arguments": '{"city": '})]),
            chunk(tool_calls=[call(0, function={"arguments": '"Paris"}'})]),
            chunk(tool_calls=[call(1, **calls[1])]),
            chunk("tool_calls"),
            ("", {**head, "choices": [], "usage": whole["usage"]}),
            ("", "[DONE]"),
        ],
    )


def _responses() -> Recording:
    message = {
        "id": "msg_1", "type": "message", "status": "completed", "role": "assistant",
        "content": [{"type": "output_text", "text": _TEXT, "annotations": [], "logprobs": []}],
    }  # fmt: skip
    reasoning = {
        "id": "rs_1", "type": "reasoning", "encrypted_content": "gAAAA",
        "summary": [{"type": "summary_text", "text": _THOUGHT}],
    }  # fmt: skip
    calls = [
        {"id": f"fc_{number}", "type": "function_call", "status": "completed", "name": name,
         "call_id": call_id, "arguments": '{"city": "Paris"}'}
        for number, (call_id, name, _) in enumerate(_CALLS)
    ]  # fmt: skip
    items: list[dict[str, Any]] = [reasoning, message, *calls]
    usage = {
        "input_tokens": 100, "input_tokens_details": {"cached_tokens": 20}, "output_tokens": 30,
        "output_tokens_details": {"reasoning_tokens": 10}, "total_tokens": 130,
    }  # fmt: skip
    whole: dict[str, Any] = {
        "id": "resp_1", "object": "response", "created_at": 1_790_000_000, "status": "completed",
        "error": None, "incomplete_details": None, "model": "gpt-6-luna-2026", "output": items,
        "parallel_tool_calls": True, "usage": usage, "store": False, "service_tier": "default",
    }  # fmt: skip
    opened = {**whole, "status": "in_progress", "output": [], "usage": None}
    found: list[dict[str, Any]] = [
        {"type": "response.created", "response": opened},
        {"type": "response.in_progress", "response": opened},
    ]
    deltas: dict[str, tuple[str, dict[str, Any], str]] = {
        "reasoning": ("response.reasoning_summary_text", {"summary_index": 0}, _THOUGHT),
        "message": ("response.output_text", {"content_index": 0}, _TEXT),
        "function_call": ("response.function_call_arguments", {}, '{"city": "Paris"}'),
    }
    empty: dict[str, dict[str, Any]] = {
        "reasoning": {"summary": []}, "message": {"content": []}, "function_call": {"arguments": ""}
    }  # fmt: skip
    for index, item in enumerate(items):
        kind, more, text = deltas[item["type"]]
        place = {"output_index": index, "item_id": item["id"], **more}
        opening = {**item, **empty[item["type"]]}
        found += [
            {"type": "response.output_item.added", "output_index": index, "item": opening},
            {"type": f"{kind}.delta", **place, "delta": text[:9]},
            {"type": f"{kind}.delta", **place, "delta": text[9:]},
            {"type": f"{kind}.done", **place, "text": text, "arguments": text},
            {"type": "response.output_item.done", "output_index": index, "item": item},
        ]
    found.append({"type": "response.completed", "response": whole})
    return Recording(
        whole,
        [(event["type"], {**event, "sequence_number": n}) for n, event in enumerate(found)],
    )


def _anthropic() -> Recording:
    thinking = {"type": "thinking", "thinking": _THOUGHT, "signature": "Eq=="}
    calls = [{"type": "tool_use", "id": i, "name": n, "input": given} for i, n, given in _CALLS]
    text = {"type": "text", "text": _TEXT, "citations": None}
    whole = anthropic_message("m", content=[thinking, text, *calls], stop_reason="tool_use")
    whole["usage"] |= {"service_tier": "standard", "server_tool_use": None}
    opened = {**whole, "content": [], "stop_reason": None}
    found: list[dict[str, Any]] = [{"type": "message_start", "message": opened}, {"type": "ping"}]
    pieces: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
        (
            {**thinking, "thinking": "", "signature": ""},
            [
                {"type": "thinking_delta", "thinking": _THOUGHT},
                {"type": "signature_delta", "signature": "Eq=="},
            ],
        ),
        ({**text, "text": ""}, [{"type": "text_delta", "text": _TEXT}]),
        *(
            (
                {**call, "input": {}},
                [
                    {"type": "input_json_delta", "partial_json": '{"city": '},
                    {"type": "input_json_delta", "partial_json": '"Paris"}'},
                ],
            )
            for call in calls
        ),
    ]
    for index, (block, deltas) in enumerate(pieces):
        found.append({"type": "content_block_start", "index": index, "content_block": block})
        found += [{"type": "content_block_delta", "index": index, "delta": d} for d in deltas]
        found.append({"type": "content_block_stop", "index": index})
    ending = {"stop_reason": "tool_use", "stop_sequence": None}
    found.append({"type": "message_delta", "delta": ending, "usage": {"output_tokens": 9}})
    found.append({"type": "message_stop"})
    return Recording(whole, [(event["type"], event) for event in found])


def _gemini() -> Recording:
    parts: list[dict[str, Any]] = [
        {"text": _THOUGHT, "thought": True},
        {"text": _TEXT, "thoughtSignature": "Eq=="},
        *({"functionCall": {"id": i, "name": n, "args": given}} for i, n, given in _CALLS),
    ]
    content = {"parts": parts, "role": "model"}
    candidate = {"content": content, "finishReason": "STOP", "index": 0, "safetyRatings": []}
    whole = gemini_response("m", candidates=[candidate])
    head = {key: value for key, value in whole.items() if key != "candidates"}

    def message(part: dict[str, Any], **fields: Any) -> Event:
        content = {"parts": [part], "role": "model"}
        return "", {**head, "candidates": [{"content": content, "index": 0, **fields}]}

    last = message(parts[-1], finishReason="STOP")
    return Recording(whole, [*(message(part) for part in parts[:-1]), last])


RECORDINGS = {
    "chat": _openai(),
    "responses": _responses(),
    "messages": _anthropic(),
    "gemini": _gemini(),
}
"""By the wire that the answer is in."""

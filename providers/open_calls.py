"""Give each call of a tool that has no result one, in a body that goes out on its own wire.

Clients leave results out where a user stops a call, and every API refuses such a conversation.
Each function takes the turns of one wire and returns them itself if nothing is missing.
Translated requests are mended in :mod:`providers.tool_results`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from providers.tool_results import NO_RESULT
from providers.unchecked_fields import objects_of

Turn = Any
_OUTPUTS = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
}


def with_tool_messages(messages: list[Turn]) -> list[Turn]:
    """Return the ``messages`` of OpenAI's chat completions."""
    complete: list[Turn] = []
    waiting: list[Any] = []
    for message in messages:
        role = message.get("role") if isinstance(message, Mapping) else None
        if role == "tool":
            waiting = [call for call in waiting if call != message.get("tool_call_id")]
        elif waiting:
            complete += map(_tool_message, waiting)
            waiting = []
        complete.append(message)
        if role == "assistant" and (calls := objects_of(message.get("tool_calls"))):
            waiting = [call["id"] for call in calls if call.get("id")]
    complete += map(_tool_message, waiting)
    return complete if len(complete) > len(messages) else messages


def with_outputs(items: list[Turn]) -> list[Turn]:
    """Return the ``input`` of OpenAI's responses."""
    given = {
        (item.get("type"), item.get("call_id"))
        for item in objects_of(items)
        if str(item.get("type")).endswith("_output")
    }
    complete: list[Turn] = []
    waiting: list[Turn] = []
    for item in items:
        kind = item.get("type") if isinstance(item, Mapping) else None
        output = _OUTPUTS.get(kind) if isinstance(kind, str) else None
        if output is None:
            complete += waiting
            waiting = []
        complete.append(item)
        if output is not None and item.get("call_id") and (output, item["call_id"]) not in given:
            waiting.append({"type": output, "call_id": item["call_id"], "output": NO_RESULT})
    complete += waiting
    return complete if len(complete) > len(items) else items


def with_result_blocks(messages: list[Turn]) -> list[Turn]:
    """Return the ``messages`` of Anthropic's API."""
    complete: list[Turn] = []
    waiting: list[Any] = []
    mended = False
    for message in messages:
        blocks = _blocks(message)
        if waiting:
            given = {b.get("tool_use_id") for b in blocks if b.get("type") == "tool_result"}
            missing = [_result_block(call) for call in waiting if call not in given]
            mended = mended or bool(missing)
            if missing and _role(message) == "user":
                content = message.get("content")
                text = [{"type": "text", "text": content}] if isinstance(content, str) else content
                message = {**message, "content": [*missing, *(text or ())]}
            elif missing:
                complete.append({"role": "user", "content": missing})
        complete.append(message)
        waiting = []
        if _role(message) == "assistant":
            calls = (block for block in blocks if block.get("type") == "tool_use")
            waiting = [block["id"] for block in calls if block.get("id")]
    if waiting:
        complete.append({"role": "user", "content": [_result_block(call) for call in waiting]})
        mended = True
    return complete if mended else messages


def with_responses(contents: list[Turn]) -> list[Turn]:
    """Return the ``contents`` of Gemini's API."""
    complete: list[Turn] = []
    waiting: list[Mapping[str, Any]] = []
    mended = False
    for content in contents:
        parts = objects_of(content.get("parts")) if isinstance(content, Mapping) else []
        if waiting:
            given = list(_functions(parts, "functionResponse", "function_response"))
            missing = [_response(call) for call in _unanswered(waiting, given)]
            mended = mended or bool(missing)
            if missing and _role(content) != "model":
                content = {**content, "parts": [*missing, *parts]}
            elif missing:
                complete.append({"role": "user", "parts": missing})
        complete.append(content)
        waiting = []
        if _role(content) == "model":
            waiting = list(_functions(parts, "functionCall", "function_call"))
    if waiting:
        complete.append({"role": "user", "parts": [_response(call) for call in waiting]})
        mended = True
    return complete if mended else contents


def _unanswered(
    calls: list[Mapping[str, Any]], given: list[Mapping[str, Any]]
) -> Iterator[Mapping[str, Any]]:
    """Yield the calls without a response, which is known by its id, or else by its name."""
    ids = {response.get("id") for response in given if response.get("id")}
    names = Counter(str(response.get("name")) for response in given)
    for call in calls:
        name = str(call.get("name"))
        if call.get("id") in ids or (not (call.get("id") and ids) and names[name] > 0):
            names[name] -= 1
        else:
            yield call


def _functions(parts: list[Any], *names: str) -> Iterator[Mapping[str, Any]]:
    for part in parts:
        value = next((part[name] for name in names if name in part), None)
        if isinstance(value, Mapping):
            yield value


def _response(call: Mapping[str, Any]) -> dict[str, Any]:
    known = {"id": call["id"]} if call.get("id") else {}
    response = {**known, "name": call.get("name"), "response": {"error": NO_RESULT}}
    return {"functionResponse": response}


def _tool_message(call_id: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": NO_RESULT}


def _result_block(call_id: Any) -> dict[str, Any]:
    return {
        "type": "tool_result", "tool_use_id": call_id, "content": NO_RESULT, "is_error": True,
    }  # fmt: skip


def _role(turn: Turn) -> Any:
    return turn.get("role") if isinstance(turn, Mapping) else None


def _blocks(message: Turn) -> list[dict[str, Any]]:
    return objects_of(message.get("content")) if isinstance(message, Mapping) else []

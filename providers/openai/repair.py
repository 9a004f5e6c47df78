"""Mend, in OpenAI's answers, what every client would fail on; all else stays as it came.

Servers with OpenAI's API differ: some send content as a list of parts or as a number, the
arguments of a call as an object or not at all, or end with "stop" beside tool calls.

https://docs.mistral.ai/capabilities/reasoning/ has content as a list of parts.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from providers.completion import FinishReason
from providers.failed_endings import is_failure

FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    # Servers that pass on the words of another API, in any case.
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "complete": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "safety": "content_filter",
    "error_toxic": "content_filter",
    "error_limit": "length",
    "refusal": "content_filter",
    "sensitive": "content_filter",
}
# The endings for which this API has the common word itself.
_OWN_WORDS = frozenset({"stop", "length", "content_filter"})
_USUAL_ENDINGS = ("stop", "length")
_USUAL_FIELDS = frozenset({"role", "content", "refusal"})
_REASONING_KINDS = frozenset({"thinking", "reasoning"})


def meaning_of(reason: Any) -> FinishReason:
    """Return the common word for a finish reason, whichever API's word it is."""
    return FINISH.get(reason.lower(), "other") if isinstance(reason, str) else "other"


def _needs_nothing(choices: Any) -> bool:
    """Return whether the choices are one usual text, as nearly all are: nothing is to be mended."""
    if type(choices) is not list or len(choices) != 1 or type(choice := choices[0]) is not dict:
        return False
    message = choice.get("message")
    return (
        choice.get("index") == 0
        and type(choice["index"]) is int
        and choice.get("finish_reason") in _USUAL_ENDINGS
        and type(message) is dict
        and message.keys() <= _USUAL_FIELDS
        and type(message.get("role")) is str
        and type(message.get("content")) is str
        and message.get("refusal") is None
    )


def repair_completion(body: dict[str, Any]) -> bool:
    """Mend a whole answer in place; return whether anything changed."""
    choices = body.get("choices")
    if _needs_nothing(choices):
        return False
    alone = isinstance(choices, dict)
    if alone:
        choices = body["choices"] = [choices]
    if not isinstance(choices, list):
        return False
    usable = [choice for choice in choices if isinstance(choice, dict)]
    changed = alone or len(usable) < len(choices)
    if changed:
        body["choices"] = usable
    for position, choice in enumerate(usable):
        changed |= _repair_choice(choice, position)
    return changed


def _repair_choice(choice: dict[str, Any], position: int) -> bool:
    changed = False
    if type(choice.get("index")) is not int:
        choice["index"], changed = position, True
    message = choice.get("message")
    if not isinstance(message, dict):
        # Servers that answer with a delta, or as the older API of completions does.
        message = choice.get("delta")
        if not isinstance(message, dict):
            message = {"content": choice.get("text")}
        choice["message"], changed = message, True
    if not isinstance(message.get("role"), str):
        message["role"], changed = "assistant", True
    changed |= repair_content(message)
    if calls := message.get("tool_calls"):
        changed |= _repair_calls(message, calls)
    legacy = message.get("function_call")
    if isinstance(legacy, dict) and type(legacy.get("arguments")) is not str:
        legacy["arguments"], changed = arguments_text(legacy.get("arguments")) or "{}", True
    reason = choice.get("finish_reason")
    fitting = fitting_finish(reason, message)
    if not fitting:
        fitting = "stop"
    if fitting != reason:
        choice["finish_reason"], changed = fitting, True
    return changed


def fitting_finish(reason: Any, message: dict[str, Any]) -> str | None:
    """Return this API's word for ``reason`` that agrees with what is in ``message``.

    A word that no API is known to use stays as it is, unless tools are called; that of a failure
    always does.
    """
    if reason is not None and not isinstance(reason, str):
        reason = "stop"
    calls, legacy = message.get("tool_calls"), message.get("function_call")
    meaning = meaning_of(reason)
    if meaning == "other" and is_failure(reason, called=bool(calls or legacy)):
        return reason
    if (calls or legacy) and meaning in {"stop", "other", "tool_calls"}:
        return "tool_calls" if calls else "function_call"
    if meaning == "tool_calls":
        return "stop"
    return meaning if meaning in _OWN_WORDS else reason


def repair_content(message: dict[str, Any]) -> bool:
    """Mend the content, the refusal and the reasoning of a message or a delta in place."""
    changed = False
    content = message.get("content")
    if content is not None and type(content) is not str:
        message["content"] = None
        _take_apart(content, message)
        changed = True
    for name in ("refusal", "reasoning_content", "reasoning"):
        value = message.get(name)
        if value is not None and type(value) is not str:
            message[name], changed = text_of(value) or None, True
    return changed


def _take_apart(content: Any, message: dict[str, Any]) -> None:
    """Put what ``content`` holds into the fields of ``message`` that clients know."""
    texts: list[str] = []
    reasoning: list[str] = []
    for part in content if isinstance(content, list) else [content]:
        kind = part.get("type") if isinstance(part, dict) else ""
        if isinstance(kind, str) and kind in _REASONING_KINDS:
            reasoning.append(text_of(part))
        elif kind == "image_url":
            message["images"] = [*(message.get("images") or ()), part]
        elif kind == "refusal":
            message["refusal"] = text_of(part)
        else:
            texts.append(text_of(part))
    message["content"] = "".join(texts) if texts else None
    thought = "".join(reasoning)
    if thought and not (message.get("reasoning_content") or message.get("reasoning")):
        message["reasoning_content"] = thought


def text_of(value: Any) -> str:
    """Return the text in ``value``: a text, a number, a part, or a list of these."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(text_of, value))
    if isinstance(value, dict):
        names = ("text", "thinking", "reasoning", "summary", "refusal", "content", "value")
        return next((text_of(value[name]) for name in names if value.get(name)), "")
    return "" if value is None or isinstance(value, bool) else str(value)


def as_calls(calls: Any) -> Iterator[dict[str, Any]]:
    """Yield the calls that are objects."""
    for call in calls if isinstance(calls, list) else [calls]:
        if isinstance(call, dict):
            yield call


def _repair_calls(message: dict[str, Any], calls: Any) -> bool:
    given = list(as_calls(calls))
    changed, ids = False, set()
    for call in given:
        changed |= repair_call(call)
        if call.get("type") == "custom":
            continue
        if says_nothing(call["function"].get("arguments") or ""):
            call["function"]["arguments"], changed = "{}", True
        if not isinstance(call.get("type"), str):
            call["type"], changed = "function", True
        # By its id, a call is told from the others when its result comes.
        if not isinstance(call.get("id"), str) or not call["id"] or call["id"] in ids:
            call["id"], changed = new_call_id(), True
        ids.add(call["id"])
    # A call that names no tool is of no use to anybody.
    usable = [call for call in given if _names_a_tool(call)]
    if usable != calls:
        message["tool_calls"], changed = usable, True
    return changed


def _names_a_tool(call: dict[str, Any]) -> bool:
    described = call.get("custom") if call.get("type") == "custom" else call["function"]
    return isinstance(described, dict) and bool(described.get("name"))


def repair_call(call: dict[str, Any]) -> bool:
    """Mend a tool call, or a piece of one, in place; return whether anything changed."""
    changed, custom = False, call.get("custom")
    if isinstance(custom, dict):
        changed = _mend_texts(custom, "input")
    if call.get("type") == "custom":
        if isinstance(custom, dict) or "function" not in call:
            return changed
        call["type"], changed = "function", True
    function = call.get("function")
    if not isinstance(function, dict):
        function = {name: call.pop(name) for name in ("name", "arguments") if name in call}
        call["function"], changed = function, True
    return _mend_texts(function, "arguments") or changed


def _mend_texts(described: dict[str, Any], written: str) -> bool:
    """Make texts of a call's name and of the field with what the model wrote for it."""
    changed = False
    for name, mended in ((written, arguments_text), ("name", text_of)):
        value = described.get(name)
        if value is not None and type(value) is not str:
            described[name], changed = mended(value), True
    return changed


def says_nothing(arguments: str) -> bool:
    """Return whether this text stands for no arguments: it is blank, or JSON's null."""
    return arguments.strip() in ("", "null")


def arguments_text(arguments: Any) -> str:
    """Return the arguments of a call as JSON text; empty if there are none."""
    if isinstance(arguments, str):
        return arguments
    return json.dumps(arguments, ensure_ascii=False) if arguments else ""


def new_call_id() -> str:
    """Return an id for a call that came without one."""
    return f"call_{uuid.uuid4().hex[:24]}"

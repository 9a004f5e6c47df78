"""Adapt a request that goes out on its own wire to the model that this service chose.

A request that names its model goes out as it came, but for reasoning under our own seals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from providers import features
from providers.chat import Chat, Message, Thinking, ToolCall
from providers.openai.dialect import Dialect
from providers.openai.reasoning import past_reasoning, reasoning_fields

_REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_details")
_EFFORT_FIELDS = ("reasoning_effort", "reasoning", "thinking")
# The fields that a model without a feature does not get.
_LEFT_OUT: Mapping[str, tuple[str, ...]] = {
    features.TEMPERATURE: ("temperature",),
    features.TOP_P: ("top_p",),
    features.SEED: ("seed",),
    features.LOGIT_BIAS: ("logit_bias",),
    features.PENALTIES: ("presence_penalty", "frequency_penalty"),
    features.SINGLE_TOOL_CALLS: ("parallel_tool_calls",),
    features.VERBOSITY: ("verbosity",),
    features.SERVICE_TIERS: ("service_tier",),
    features.REASONING: _EFFORT_FIELDS,
}


def adapt(
    body: dict[str, Any], chat: Chat, model: str, has: frozenset[str], dialect: Dialect
) -> None:
    """Leave out of ``body``, in place, what a model with the features ``has`` refuses."""
    for feature, names in _LEFT_OUT.items():
        if feature not in has:
            for name in names:
                body.pop(name, None)
    _adapt_values(body, chat, has)
    # A router takes either form of reasoning; other servers know the effort alone.
    routed = dialect.router and ("reasoning" in body or "reasoning_effort" in body)
    if chat.reasoning is not None and features.REASONING in has and not routed:
        for name in _EFFORT_FIELDS:
            body.pop(name, None)
        body.update(reasoning_fields(chat.reasoning, model, dialect))
    if not dialect.cache_marks and _has_cache_marks(chat):
        body.pop("cache_control", None)
        for name in ("messages", "tools"):
            if name in body:
                body[name] = _without_marks(body[name])


def _adapt_values(body: dict[str, Any], chat: Chat, has: frozenset[str]) -> None:
    """Adapt what a model without a feature takes in part."""
    if features.HOT not in has and (chat.temperature or 0) > 1 and "temperature" in body:
        body["temperature"] = 1
    if features.FOUR_STOPS not in has and len(chat.stop) > 4:
        body["stop"] = list(chat.stop[:4])
    if features.NAMES not in has and any(message.name for message in chat.messages):
        body["messages"] = [_without(message, "name") for message in body["messages"]]
    if features.STRICT_TOOLS not in has and any(tool.strict for tool in chat.tools):
        body["tools"] = [_lenient(tool) for tool in body["tools"]]


def _without(message: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return {k: v for k, v in message.items() if k != name or message.get("role") == "function"}


def _lenient(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    function = tool.get("function")
    if not isinstance(function, Mapping) or "strict" not in function:
        return tool
    return {**tool, "function": {k: v for k, v in function.items() if k != "strict"}}


def _has_cache_marks(chat: Chat) -> bool:
    if chat.cache or any(tool.cache for tool in chat.tools):
        return True
    return any(getattr(part, "cache", None) for part in chat.parts())


def _without_marks(value: Any) -> Any:
    """Return messages or tools without the marks, but with the arguments of calls as they are."""
    if isinstance(value, list):
        return [_without_marks(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {k: v for k, v in value.items() if k != "cache_control"}
    if isinstance(kept.get("content"), list):
        kept["content"] = _without_marks(kept["content"])
    return kept


def with_own_reasoning(
    messages: list[Any],
    chat: Chat,
    author: tuple[str, str],
    dialect: Dialect,
    *,
    past: bool,
) -> list[Any]:
    """Return ``messages`` with the reasoning that ``author`` wrote, without our seals.

    ``author`` is the (provider, model) that gets them. Reasoning of other models under our
    seal is left out. What has no seal stays if the client named the model; of a model that
    we chose, it goes to servers that take ``past`` reasoning.
    """
    turns = (message for message in chat.messages if message.role == "assistant")
    restore = _restorer(turns, chat, author, dialect, past=past)
    return [
        restore(message) if message.get("role") == "assistant" else message for message in messages
    ]


def _restorer(
    turns: Iterator[Message], chat: Chat, author: tuple[str, str], dialect: Dialect, *, past: bool
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def restore(message: dict[str, Any]) -> dict[str, Any]:
        turn = next(turns, None)
        if turn is None:
            return message
        thoughts = [part for part in turn.parts if isinstance(part, Thinking)]
        sealed = any(thought.provider for thought in thoughts)
        restored = message
        if sealed or (thoughts and chat.chosen):
            restored = {k: v for k, v in message.items() if k not in _REASONING_FIELDS}
            if past:
                restored |= past_reasoning(thoughts, author, dialect, anybody=True)
            if not restored.get("tool_calls") and restored.get("content") is None:
                restored["content"] = ""
        calls = [part for part in turn.parts if isinstance(part, ToolCall)]
        if any(call.signed_by != ("", "") for call in calls):
            by_id = {call.id: call for call in calls}
            restored = {
                **restored,
                "tool_calls": [
                    _unsealed_call(call, by_id.get(call.get("id") or ""), author)
                    for call in message.get("tool_calls") or ()
                ],
            }
        return restored

    return restore


def _unsealed_call(
    raw: dict[str, Any], call: ToolCall | None, author: tuple[str, str]
) -> dict[str, Any]:
    if call is None or call.signed_by == ("", ""):
        return raw
    restored = {name: value for name, value in raw.items() if name != "extra_content"}
    if call.signature and call.signed_by == author:
        restored["extra_content"] = {"google": {"thought_signature": call.signature}}
    return restored

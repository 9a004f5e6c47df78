"""Pass on a request of this wire: as it came, but for what the model that was chosen refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers import features
from providers.chat import Chat
from providers.completion import CompletionRequest
from providers.open_calls import with_tool_messages
from providers.openai.dialect import SERVER, Dialect
from providers.openai.reasoning import needs_reasoning, reasoning_fields
from providers.openai.request import most_stops, named_and_limited, spell
from providers.openai.unsealed import shows_reasoning, with_own_reasoning

# Fields of this service, and fields that are set for each provider.
_FIELDS_NOT_SENT = frozenset(
    {"model", "optimizer", "stream", "stream_options", "max_tokens", "max_completion_tokens"}
)
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
    features.USERS: ("user", "safety_identifier"),
    # The model chooses where nothing is said, and no other choice comes to such a model.
    features.TOOL_CHOICE: ("tool_choice",),
}


def relayed_payload(
    request: CompletionRequest,
    *,
    dialect: Dialect = SERVER,
    has: frozenset[str] = features.OPENAI,
    provider: str = "",
) -> dict[str, Any]:
    """Return the JSON body that came in on this wire, fit for the model that was chosen.

    ``has`` and ``provider`` are those of :func:`providers.openai.request.openai_payload`.
    """
    chat = request.chat
    assert chat.source is not None
    body = {k: v for k, v in chat.source.body.items() if k not in _FIELDS_NOT_SENT}
    if chat.chosen:
        if len(chat.messages) > 1:
            body["messages"] = with_tool_messages(body["messages"])
        _adapt(body, chat, request.model, has - request.lacks, dialect)
    if not dialect.developer_role:
        body["messages"] = [_as_system(message) for message in body["messages"]]
    past = features.PAST_REASONING in has - request.lacks
    if past:
        unfit = needs_reasoning(request.model, dialect)
    else:
        unfit = len(chat.messages) > 1 and shows_reasoning(body["messages"])
    if chat.sealed or unfit:
        author = (provider, request.model)
        body["messages"] = with_own_reasoning(body["messages"], chat, author, dialect, past=past)
    if chat.chosen:
        spell(body, dialect)
    return named_and_limited(body, request, dialect)


def _adapt(
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
    if len(chat.stop) > (most := most_stops(has)):
        body["stop"] = list(chat.stop[:most])
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
    if chat.cache:
        return True
    for tool in chat.tools:
        if tool.cache:
            return True
    for message in chat.messages:
        for part in message.parts:
            if getattr(part, "cache", None):
                return True
    return False


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


def _as_system(message: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**message, "role": "system"} if message.get("role") == "developer" else message

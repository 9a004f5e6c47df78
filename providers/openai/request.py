"""Write a chat as a request to OpenAI's chat completions API.

Wire: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from providers import features
from providers.anthropic.cache_marks import HOUR_MARK, MARK
from providers.chat import Chat, Tool
from providers.completion import CompletionRequest
from providers.open_calls import with_tool_messages
from providers.openai.cache_marks import add_part_marks
from providers.openai.content import MessageWriter, short_call_id
from providers.openai.dialect import SERVER, Dialect
from providers.openai.reasoning import needs_reasoning, reasoning_fields
from providers.openai.schemas import object_schema, strict_schema
from providers.openai.unsealed import shows_reasoning, with_own_reasoning
from providers.tool_names import ToolNames
from providers.tool_results import with_results

WIRE = "openai"
# Fields of this service, and fields that are set for each provider.
_FIELDS_NOT_SENT = frozenset(
    {"model", "optimizer", "stream", "stream_options", "max_tokens", "max_completion_tokens"}
)
_MOST_STOPS = 4
_ANY_STOPS = 1_000_000
_LONGEST_USER = 64
_TIERS = {"auto": "auto", "standard_only": "default", "standard": "default"}
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
_TEXT_INPUT: Mapping[str, Any] = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The whole input, as plain text."}},
    "required": ["input"],
}


def openai_payload(
    request: CompletionRequest,
    *,
    dialect: Dialect = SERVER,
    has: frozenset[str] = features.OPENAI,
    provider: str = "",
) -> dict[str, Any]:
    """Return the JSON body of a request that is translated to this wire.

    ``has`` are the features of the server's wire, ``provider`` is its name.
    """
    body = _translated(request, dialect, has - request.lacks, provider)
    _spell(body, dialect)
    return _named_and_limited(body, request, dialect)


def relayed_payload(
    request: CompletionRequest,
    *,
    dialect: Dialect = SERVER,
    has: frozenset[str] = features.OPENAI,
    provider: str = "",
) -> dict[str, Any]:
    """Return the JSON body that came in on this wire, fit for the model that was chosen.

    ``has`` and ``provider`` are those of :func:`openai_payload`.
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
        _spell(body, dialect)
    return _named_and_limited(body, request, dialect)


def _named_and_limited(
    body: dict[str, Any], request: CompletionRequest, dialect: Dialect
) -> dict[str, Any]:
    """Set the model and the limit of tokens, whose names differ from the client's, in place."""
    body["model"] = request.model
    if request.chat.max_tokens is not None:
        body[dialect.max_tokens_field] = request.chat.max_tokens
    chat = request.chat
    if chat.cache_session:
        if dialect.cache_keys:
            body.setdefault("prompt_cache_key", chat.cache_session)
        elif dialect.cache_marks and (chat.chosen or not _came_so(chat)):
            add_part_marks(body, request.model, HOUR_MARK if chat.cache_hour else MARK)
    return body


def _spell(body: dict[str, Any], dialect: Dialect) -> None:
    """Give the fields of ``body`` the names and the values that the server takes, in place."""
    if dialect.seed_field != "seed" and "seed" in body:
        body[dialect.seed_field] = body.pop("seed")
    temperature = body.get("temperature")
    if temperature is not None and temperature < dialect.least_temperature:
        body["temperature"] = dialect.least_temperature
    for name, value in dialect.always.items():
        body.setdefault(name, value)
    if dialect.call_id_length:
        length = dialect.call_id_length
        body["messages"] = [_with_call_ids(message, length) for message in body["messages"]]


def _with_call_ids(message: Mapping[str, Any], length: int) -> Mapping[str, Any]:
    if isinstance(call_id := message.get("tool_call_id"), str):
        return {**message, "tool_call_id": short_call_id(call_id, length)}
    if not (calls := message.get("tool_calls")):
        return message
    named = [{**call, "id": short_call_id(str(call.get("id")), length)} for call in calls]
    return {**message, "tool_calls": named}


def _came_so(chat: Chat) -> bool:
    """Return whether the request came in on this wire."""
    return chat.source is not None and chat.source.wire == WIRE


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
    if len(chat.stop) > (most := _most_stops(has)):
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


def _translated(
    request: CompletionRequest, dialect: Dialect, has: frozenset[str], provider: str
) -> dict[str, Any]:
    chat = request.chat
    names = ToolNames(chat)
    writer = MessageWriter(
        names,
        dialect,
        (provider, request.model),
        past_reasoning=features.PAST_REASONING in has,
        participants=features.NAMES in has,
        anybody=chat.source is not None and chat.source.wire == WIRE,
    )
    turns = with_results(chat.messages) if len(chat.messages) > 1 else chat.messages
    body: dict[str, Any] = {"messages": [m for turn in turns for m in writer.of_turn(turn)]}
    if chat.tools:
        strict = features.STRICT_TOOLS in has
        body["tools"] = [_tool(tool, names, strict=strict) for tool in chat.tools]
        if features.TOOL_CHOICE in has:
            body["tool_choice"] = _tool_choice(chat, names)
        if not chat.parallel_tools and features.SINGLE_TOOL_CALLS in has:
            body["parallel_tool_calls"] = False
    if chat.output is not None:
        body["response_format"] = _response_format(chat)
    if chat.n > 1:
        body["n"] = chat.n
    if chat.reasoning is not None and features.REASONING in has:
        body.update(reasoning_fields(chat.reasoning, request.model, dialect))
    if chat.cache and dialect.cache_marks:
        body["cache_control"] = chat.cache
    body.update(
        {name: value for name, (feature, value) in _options(chat, has).items()
         if value is not None and (not feature or feature in has)}
    )  # fmt: skip
    return body


def _options(chat: Chat, has: frozenset[str]) -> dict[str, tuple[str, Any]]:
    """Return the optional fields, each with the feature that the model must have."""
    temperature = chat.temperature
    if temperature is not None and features.HOT not in has:
        temperature = min(temperature, 1)
    stops = chat.stop[: _most_stops(has)]
    return {
        "temperature": (features.TEMPERATURE, temperature),
        "top_p": (features.TOP_P, chat.top_p),
        "top_k": (features.TOP_K, chat.top_k),
        "seed": (features.SEED, chat.seed),
        "stop": ("", list(stops) or None),
        "presence_penalty": (features.PENALTIES, chat.presence_penalty),
        "frequency_penalty": (features.PENALTIES, chat.frequency_penalty),
        "logit_bias": (features.LOGIT_BIAS, chat.logit_bias),
        "logprobs": ("", chat.logprobs or None),
        "top_logprobs": ("", chat.top_logprobs),
        "user": (features.USERS, _user(chat.user)),
        "verbosity": (features.VERBOSITY, chat.verbosity or None),
        "service_tier": (
            features.SERVICE_TIERS, _TIERS.get(chat.service_tier, chat.service_tier) or None
        ),
    }  # fmt: skip


def _most_stops(has: frozenset[str]) -> int:
    if features.SEVERAL_STOPS not in has:
        return 1
    return _ANY_STOPS if features.FOUR_STOPS in has else _MOST_STOPS


def _user(user: str) -> str | None:
    """Return the user's id; a long one becomes its digest."""
    if len(user) <= _LONGEST_USER:
        return user or None
    return hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest()


def _tool(tool: Tool, names: ToolNames, *, strict: bool) -> dict[str, Any]:
    schema = _TEXT_INPUT if tool.freeform else object_schema(tool.parameters)
    function: dict[str, Any] = {"name": names.outer(tool.name), "parameters": schema}
    if tool.description:
        function["description"] = tool.description
    if tool.strict and strict and (strictly := strict_schema(schema)) is not None:
        function |= {"strict": True, "parameters": strictly}
    return {"type": "function", "function": function}


def _tool_choice(chat: Chat, names: ToolNames) -> str | dict[str, Any]:
    choice = chat.tool_choice
    if choice.mode == "named":
        return {"type": "function", "function": {"name": names.outer(choice.name)}}
    return choice.mode


def _response_format(chat: Chat) -> dict[str, Any]:
    output = chat.output
    if output is None or output.schema is None:
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": output.name, "schema": output.schema}
    if output.description:
        schema["description"] = output.description
    if output.strict and output.schema.get("type") == "object":
        strictly = strict_schema(output.schema)
        if strictly is not None:
            schema |= {"strict": True, "schema": strictly}
    return {"type": "json_schema", "json_schema": schema}

"""Reads a chat completion request.

Format: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optimizer.api.compat.extensions import read_request_options
from optimizer.api.http.body_reader import BodyReader, is_number
from optimizer.api.openai.chat_input.content import read_mark
from optimizer.api.openai.chat_input.flat_tools import with_nested_tools
from optimizer.api.openai.chat_input.messages import MessageReader
from optimizer.api.openai.chat_input.reasoning import read_reasoning
from optimizer.api.openai.chat_input.tools import read_all_tools
from optimizer.gateway.chat_requests import MAX_STOPS, MAX_TOKENS, ChatQuery
from providers.chat import Chat, JsonOutput, OriginalRequest, Tool, ToolChoice

_MAX_CHOICES = 128
_ANY = float("inf")
# Without these the answer would be of another kind, so only this API can give it.
_NATIVE = frozenset({"audio", "plugins", "modalities"})
_HAS_TOOLS = frozenset({"tools", "tool_choice", "functions", "function_call"})
SAMPLING = frozenset(
    {"temperature", "top_p", "seed", "stop", "n", "presence_penalty", "frequency_penalty",
     "logit_bias"}
)  # fmt: skip
# Where there is nothing but these, all other fields of a chat have their defaults.
_USUAL = frozenset({"model", "messages", "max_tokens", "max_completion_tokens", "stream",
                    "stream_options", "optimizer", "temperature"})  # fmt: skip
_HAS_REASONING = frozenset({"reasoning_effort", "reasoning", "thinking"})


def read_chat_query(body: Any, cache_control: str) -> tuple[ChatQuery, bool]:
    """Return the query, and whether the stream ends with its usage.

    Raises :class:`optimizer.api.http.body_reader.InvalidField`.
    """
    fields = BodyReader(body)
    model = fields.text("model", required=True)
    options = read_request_options(fields, cache_control)
    streamed = fields.flag("stream")
    with_usage = read_usage_option(fields, streamed)
    chat = _read_chat(fields, body)
    return ChatQuery(model, chat, options, streamed), with_usage


def read_usage_option(fields: BodyReader, streamed: bool) -> bool:
    """Return whether a stream ends with its usage."""
    options = fields.raw("stream_options")
    return streamed and isinstance(options, dict) and options.get("include_usage") is True


def _read_chat(fields: BodyReader, body: Mapping[str, Any]) -> Chat:
    max_tokens = fields.integer("max_completion_tokens", 1, MAX_TOKENS)
    legacy_max_tokens = fields.integer("max_tokens", 1, MAX_TOKENS)
    reader = MessageReader()
    messages = reader.read(fields)
    if body.keys() <= _USUAL:
        return Chat(
            messages,
            legacy_max_tokens if max_tokens is None else max_tokens,
            temperature=fields.number("temperature", -_ANY, _ANY),
            source=OriginalRequest("openai", body),
            sealed=reader.sealed,
        )
    tools: tuple[Tool, ...] = ()
    native_tools: tuple[str, ...] = ()
    choice = ToolChoice()
    if _HAS_TOOLS & body.keys():
        nested = with_nested_tools(body)
        if nested is not body:
            body, fields = nested, BodyReader(nested)
        tools, choice, native_tools = read_all_tools(fields)
    output, native_output = read_response_format(fields)
    chat_fields: dict[str, Any] = {
        "messages": messages,
        "max_tokens": legacy_max_tokens if max_tokens is None else max_tokens,
        "tools": tools,
        "tool_choice": choice,
        "parallel_tools": fields.flag("parallel_tool_calls", True),
        "output": output,
        "top_k": _top_k(fields) if "top_k" in body else None,
        "logprobs": fields.flag("logprobs"),
        "top_logprobs": fields.integer("top_logprobs", 0, MAX_TOKENS),
        "user": fields.text("user") or fields.text("safety_identifier"),
        "reasoning": read_reasoning(fields) if _HAS_REASONING & body.keys() else None,
        "verbosity": fields.text("verbosity"),
        "cache": read_mark(fields) if "cache_control" in body else None,
        "service_tier": _service_tier(fields) if "service_tier" in body else "",
        "sealed": reader.sealed,
    }
    if not SAMPLING.isdisjoint(body):
        chat_fields |= read_sampling(fields)
    native, extras = _other_fields(fields)
    return Chat(
        **chat_fields,
        native=(*native_tools, *native_output, *native),
        extras=(*_formats(body), *extras) if tools else extras,
        source=OriginalRequest("openai", body),
    )


def read_sampling(fields: BodyReader) -> dict[str, Any]:
    """Return the ``SAMPLING`` fields of a chat: how tokens are chosen, and how many answers."""
    return {
        "temperature": fields.number("temperature", -_ANY, _ANY),
        "top_p": fields.number("top_p", -_ANY, _ANY),
        "seed": fields.integer("seed", -(2**63), 2**63 - 1),
        "stop": _read_stop(fields),
        "n": fields.integer("n", 1, _MAX_CHOICES) or 1,
        "presence_penalty": fields.number("presence_penalty", -_ANY, _ANY),
        "frequency_penalty": fields.number("frequency_penalty", -_ANY, _ANY),
        "logit_bias": _read_logit_bias(fields),
    }


def _other_fields(fields: BodyReader) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the fields that only this API can answer, and those that others leave out."""
    # A search is asked for also without any options of it.
    native = [] if fields.raw("web_search_options") is None else ["web_search_options"]
    extras: list[str] = []
    for name in fields.unread_effective("auto", "default", ["text"]):
        (native if name in _NATIVE else extras).append(name)
    return tuple(native), tuple(extras)


def _formats(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the name of the grammars of freeform tools, if there are any."""
    tools = body.get("tools")
    custom = (tool.get("custom") for tool in tools or () if isinstance(tool, dict))
    has_format = any(isinstance(value, dict) and value.get("format") for value in custom)
    return ("tools.custom.format",) if has_format else ()


def _service_tier(fields: BodyReader) -> str:
    tier = fields.text("service_tier")
    return "" if tier in {"auto", "default"} else tier


def _top_k(fields: BodyReader) -> int | None:
    """Return ``top_k``, which OpenRouter and other servers know; none of it means no limit."""
    value = fields.raw("top_k")
    return int(value) if is_number(value) and value > 0 else None


def read_response_format(fields: BodyReader) -> tuple[JsonOutput | None, tuple[str, ...]]:
    """Return the JSON output that ``response_format`` asks for; ``None`` for text.

    The second value is ``("response_format",)`` for a form that only some servers know.
    """
    response_format = fields.object("response_format")
    if response_format is None:
        return None, ()
    kind = response_format.text("type", "text")
    if kind == "text":
        return None, ()
    if kind == "json_object":
        return JsonOutput(), ()
    if kind != "json_schema":
        return None, ("response_format",)
    return read_json_schema(response_format.object("json_schema") or response_format), ()


def read_json_schema(json_schema: BodyReader) -> JsonOutput:
    """Return a format from ``name``, ``description``, ``schema`` and ``strict``."""
    return JsonOutput(
        schema=json_schema.mapping("schema") or {"type": "object"},
        name=json_schema.text("name", "answer"),
        description=json_schema.text("description"),
        strict=json_schema.flag("strict"),
    )


def _read_stop(fields: BodyReader) -> tuple[str, ...]:
    value = fields.raw("stop")
    if isinstance(value, str):
        return (value,) if value else ()
    return fields.texts("stop", most=MAX_STOPS)


def _read_logit_bias(fields: BodyReader) -> Mapping[str, float] | None:
    bias = fields.mapping("logit_bias")
    if bias and not all(is_number(value) for value in bias.values()):
        raise fields.error("logit_bias", "all values must be numbers.")
    return bias or None

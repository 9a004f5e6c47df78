"""Reads a chat completion request.

Format: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from optimizer.api.compat.extensions import read_request_options
from optimizer.api.http.body_reader import BodyReader, is_number
from optimizer.gateway.chat_requests import ChatQuery
from providers.chat import (
    Chat,
    Image,
    JsonOutput,
    Message,
    Native,
    OriginalRequest,
    Part,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from providers.openai.answer import signature_of

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", re.DOTALL)


_MODES = ("auto", "none", "required")
MAX_TOKENS = 10_000_000
_MAX_CHOICES = 128
_MAX_STOPS = 64


def read_messages(fields: BodyReader) -> tuple[Message, ...]:
    """Return the turns in order; consecutive tool results become one user turn."""
    if not fields.array("messages"):
        fields.required("messages")
        raise fields.error("messages", "must contain at least one message.", "empty_array")
    turns: list[Message] = []
    results: list[Part] = []
    for number, value in enumerate(fields.array("messages")):
        plain = Message.of_plain(value)
        if plain is not None:
            if results:
                turns.append(Message("user", tuple(results)))
                results = []
            turns.append(plain)
            continue
        message = fields.item("messages", number, value)
        if message.choice("role", _ROLES) == "tool":
            results.append(_result(message))
            continue
        if results:
            turns.append(Message("user", tuple(results)))
            results = []
        turns.append(_turn(message))
    if results:
        turns.append(Message("user", tuple(results)))
    return tuple(turns)


def _turn(message: BodyReader) -> Message:
    role, name = message.text("role"), message.text("name")
    if role in {"system", "developer"}:
        return Message("system", tuple(_content(message)), name)
    if role == "user":
        return Message("user", tuple(_content(message)), name)
    if role == "assistant":
        return Message("assistant", tuple(_assistant(message)), name)
    if role == "function":
        return Message("user", (Native("function"),), name)
    raise message.error("role", f"must be one of {', '.join(_ROLES)}.", "invalid_value")


def _result(message: BodyReader) -> ToolResult:
    content = []
    for part in _content(message):
        if not isinstance(part, (Text, Image)):
            raise message.error(
                "content", "of a tool message must be text or images.", "invalid_value"
            )
        content.append(part)
    return ToolResult(message.text("tool_call_id", required=True), tuple(content))


def _assistant(message: BodyReader) -> Iterator[Part]:
    if message.has("content"):
        yield from _content(message)
    if refusal := message.text("refusal"):
        yield Text(refusal)
    for call in message.objects("tool_calls"):
        if call.text("type", "function") != "function":
            yield Native(f"{call.text('type')} call")
            continue
        function = call.object("function")
        if function is None:
            raise call.error("function", "is required.", "missing_required_parameter")
        yield ToolCall(
            call.text("id", required=True),
            function.text("name", required=True),
            function.text("arguments"),
            signature_of({"extra_content": call.mapping("extra_content")}),
        )
    for name in ("audio", "function_call"):
        if message.has(name):
            yield Native(name)


def _content(message: BodyReader) -> Iterator[Part]:
    value = message.required("content")
    if isinstance(value, str):
        yield Text(value)
        return
    if not isinstance(value, list):
        raise message.error("content", "must be a string or an array of parts.", "invalid_type")
    for part in message.objects("content"):
        yield _part(part)


def _part(part: BodyReader) -> Part:
    kind = part.text("type", required=True)
    if kind == "text":
        return Text(part.text("text", required=True))
    if kind == "refusal":
        return Text(part.text("refusal", required=True))
    if kind == "image_url":
        image = part.object("image_url")
        if image is None:
            raise part.error("image_url", "is required.", "missing_required_parameter")
        return read_image(image, "url", image.text("detail"))
    return Native(kind)


def read_image(fields: BodyReader, name: str, detail: str) -> Image:
    """Return the image at the URL in ``fields[name]``; a data URL holds the image itself."""
    url = fields.text(name, required=True)
    if match := _DATA_URL.fullmatch(url):
        return Image(media_type=match[1], data=match[2], detail=detail)
    if not url.startswith(("http://", "https://")):
        raise fields.error(name, "must be an http(s) URL or a base64 data URL.", "invalid_value")
    return Image(url=url, detail=detail)


def read_tools(fields: BodyReader) -> tuple[tuple[Tool, ...], tuple[str, ...]]:
    """Return the functions, and ``("tools",)`` if there are tools of other kinds."""
    tools: list[Tool] = []
    native: tuple[str, ...] = ()
    for tool in fields.objects("tools"):
        kind = tool.text("type", required=True)
        if kind != "function":
            native = ("tools",)
            continue
        function = tool.object("function")
        if function is None:
            raise tool.error("function", "is required.", "missing_required_parameter")
        tools.append(read_function(function))
    return tuple(tools), native


def read_function(function: BodyReader) -> Tool:
    """Return a tool from ``name``, ``description``, ``parameters`` and ``strict``."""
    return Tool(
        name=function.text("name", required=True),
        description=function.text("description"),
        parameters=function.mapping("parameters") or {"type": "object", "properties": {}},
        strict=function.flag("strict"),
    )


def read_tool_choice(fields: BodyReader) -> tuple[ToolChoice, tuple[str, ...]]:
    """Return the choice, and ``("tool_choice",)`` if only OpenAI's own API supports it."""
    value = fields.raw("tool_choice")
    if value is None:
        return ToolChoice(), ()
    if isinstance(value, str):
        if value not in _MODES:
            known = ", ".join(_MODES)
            raise fields.error("tool_choice", f"must be one of {known}, or an object.")
        return ToolChoice(value), ()  # type: ignore[arg-type]
    choice = BodyReader(value, fields.place("tool_choice"))
    if choice.text("type", required=True) != "function":
        return ToolChoice(), ("tool_choice",)
    # Responses have the function's name next to the type, chat completions in an object.
    function = choice.object("function") or choice
    return ToolChoice("named", function.text("name", required=True)), ()


def read_chat_query(body: Any, cache_control: str) -> tuple[ChatQuery, bool]:
    """Return the query, and whether the stream ends with its usage.

    Raises :class:`optimizer.api.http.body_reader.InvalidField`.
    """
    fields = BodyReader(body)
    model = fields.text("model", required=True)
    options = read_request_options(fields, cache_control)
    streamed = fields.flag("stream")
    with_usage = _with_usage(fields, streamed)
    chat = _read_chat(fields, body)
    return ChatQuery(model, chat, options, streamed), with_usage


def _with_usage(fields: BodyReader, streamed: bool) -> bool:
    options = fields.object("stream_options")
    if options is None:
        return False
    if not streamed:
        raise fields.error("stream_options", "is only allowed when stream is true.")
    options.raw("include_obfuscation")
    return options.flag("include_usage")


def _read_chat(fields: BodyReader, body: Mapping[str, Any]) -> Chat:
    max_tokens = fields.integer("max_completion_tokens", 1, MAX_TOKENS)
    legacy_max_tokens = fields.integer("max_tokens", 1, MAX_TOKENS)
    messages = read_messages(fields)
    choice, native_choice = read_tool_choice(fields)
    tools, native_tools = read_tools(fields)
    logprobs = fields.flag("logprobs")
    top_logprobs = fields.integer("top_logprobs", 0, 20)
    if top_logprobs is not None and not logprobs:
        raise fields.error("top_logprobs", "is only allowed when logprobs is true.")
    return Chat(
        messages=messages,
        max_tokens=legacy_max_tokens if max_tokens is None else max_tokens,
        tools=tools,
        tool_choice=choice,
        parallel_tools=fields.flag("parallel_tool_calls", True),
        output=read_response_format(fields),
        temperature=fields.number("temperature", 0, 2),
        top_p=fields.number("top_p", 0, 1),
        seed=fields.integer("seed", -(2**63), 2**63 - 1),
        stop=_read_stop(fields),
        n=fields.integer("n", 1, _MAX_CHOICES) or 1,
        presence_penalty=fields.number("presence_penalty", -2, 2),
        frequency_penalty=fields.number("frequency_penalty", -2, 2),
        logit_bias=_read_logit_bias(fields),
        logprobs=logprobs,
        top_logprobs=top_logprobs,
        user=fields.text("user") or fields.text("safety_identifier"),
        native=(*native_tools, *native_choice, *_native(fields, body)),
        source=OriginalRequest("openai", body),
    )


def _native(fields: BodyReader, body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields with an effect that only OpenAI's own API supports."""
    fields.text("safety_identifier")
    for name in fields.unread():
        value = body[name]
        has_no_effect = value in (False, "auto", "default", [], {}, ["text"])
        if name in {"store", "service_tier", "modalities", "metadata"} and has_no_effect:
            continue
        # Hints that change the price of later requests, never this answer.
        if name in {"prompt_cache_key", "prompt_cache_retention"}:
            continue
        yield name


def read_response_format(fields: BodyReader) -> JsonOutput | None:
    """Return the JSON output that ``response_format`` asks for; ``None`` for text."""
    response_format = fields.object("response_format")
    if response_format is None:
        return None
    kind = response_format.choice("type", ("text", "json_object", "json_schema"))
    if kind == "text":
        return None
    if kind == "json_object":
        return JsonOutput()
    if kind != "json_schema":
        raise response_format.error("type", "is required.", "missing_required_parameter")
    json_schema = response_format.object("json_schema")
    if json_schema is None:
        raise response_format.error("json_schema", "is required.", "missing_required_parameter")
    return read_json_schema(json_schema)


def read_json_schema(json_schema: BodyReader) -> JsonOutput:
    """Return a format from ``name``, ``description``, ``schema`` and ``strict``."""
    return JsonOutput(
        schema=json_schema.mapping("schema") or {"type": "object"},
        name=json_schema.text("name", required=True),
        description=json_schema.text("description"),
        strict=json_schema.flag("strict"),
    )


def _read_stop(fields: BodyReader) -> tuple[str, ...]:
    value = fields.raw("stop")
    if isinstance(value, str):
        return (value,) if value else ()
    return fields.texts("stop", most=_MAX_STOPS)


def _read_logit_bias(fields: BodyReader) -> Mapping[str, float] | None:
    bias = fields.mapping("logit_bias")
    if bias and not all(is_number(v) and -100 <= v <= 100 for v in bias.values()):
        raise fields.error("logit_bias", "all values must be numbers between -100 and 100.")
    return bias or None

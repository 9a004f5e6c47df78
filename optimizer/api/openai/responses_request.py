"""Converts a Responses request to a chat completion request and reads that.

Format: https://platform.openai.com/docs/api-reference/responses/create

Only fields whose effect ends with the request are supported. Fields that ask this service
to store conversations, or the provider to run tools, are refused with an error that names them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from optimizer.api.http.body_reader import BodyReader
from optimizer.api.openai.chat_request import MAX_TOKENS, read_chat_query
from optimizer.api.openai.responses_input import read_input
from optimizer.gateway.chat_requests import ChatQuery

# Fields that have the same meaning in a chat completion.
_SHARED = (
    "model", "stream", "temperature", "top_p", "parallel_tool_calls", "user", "metadata",
    "safety_identifier", "prompt_cache_key", "service_tier", "optimizer",
)  # fmt: skip
_UNSUPPORTED = {
    "previous_response_id": "responses are not stored here. Send the whole conversation as input.",
    "conversation": "conversations are not stored here. Send the whole conversation as input.",
    "prompt": "prompt templates are not stored here. Send instructions and input.",
    "background": "background responses are not supported here.",
}


def read_response_query(body: Any, cache_control: str) -> ChatQuery:
    """Return the chat that ``body`` asks for.

    Raises :class:`optimizer.api.http.body_reader.InvalidField`.
    """
    fields = BodyReader(body)
    for name, message in _UNSUPPORTED.items():
        if fields.raw(name) not in (None, False):
            raise fields.error(name, message, "unsupported_parameter")
    fields.text("model", required=True)
    chat = {name: fields.raw(name) for name in _SHARED if fields.has(name)}
    chat["messages"] = list(_messages(fields))
    chat.update(_bounds(fields))
    if tools := [_tool(tool) for tool in fields.objects("tools")]:
        chat["tools"] = tools
    if (choice := fields.raw("tool_choice")) is not None:
        chat["tool_choice"] = _tool_choice(choice, fields)
    chat.update(_text(fields))
    if reasoning := fields.object("reasoning"):
        if effort := reasoning.text("effort"):
            chat["reasoning_effort"] = effort
        for name in ("summary", "generate_summary"):
            reasoning.raw(name)
        _refuse_unread(reasoning)
    # Checked and then ignored: nothing is stored, and nothing extra can be included.
    fields.flag("store")
    fields.choice("truncation", ("auto", "disabled"))
    if fields.array("include"):
        fields.texts("include")
    options = fields.object("stream_options")
    if options is not None:
        options.flag("include_obfuscation")
    _refuse_unread(fields)
    query, _ = read_chat_query(chat, cache_control)
    return query


def _refuse_unread(fields: BodyReader) -> None:
    for name in fields.unread():
        raise fields.error(name, "is not supported here.", "unsupported_parameter")


def _messages(fields: BodyReader) -> Iterator[dict[str, Any]]:
    if instructions := fields.text("instructions"):
        yield {"role": "system", "content": instructions}
    yield from read_input(fields)


def _bounds(fields: BodyReader) -> Iterator[tuple[str, Any]]:
    max_tokens = fields.integer("max_output_tokens", 1, MAX_TOKENS)
    if max_tokens is not None:
        yield "max_completion_tokens", max_tokens
    top_logprobs = fields.integer("top_logprobs", 0, 20)
    if top_logprobs:
        yield "logprobs", True
        yield "top_logprobs", top_logprobs


def _tool(tool: BodyReader) -> dict[str, Any]:
    kind = tool.text("type", required=True)
    if kind != "function":
        raise tool.error(
            "type",
            f"tools of type {kind} are not supported here. Use type function.",
            "unsupported_value",
        )
    function = {
        name: tool.raw(name) for name in ("name", "description", "parameters") if tool.has(name)
    }
    tool.text("name", required=True)
    function["strict"] = tool.flag("strict")
    return {"type": "function", "function": function}


def _tool_choice(choice: Any, fields: BodyReader) -> Any:
    if isinstance(choice, str):
        return choice
    function_choice = BodyReader(choice, fields.place("tool_choice"))
    if function_choice.text("type", required=True) != "function":
        raise function_choice.error("type", "must be function.", "unsupported_value")
    return {"type": "function", "function": {"name": function_choice.text("name", required=True)}}


def _text(fields: BodyReader) -> Mapping[str, Any]:
    chat_fields: dict[str, Any] = {}
    text = fields.object("text")
    if text is None:
        return chat_fields
    if verbosity := text.text("verbosity"):
        chat_fields["verbosity"] = verbosity
    text_format = text.object("format")
    if text_format is not None:
        kind = text_format.text("type", required=True)
        chat_fields["response_format"] = {"type": kind}
        if kind == "json_schema":
            schema = {
                name: text_format.raw(name)
                for name in ("name", "description", "schema", "strict")
                if text_format.has(name)
            }
            text_format.text("name", required=True)
            chat_fields["response_format"]["json_schema"] = schema
    _refuse_unread(text)
    return chat_fields

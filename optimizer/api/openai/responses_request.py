"""A response's request read: made into a chat completion's, whose meaning it shares.

Wire: https://platform.openai.com/docs/api-reference/responses/create

Only what holds within one request is understood. What asks this service to
keep conversations, or the provider to run tools, is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from optimizer.api.http.body_reader import BodyReader
from optimizer.api.openai.chat_request import MOST_TOKENS, read_chat_query
from optimizer.api.openai.responses_input import read_input
from optimizer.gateway.chat_requests import ChatQuery

# Fields that mean the same in a chat completion.
_SHARED = (
    "model", "stream", "temperature", "top_p", "parallel_tool_calls", "user", "metadata",
    "safety_identifier", "prompt_cache_key", "service_tier", "optimizer",
)  # fmt: skip
_KEPT_NOWHERE = {
    "previous_response_id": "responses are not kept here; send the whole conversation as input.",
    "conversation": "conversations are not kept here; send the whole of it as input.",
    "prompt": "prompt templates are not kept here; send instructions and input.",
    "background": "nothing runs in the background here.",
}


def read_response_query(body: Any, cache_control: str) -> ChatQuery:
    """Raises :class:`optimizer.api.http.body_reader.InvalidField`."""
    fields = BodyReader(body)
    for name, why in _KEPT_NOWHERE.items():
        if fields.raw(name) not in (None, False):
            raise fields.error(name, why, "unsupported_parameter")
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
        _refuse_rest(reasoning)
    # Kept by nobody, whatever is said; nothing else is included than what always is.
    fields.flag("store")
    fields.choice("truncation", ("auto", "disabled"))
    if fields.array("include"):
        fields.texts("include")
    options = fields.object("stream_options")
    if options is not None:
        options.flag("include_obfuscation")
    _refuse_rest(fields)
    query, _ = read_chat_query(chat, cache_control)
    return query


def _refuse_rest(fields: BodyReader) -> None:
    for name in fields.unread():
        raise fields.error(name, "is not supported here.", "unsupported_parameter")


def _messages(fields: BodyReader) -> Iterator[dict[str, Any]]:
    if instructions := fields.text("instructions"):
        yield {"role": "system", "content": instructions}
    yield from read_input(fields)


def _bounds(fields: BodyReader) -> Iterator[tuple[str, Any]]:
    longest = fields.integer("max_output_tokens", 1, MOST_TOKENS)
    if longest is not None:
        yield "max_completion_tokens", longest
    likely = fields.integer("top_logprobs", 0, 20)
    if likely:
        yield "logprobs", True
        yield "top_logprobs", likely


def _tool(tool: BodyReader) -> dict[str, Any]:
    kind = tool.text("type", required=True)
    if kind != "function":
        raise tool.error(
            "type", f"{kind} tools are not supported here; only function is.", "unsupported_value"
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
    named = BodyReader(choice, fields.place("tool_choice"))
    if named.text("type", required=True) != "function":
        raise named.error("type", "must be function.", "unsupported_value")
    return {"type": "function", "function": {"name": named.text("name", required=True)}}


def _text(fields: BodyReader) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    text = fields.object("text")
    if text is None:
        return found
    if verbosity := text.text("verbosity"):
        found["verbosity"] = verbosity
    wanted = text.object("format")
    if wanted is not None:
        kind = wanted.text("type", required=True)
        found["response_format"] = {"type": kind}
        if kind == "json_schema":
            schema = {
                name: wanted.raw(name)
                for name in ("name", "description", "schema", "strict")
                if wanted.has(name)
            }
            wanted.text("name", required=True)
            found["response_format"]["json_schema"] = schema
    _refuse_rest(text)
    return found

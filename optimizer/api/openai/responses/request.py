"""Reads a Responses request.

Format: https://platform.openai.com/docs/api-reference/responses/create

OpenAI's own models get the request as it came. For all others it is read as a chat: fields that
depend on what OpenAI stores or runs need OpenAI's own models, all else is carried or left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from optimizer.api.compat.extensions import read_request_options
from optimizer.api.http.body_reader import BodyReader
from optimizer.api.openai.responses.input import InputReader, own_response_id
from optimizer.api.openai.responses.tools import ResponseTools
from optimizer.gateway.chat_requests import MAX_TOKENS, ChatQuery
from providers.chat import (
    Chat,
    JsonOutput,
    Message,
    OriginalRequest,
    Reasoning,
    Text,
    ToolChoice,
)
from providers.openai.responses_answer import WIRE

_MODES = frozenset({"auto", "none", "required"})
# What OpenAI keeps or does after the answer: no other provider can.
_STATEFUL = ("previous_response_id", "conversation", "prompt", "background")
# The values of fields that ask for nothing.
_IDLE = ("auto", "default", "disabled")
_EFFORTS = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})


def read_response_query(body: Any, cache_control: str) -> ChatQuery:
    """Return the chat that ``body`` asks for.

    Raises :class:`optimizer.api.http.body_reader.InvalidField`.
    """
    fields = BodyReader(body)
    model = fields.text("model", required=True)
    options = read_request_options(fields, cache_control)
    streamed = fields.flag("stream")
    tools = ResponseTools.of(body)
    reader = InputReader(tools)
    reader.read(fields)
    # An agent works with its own tools; without any, it is the hosted tool that is wanted.
    hosted = [f"tools.{kind}" for kind in dict.fromkeys(tools.hosted)]
    hosted_native, hosted_extras = ([], hosted) if tools.tools else (hosted, [])
    choice, choice_is_native = _tool_choice(fields, tools)
    output, verbosity = _text(fields)
    user, identifier = fields.raw("user"), fields.raw("safety_identifier")
    user = user or identifier
    # Neither says anything about the answer that is not read elsewhere.
    for name in ("stream_options", "tools"):
        fields.raw(name)
    chat_fields: dict[str, Any] = {
        "messages": (*_instructions(fields), *reader.messages),
        "max_tokens": fields.integer("max_output_tokens", 1, MAX_TOKENS),
        "tools": tuple(tools.tools),
        "tool_choice": choice,
        "parallel_tools": fields.raw("parallel_tool_calls") is not False,
        "output": output,
        "temperature": fields.number("temperature", 0, 2),
        "top_p": fields.number("top_p", 0, 1),
        "logprobs": bool(fields.raw("top_logprobs")),
        "top_logprobs": fields.integer("top_logprobs", 0, 20) or None,
        "user": user if isinstance(user, str) else "",
        "reasoning": _reasoning(fields),
        "verbosity": verbosity,
        "service_tier": _service_tier(fields),
        "sealed": reader.sealed or own_response_id(body.get("previous_response_id")),
    }
    native, extras = _other_fields(fields, body)
    chat = Chat(
        **chat_fields,
        native=(*native, *hosted_native, *choice_is_native),
        extras=(*extras, *hosted_extras, *reader.extras),
        source=OriginalRequest(WIRE, body),
    )
    return ChatQuery(model, chat, options, streamed)


def _instructions(fields: BodyReader) -> Iterator[Message]:
    if instructions := fields.text("instructions"):
        yield Message("system", (Text(instructions),))


def _other_fields(fields: BodyReader, body: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the fields that need OpenAI's own models, and those that others leave out.

    It is asked last: these are the fields that nothing else has read.
    """
    native: list[str] = []
    extras: list[str] = []
    for name in fields.unread_effective(*_IDLE):
        stateful = name in _STATEFUL and not own_response_id(body[name])
        (native if stateful else extras).append(name)
    if body.get("truncation") == "auto":
        extras.append("truncation")
    return native, extras


def _tool_choice(fields: BodyReader, tools: ResponseTools) -> tuple[ToolChoice, tuple[str, ...]]:
    value = fields.raw("tool_choice")
    if isinstance(value, str) and value in _MODES:
        return ToolChoice(value), ()  # type: ignore[arg-type]
    if not isinstance(value, dict):
        return ToolChoice(), ()
    kind = value.get("type")
    name = tools.name_of(value) or str(kind or "")
    if name in tools.kinds:
        return ToolChoice("named", name), ()
    if kind == "allowed_tools":
        tools.allow(value.get("tools"))
        return ToolChoice("required" if value.get("mode") == "required" else "auto"), ()
    return ToolChoice(), ("tool_choice",)


def _text(fields: BodyReader) -> tuple[JsonOutput | None, str]:
    """Return the JSON output that ``text.format`` asks for, and ``text.verbosity``."""
    text = fields.object("text")
    if text is None:
        return None, ""
    verbosity = text.text("verbosity")
    shape = text.object("format")
    kind = shape.text("type") if shape is not None else "text"
    if shape is None or kind not in {"json_object", "json_schema"}:
        return None, verbosity
    if kind == "json_object":
        return JsonOutput(), verbosity
    output = JsonOutput(
        schema=shape.mapping("schema") or {"type": "object"},
        name=shape.text("name") or "answer",
        description=shape.text("description"),
        strict=shape.raw("strict") is True,
    )
    return output, verbosity


def _reasoning(fields: BodyReader) -> Reasoning | None:
    reasoning = fields.object("reasoning")
    if reasoning is None:
        return None
    effort = reasoning.text("effort").lower()
    shown = "summarized" if reasoning.text("summary") else ""
    if effort not in _EFFORTS:
        return None
    return Reasoning(effort=effort, shown=shown)


def _service_tier(fields: BodyReader) -> str:
    tier = fields.text("service_tier")
    return "" if tier in {"auto", "default", "standard"} else tier

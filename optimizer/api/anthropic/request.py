"""Reads a Messages request.

Format: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from optimizer.api.anthropic.content import read_content, read_turns
from optimizer.api.compat.extensions import read_request_options
from optimizer.api.http.body_reader import BodyReader
from optimizer.gateway.chat_requests import ChatQuery
from providers.chat import Chat, JsonOutput, Message, OriginalRequest, Tool, ToolChoice

_MAX_TOKENS = 10_000_000
_MAX_STOPS = 1000
_TOOL_MODES = {"auto": "auto", "any": "required", "none": "none", "tool": "named"}


def read_message_query(
    body: Any, cache_control: str, betas: str = "", *, counting: bool = False
) -> ChatQuery:
    """Return the chat that ``body`` asks for.

    ``betas`` is the header ``anthropic-beta``. ``counting`` marks a request for a token
    count, which needs no ``max_tokens``.

    Raises :class:`optimizer.api.http.body_reader.InvalidField`.
    """
    fields = BodyReader(body)
    model = fields.text("model", required=True)
    options = read_request_options(fields, cache_control)
    streamed = fields.flag("stream")
    if not counting:
        fields.required("max_tokens")
    max_tokens = fields.integer("max_tokens", 1, _MAX_TOKENS)
    tools, native_tools = _read_tools(fields)
    choice, parallel = _read_tool_choice(fields)
    metadata = fields.object("metadata")
    user = metadata.text("user_id") if metadata else ""
    chat = Chat(
        messages=(*_read_system(fields), *read_turns(fields)),
        max_tokens=max_tokens,
        tools=tools,
        tool_choice=choice,
        parallel_tools=parallel,
        output=_read_output(fields),
        temperature=fields.number("temperature", 0, 1),
        top_p=fields.number("top_p", 0, 1),
        top_k=fields.integer("top_k", 0, _MAX_TOKENS),
        stop=fields.texts("stop_sequences", most=_MAX_STOPS),
        user=user,
        native=(*native_tools, *_native(fields, body)),
        source=OriginalRequest("anthropic", body, {"anthropic-beta": betas} if betas else {}),
    )
    return ChatQuery(model, chat, options, streamed)


def _native(fields: BodyReader, body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields with an effect that only Anthropic's own API supports."""
    config = body.get("output_config")
    if isinstance(config, dict) and any(v is not None for k, v in config.items() if k != "format"):
        yield "output_config"
    for name in fields.unread():
        value = body[name]
        if name == "thinking" and isinstance(value, dict) and value.get("type") == "disabled":
            continue
        # A hint that changes the price of later requests, never this answer.
        if name == "cache_control" or (name == "service_tier" and value == "auto"):
            continue
        if value not in ([], {}, False):
            yield name


def _read_system(fields: BodyReader) -> Iterator[Message]:
    if fields.has("system"):
        parts = tuple(read_content(fields, "system"))
        if parts:
            yield Message("system", parts)


def _read_tools(fields: BodyReader) -> tuple[tuple[Tool, ...], tuple[str, ...]]:
    """Return the functions, and ``("tools",)`` if there are tools that the provider runs."""
    tools: list[Tool] = []
    native: tuple[str, ...] = ()
    for tool in fields.objects("tools"):
        if tool.text("type", "custom") != "custom":
            native = ("tools",)
            continue
        schema = tool.mapping("input_schema")
        if schema is None:
            raise tool.error("input_schema", "is required.")
        tools.append(
            Tool(
                tool.text("name", required=True),
                tool.text("description"),
                schema,
                tool.flag("strict"),
            )
        )
    return tuple(tools), native


def _read_tool_choice(fields: BodyReader) -> tuple[ToolChoice, bool]:
    """Return the choice, and whether several tools may be called at once."""
    choice = fields.object("tool_choice")
    if choice is None:
        return ToolChoice(), True
    kind = choice.text("type", required=True)
    if kind not in _TOOL_MODES:
        raise choice.error("type", f"must be one of {', '.join(_TOOL_MODES)}.")
    name = choice.text("name", required=True) if kind == "tool" else ""
    parallel = not choice.flag("disable_parallel_tool_use")
    return ToolChoice(_TOOL_MODES[kind], name), parallel  # type: ignore[arg-type]


def _read_output(fields: BodyReader) -> JsonOutput | None:
    """Return the schema in ``output_config.format`` or, its older name, ``output_format``."""
    config = fields.object("output_config")
    for parent, name in ((config, "format"), (fields, "output_format")):
        output_format = parent.object(name) if parent is not None else None
        if output_format is not None:
            if output_format.text("type", required=True) != "json_schema":
                raise output_format.error("type", "must be json_schema.")
            return JsonOutput(schema=output_format.mapping("schema") or {"type": "object"})
    return None

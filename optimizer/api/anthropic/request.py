"""Reads a Messages request.

Ranges and rules that only a provider knows are the provider's to check.

Format: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from optimizer.api.anthropic.content import TurnReader, read_cache_mark, read_system
from optimizer.api.compat.extensions import read_request_options
from optimizer.api.http.body_reader import BodyReader
from optimizer.gateway.chat_requests import MAX_STOPS, MAX_TOKENS, ChatQuery
from providers.chat import Chat, JsonOutput, OriginalRequest, Reasoning, Tool, ToolChoice

_MOST = MAX_TOKENS  # of all numbers alike
_TOOL_MODES = {"auto": "auto", "any": "required", "none": "none", "tool": "named"}
# Without these the answer is another one, or comes from elsewhere.
_BINDING = frozenset({"container", "inference_geo", "mcp_servers", "thread"})
# The values of such fields that ask for nothing.
_IDLE = ("auto", "default", "standard", "standard_only")


def read_message_query(
    body: Any, cache_control: str, headers: Mapping[str, str] | None = None
) -> ChatQuery:
    """Return the chat that ``body`` asks for.

    ``headers`` are those of the request that begin with ``anthropic-``, by lower-case name.

    Raises :class:`optimizer.api.http.body_reader.InvalidField`.
    """
    fields = BodyReader(body)
    model = fields.text("model", required=True)
    options = read_request_options(fields, cache_control)
    streamed = fields.flag("stream")
    tools, native_tools = _read_tools(fields)
    choice, parallel = _read_tool_choice(fields)
    metadata = fields.object("metadata")
    output, effort = _read_output_config(fields)
    reader = TurnReader()
    chat = Chat(
        messages=(*read_system(fields), *reader.turns(fields)),
        # A limit of zero only warms the cache, and only the wire itself knows of that.
        max_tokens=fields.integer("max_tokens", 0, _MOST) or None,
        tools=tools,
        tool_choice=choice,
        parallel_tools=parallel,
        output=output,
        temperature=fields.number("temperature", 0, _MOST),
        top_p=fields.number("top_p", 0, _MOST),
        top_k=fields.integer("top_k", 0, _MOST),
        stop=fields.texts("stop_sequences", most=MAX_STOPS),
        user=metadata.text("user_id") if metadata else "",
        reasoning=_read_reasoning(fields, effort),
        cache=read_cache_mark(fields),
        native=(*native_tools, *_fields_left(fields, body, binding=True)),
        extras=tuple(_fields_left(fields, body, binding=False)),
        source=OriginalRequest("anthropic", body, headers or {}),
        sealed=reader.thoughts.sealed,
    )
    return ChatQuery(model, chat, options, streamed)


def _fields_left(fields: BodyReader, body: Mapping[str, Any], *, binding: bool) -> Iterator[str]:
    """Yield the fields that only this API has: those that bind a request to it, or the others."""
    for name in fields.unread_effective(*_IDLE):
        if (name in _BINDING) is binding and _asks(name, body[name]):
            yield name
    config = body.get("output_config")
    if not binding and isinstance(config, dict):
        yield from (f"output_config.{k}" for k in config if k not in {"effort", "format"})


def _asks(name: str, value: Any) -> bool:
    """Return whether a field with this value asks for more than every provider does."""
    if name == "thread":
        return isinstance(value, dict) and value.get("type") == "continue"
    if name == "context_management" and isinstance(value, dict):
        return bool(value.get("edits"))
    return not (name == "inference_geo" and value in ("global", "not_available"))


def continues_thread(body: Any) -> bool:
    """Return whether the turns before this one are held by the provider of an earlier answer."""
    thread = body.get("thread") if isinstance(body, dict) else None
    return isinstance(thread, dict) and thread.get("type") == "continue"


def _read_reasoning(fields: BodyReader, effort: str) -> Reasoning | None:
    thinking = fields.object("thinking")
    if thinking is None:
        return Reasoning(effort) if effort else None
    kind = thinking.text("type")
    if kind in {"disabled", "between_tools"}:
        return Reasoning("none")
    return Reasoning(
        effort,
        budget=thinking.integer("budget_tokens", 0, _MOST) if kind == "enabled" else None,
        adaptive=kind == "adaptive",
        shown=thinking.text("display"),
    )


def _read_tools(fields: BodyReader) -> tuple[tuple[Tool, ...], tuple[str, ...]]:
    """Return the functions, and ``("tools",)`` if there are tools of other kinds."""
    tools: list[Tool] = []
    native: tuple[str, ...] = ()
    for tool in fields.objects("tools"):
        if tool.text("type", "custom") != "custom":
            native = ("tools",)
            continue
        tools.append(
            Tool(
                tool.text("name", required=True),
                tool.text("description"),
                tool.mapping("input_schema") or {"type": "object", "properties": {}},
                tool.flag("strict"),
                cache=read_cache_mark(tool),
            )
        )
    return tuple(tools), native


def _read_tool_choice(fields: BodyReader) -> tuple[ToolChoice, bool]:
    """Return the choice, and whether several tools may be called at once."""
    choice = fields.object("tool_choice")
    if choice is None:
        return ToolChoice(), True
    kind = choice.text("type", "auto")
    if kind not in _TOOL_MODES:
        raise choice.error("type", f"must be one of {', '.join(_TOOL_MODES)}.")
    name = choice.text("name", required=True) if kind == "tool" else ""
    parallel = not choice.flag("disable_parallel_tool_use")
    return ToolChoice(_TOOL_MODES[kind], name), parallel  # type: ignore[arg-type]


def _read_output_config(fields: BodyReader) -> tuple[JsonOutput | None, str]:
    """Return the schema of the answer and the effort.

    The schema is in ``output_config.format`` or, its older name, ``output_format``.
    """
    config = fields.object("output_config")
    output = None
    for parent, name in ((config, "format"), (fields, "output_format")):
        output_format = parent.object(name) if parent is not None else None
        if output_format is not None and output is None:
            if output_format.text("type", required=True) != "json_schema":
                raise output_format.error("type", "must be json_schema.")
            output = JsonOutput(schema=output_format.mapping("schema") or {"type": "object"})
    return output, config.text("effort") if config is not None else ""

"""Read the tools of a chat completion request, and the older functions.

Format: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optimizer.api.http.body_reader import BodyReader
from optimizer.api.openai.chat_input.content import read_mark
from providers.chat import Tool, ToolChoice
from providers.openai.repair import text_of

_MODES: Mapping[str, str] = {
    "auto": "auto", "none": "none", "required": "required", "any": "required",
}  # fmt: skip


def read_all_tools(
    fields: BodyReader,
) -> tuple[tuple[Tool, ...], ToolChoice, tuple[str, ...]]:
    """Return the tools, how the model uses them, and the fields that bind to this API."""
    tools, native = read_tools(fields)
    choice, native_choice = read_tool_choice(fields)
    if native_choice and (allowed := _allowed_tools(fields)) is not None:
        # Other APIs are offered these alone.
        names, choice = allowed
        tools, native_choice = tuple(tool for tool in tools if tool.name in names), ()
    return tools, choice, (*native, *native_choice)


def read_tools(fields: BodyReader) -> tuple[tuple[Tool, ...], tuple[str, ...]]:
    """Return the tools, and ``("tools",)`` if there are some that the provider itself runs."""
    tools: list[Tool] = []
    native: tuple[str, ...] = ()
    for tool in fields.objects("tools"):
        kind = tool.text("type", "function")
        custom = tool.raw("custom")
        if kind == "custom" and isinstance(custom, dict):
            name, description = text_of(custom.get("name")), text_of(custom.get("description"))
            tools.append(Tool(name, description, freeform=True, cache=read_mark(tool)))
            continue
        if kind != "function":
            native = ("tools",)
            continue
        function = tool.object("function")
        if function is None:
            raise tool.error("function", "is required.", "missing_required_parameter")
        tools.append(read_function(function, read_mark(tool) or read_mark(function)))
    if not tools:
        tools = [read_function(function) for function in fields.objects("functions")]
    return tuple(tools), native


def _allowed_tools(fields: BodyReader) -> tuple[frozenset[str], ToolChoice] | None:
    """Return the only tools that the model may call, and whether it must; else ``None``.

    https://platform.openai.com/docs/api-reference/chat/create#chat-create-tool_choice
    """
    value = fields.raw("tool_choice")
    allowed = value.get("allowed_tools") if isinstance(value, Mapping) else None
    if not isinstance(allowed, Mapping) or not isinstance(allowed.get("tools"), list):
        return None
    names = set()
    for tool in allowed["tools"]:
        kind = tool.get("type", "function") if isinstance(tool, Mapping) else None
        named = tool.get(kind) if kind in ("function", "custom") else None
        if not isinstance(named, Mapping) or not isinstance(named.get("name"), str):
            return None  # a tool that the provider itself runs
        names.add(named["name"])
    must = allowed.get("mode") == "required"
    return frozenset(names), ToolChoice("required" if must else "auto")


def read_function(function: BodyReader, cache: Mapping[str, Any] | None = None) -> Tool:
    """Return a tool from ``name``, ``description``, ``parameters`` and ``strict``."""
    return Tool(
        name=function.text("name", required=True),
        description=function.text("description"),
        parameters=function.mapping("parameters") or {"type": "object", "properties": {}},
        strict=function.flag("strict"),
        cache=cache,
    )


def read_tool_choice(fields: BodyReader) -> tuple[ToolChoice, tuple[str, ...]]:
    """Return the choice, and ``("tool_choice",)`` if only OpenAI's own API supports it."""
    legacy = fields.raw("function_call")
    value = fields.raw("tool_choice")
    if value is None and legacy is not None:
        value = legacy if isinstance(legacy, str) else {"type": "function", "function": legacy}
    if value is None:
        return ToolChoice(), ()
    if isinstance(value, str):
        mode = _MODES.get(value)
        return (ToolChoice(mode), ()) if mode else (ToolChoice(), ("tool_choice",))  # type: ignore[arg-type]
    choice = BodyReader(value, fields.place("tool_choice"))
    kind = choice.text("type", "function")
    if kind in _MODES:
        return ToolChoice(_MODES[kind]), ()  # type: ignore[arg-type]
    if kind not in {"function", "custom", "tool"}:
        return ToolChoice(), ("tool_choice",)
    # Responses have the function's name next to the type, chat completions in an object.
    named = choice.object("function") or choice.object("custom") or choice
    return ToolChoice("named", named.text("name", required=True)), ()

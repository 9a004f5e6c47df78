"""Write the tools of a chat, and how the model is to use them.

Wire: https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview
"""

from __future__ import annotations

from typing import Any

from providers.anthropic.schemas import strict_schema, tool_schema
from providers.chat import Chat, Tool, ToolCall, ToolResult
from providers.tool_names import ToolNames

FREEFORM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The whole input, as plain text."}},
    "required": ["input"],
}


def tool_definitions(chat: Chat, names: ToolNames) -> list[dict[str, Any]]:
    """Return the tools, one for each name.

    A conversation that holds calls must declare tools, so those that it called are declared
    where the client declares none.
    """
    tools = {tool.name: _definition(tool, names) for tool in chat.tools}
    if not tools:
        for part in chat.parts():
            if isinstance(part, ToolCall):
                tools[part.name] = _definition(Tool(part.name), names)
            elif isinstance(part, ToolResult):
                tools.setdefault("tool", _definition(Tool("tool"), names))
        if len(tools) > 1:
            tools.pop("tool", None)
    return list(tools.values())


def _definition(tool: Tool, names: ToolNames) -> dict[str, Any]:
    schema = FREEFORM_SCHEMA if tool.freeform else tool_schema(tool.parameters)
    definition: dict[str, Any] = {"name": names.outer(tool.name), "input_schema": schema}
    if tool.description:
        definition["description"] = tool.description
    if tool.strict and not tool.freeform:
        definition["strict"] = True
        definition["input_schema"] = strict_schema(schema)
    if tool.cache is not None:
        definition["cache_control"] = dict(tool.cache)
    return definition


def tool_choice(chat: Chat, names: ToolNames, *, forced: bool) -> dict[str, Any]:
    """Return the choice; ``forced`` is whether the model can be made to call a tool."""
    choice = chat.tool_choice
    kind = {"required": "any", "named": "tool"}.get(choice.mode, choice.mode)
    if not chat.tools:
        kind = "none"  # they are declared only because the conversation has their calls
    elif not forced and kind in {"any", "tool"}:
        kind = "auto"
    written: dict[str, Any] = {"type": kind}
    if kind == "tool":
        written["name"] = names.outer(choice.name)
    if not chat.parallel_tools and kind != "none":
        written["disable_parallel_tool_use"] = True
    return written

"""The tools of a chat completion's request read."""

from __future__ import annotations

from optimizer.api.http.body_reader import BodyReader
from providers.chat import Tool, ToolChoice

_MODES = ("auto", "none", "required")


def read_tools(fields: BodyReader) -> tuple[tuple[Tool, ...], tuple[str, ...]]:
    """Functions, and ``("tools",)`` where there are tools of other kinds."""
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
    """``name``, ``description``, ``parameters`` and ``strict``."""
    return Tool(
        name=function.text("name", required=True),
        description=function.text("description"),
        parameters=function.mapping("parameters") or {"type": "object", "properties": {}},
        strict=function.flag("strict"),
    )


def read_tool_choice(fields: BodyReader) -> tuple[ToolChoice, tuple[str, ...]]:
    """The choice, and ``("tool_choice",)`` where only OpenAI's own wire can say it."""
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
    # Responses name the function beside the type, chat completions within an object.
    function = choice.object("function") or choice
    return ToolChoice("named", function.text("name", required=True)), ()

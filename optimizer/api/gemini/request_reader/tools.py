"""Reads the tools of a Gemini request and how the model is to use them.

Format: https://ai.google.dev/api/caching#Tool
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from optimizer.api.gemini.request_reader.fields import ProtoReader
from optimizer.api.gemini.request_reader.schemas import json_schema
from providers.chat import Tool, ToolChoice


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The functions, the choice among them, and what only Gemini's own API can do.

    ``native`` is ``("tools",)`` if the provider itself runs some tool.
    """

    tools: tuple[Tool, ...] = ()
    choice: ToolChoice = field(default_factory=ToolChoice)
    native: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()


def read_tools(fields: ProtoReader) -> ToolUse:
    """Return the tools of the request."""
    functions: list[Tool] = []
    native: tuple[str, ...] = ()
    for tool in fields.objects("tools"):
        functions.extend(_function(one) for one in tool.objects("functionDeclarations"))
        if any(tool.raw(name) is not False for name in tool.unread()):
            native = ("tools",)
    config = fields.part("toolConfig")
    if config is None:
        return ToolUse(tuple(functions), native=native)
    use = _read_choice(config.part("functionCallingConfig"), tuple(functions))
    extras = ("toolConfig",) if config.unread() else ()
    return replace(use, native=native, extras=(*use.extras, *extras))


def _function(fields: ProtoReader) -> Tool:
    schema = fields.mapping("parametersJsonSchema")
    if schema is None:
        schema = json_schema(fields.mapping("parameters") or {})
    return Tool(fields.text("name", required=True), fields.word("description"), schema)


def _read_choice(config: ProtoReader | None, tools: tuple[Tool, ...]) -> ToolUse:
    if config is None:
        return ToolUse(tools)
    mode = config.word("mode").upper()
    allowed = [name for name in _list(config.raw("allowedFunctionNames")) if name]
    if allowed and mode in {"ANY", "VALIDATED"}:
        # Other APIs do not call what they are not given.
        tools = tuple(tool for tool in tools if tool.name in allowed) or tools
    if mode == "NONE":
        choice = ToolChoice("none")
    elif mode == "ANY":
        one = len(allowed) == 1
        choice = ToolChoice("named", allowed[0]) if one else ToolChoice("required")
    else:
        choice = ToolChoice()
    if mode == "VALIDATED":
        tools = tuple(replace(tool, strict=True) for tool in tools)
    return ToolUse(tools, choice if tools else ToolChoice())


def _list(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, str)]

"""Write tools and the choice among them for Gemini.

Wire: https://ai.google.dev/api/caching#Tool
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers import features
from providers.chat import Chat, Tool
from providers.tool_names import ToolNames

# https://googleapis.github.io/java-genai/javadoc/google-genai/com.google.genai.types/-function-declaration/-builder/name.html
_MOST_CHARACTERS = 64
_CHARACTERS = "a-zA-Z0-9_.:-"
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}
_TEXT_INPUT = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
}


def tool_names(chat: Chat) -> ToolNames:
    """Return the names of the chat's tools as Gemini takes them."""
    return ToolNames(chat, _MOST_CHARACTERS, _CHARACTERS, letter_first=True)


def tools_payload(chat: Chat, names: ToolNames, lacks: frozenset[str]) -> dict[str, Any]:
    """Return the fields ``tools`` and ``toolConfig``; empty if the chat has no tools."""
    if not chat.tools:
        return {}
    declarations = [_declaration(tool, names) for tool in chat.tools]
    config = _calling_config(chat, names, lacks)
    return {
        "tools": [{"functionDeclarations": declarations}],
        "toolConfig": {"functionCallingConfig": config},
    }


def _declaration(tool: Tool, names: ToolNames) -> dict[str, Any]:
    declaration: dict[str, Any] = {"name": names.outer(tool.name)}
    if tool.description:
        declaration["description"] = tool.description
    # This field takes JSON Schema as it is; "parameters" takes a part of OpenAPI's schemas.
    schema: Mapping[str, Any] = _TEXT_INPUT if tool.freeform else tool.parameters
    if not schema:
        schema = {"type": "object", "properties": {}}
    elif "type" not in schema:
        schema = {"type": "object", **schema}
    declaration["parametersJsonSchema"] = schema
    return declaration


def _calling_config(chat: Chat, names: ToolNames, lacks: frozenset[str]) -> dict[str, Any]:
    choice = chat.tool_choice
    mode = _MODES[choice.mode]
    strict = features.STRICT_TOOLS not in lacks and any(tool.strict for tool in chat.tools)
    if mode == "AUTO" and strict:
        # The model may still answer in words, but its calls follow the schemas.
        # https://ai.google.dev/gemini-api/docs/function-calling#function_calling_modes
        mode = "VALIDATED"
    config: dict[str, Any] = {"mode": mode}
    if choice.mode == "named":
        config["allowedFunctionNames"] = [names.outer(choice.name)]
    return config

"""Give tools the form of chat completions where clients send that of another API.

Cursor sends some as the Responses API has them (https://github.com/BerriAI/litellm/pull/34029).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_KINDS = frozenset({"function", "custom"})
_OF_FUNCTION = ("name", "description", "parameters", "strict")


def with_nested_tools(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return ``body`` with its tools and its choice of one nested; itself if they are."""
    tools: Any = body.get("tools")
    choice: Any = body.get("tool_choice")
    changes: dict[str, Any] = {}
    if isinstance(tools, list) and any(map(_is_flat, tools)):
        changes["tools"] = [_nested(tool) if _is_flat(tool) else tool for tool in tools]
    if _is_flat(choice):
        kind = choice["type"]
        changes["tool_choice"] = {"type": kind, kind: {"name": choice["name"]}}
    return {**body, **changes} if changes else body


def _is_flat(tool: Any) -> bool:
    """Return whether a tool has its name beside its type, where there may be none."""
    if not isinstance(tool, Mapping) or not isinstance(tool.get("name"), str):
        return False
    kind = tool.get("type") or ("function" if "input_schema" in tool else "")
    return kind in _KINDS and not isinstance(tool.get(kind), Mapping)


def _nested(tool: Mapping[str, Any]) -> dict[str, Any]:
    kind = tool.get("type") or "function"
    given = dict(tool)
    if "input_schema" in given:
        given["parameters"] = given.pop("input_schema")
    marks = {"cache_control": given["cache_control"]} if "cache_control" in given else {}
    if kind == "custom":
        custom: dict[str, Any] = {
            name: given[name] for name in ("name", "description") if name in given
        }
        if isinstance(shape := given.get("format"), Mapping):
            custom["format"] = _nested_format(shape)
        return {"type": kind, kind: custom, **marks}
    function = {name: given[name] for name in _OF_FUNCTION if given.get(name) is not None}
    return {"type": kind, kind: function, **marks}


def _nested_format(shape: Mapping[str, Any]) -> dict[str, Any]:
    """Return the grammar of a custom tool, whose parts stand one level deeper in chats."""
    if shape.get("type") != "grammar" or isinstance(shape.get("grammar"), Mapping):
        return dict(shape)
    grammar = {name: shape[name] for name in ("syntax", "definition") if name in shape}
    return {"type": "grammar", "grammar": grammar}

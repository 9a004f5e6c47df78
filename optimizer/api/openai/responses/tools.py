"""The tools of a Responses request, as functions for models of other providers, and back.

Tools that the client runs become functions: freeform (custom) tools, the local shells and the
patches of coding agents, functions in namespaces. A call of one comes back as the item that the
client knows. Tools that OpenAI runs are for OpenAI's own models.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from optimizer.api.http.body_reader import BodyReader
from providers.chat import Tool

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_NUMBER = {"type": "number"}


def _schema(required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


# https://platform.openai.com/docs/guides/tools-local-shell, …/tools-shell, …/tools-apply-patch
_CLIENT_TOOLS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "local_shell": (
        "Run a command in a shell on the user's machine and return its output.",
        _schema(
            ["command"],
            command={**_TEXTS, "description": "The program and its arguments."},
            working_directory=_TEXT,
            timeout_ms=_NUMBER,
            env={"type": "object", "additionalProperties": _TEXT},
        ),
    ),
    "shell": (
        "Run shell commands on the user's machine and return their output.",
        _schema(["commands"], commands=_TEXTS, timeout_ms=_NUMBER, max_output_length=_NUMBER),
    ),
    "apply_patch": (
        "Create, change or delete a file. The diff is in the V4A format.",
        _schema(
            ["type", "path"],
            type={"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
            path=_TEXT,
            diff=_TEXT,
        ),
    ),
}
_FREEFORM = _schema(["input"], input={"type": "string", "description": "The input, as it is."})


@dataclass(slots=True)
class ResponseTools:
    """The tools of one request.

    ``tools`` are those that any model can call. ``hosted`` names the kinds that only OpenAI
    runs. ``kinds`` maps a function's name to the kind of tool that it stands for, and
    ``namespaces`` to the namespace and the name in it.
    """

    tools: list[Tool] = field(default_factory=list)
    hosted: list[str] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)
    namespaces: dict[str, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> ResponseTools:
        """Read ``tools``, and the tools that an item of the input adds.

        Raises :class:`optimizer.api.http.body_reader.InvalidField`.
        """
        read = cls()
        fields = BodyReader(body)
        for tool in fields.objects("tools"):
            read._add(tool)
        items = body.get("input")
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict) and item.get("type") == "additional_tools":
                for tool in BodyReader(item, "input").objects("tools"):
                    read._add(tool)
        return read

    def _add(self, tool: BodyReader, namespace: str = "") -> None:
        kind = tool.text("type", "function")
        if kind == "namespace":
            for inner in tool.objects("tools"):
                self._add(inner, tool.text("name"))
        elif kind in {"function", "custom"}:
            self._add_function(tool, kind, namespace)
        elif kind in _CLIENT_TOOLS and not _runs_at_openai(tool):
            description, schema = _CLIENT_TOOLS[kind]
            self._keep(Tool(kind, description, schema), kind)
        else:
            self.hosted.append(kind)

    def _add_function(self, tool: BodyReader, kind: str, namespace: str) -> None:
        name = tool.text("name", required=True)
        outer = f"{namespace}__{name}" if namespace else name
        if namespace:
            self.namespaces[outer] = (namespace, name)
        description = tool.text("description")
        if kind == "custom":
            shape = tool.mapping("format") or {}
            if shape.get("definition"):
                description += f"\n\nThe input must match this grammar:\n{shape['definition']}"
            self._keep(Tool(outer, description.strip(), _FREEFORM, freeform=True), kind)
            return
        parameters = tool.mapping("parameters") or {"type": "object", "properties": {}}
        # Here functions are strict unless they say otherwise; elsewhere the opposite holds.
        self._keep(Tool(outer, description, parameters, tool.raw("strict") is True), kind)

    def _keep(self, tool: Tool, kind: str) -> None:
        if tool.name not in self.kinds:
            self.tools.append(tool)
            self.kinds[tool.name] = kind

    def allow(self, allowed: Any) -> None:
        """Keep only the ``allowed`` tools, as ``tool_choice`` names them; none means all."""
        named = [tool for tool in allowed if isinstance(tool, dict)] if allowed else []
        names = {self.name_of(tool) or str(tool.get("type", "")) for tool in named}
        if names:
            self.tools = [tool for tool in self.tools if tool.name in names]

    def name_of(self, item: Mapping[str, Any]) -> str:
        """Return the function's name for a call item of the conversation."""
        namespace, name = item.get("namespace"), item.get("name")
        name = name if isinstance(name, str) else ""
        return f"{namespace}__{name}" if isinstance(namespace, str) and namespace else name

    def call_item(
        self, item_id: str, call_id: str, name: str, arguments: str, status: str
    ) -> dict[str, Any]:
        """Return the item of a call, in the form that the client knows."""
        kind = self.kinds.get(name, "function")
        item: dict[str, Any] = {"id": item_id, "status": status, "call_id": call_id}
        if name in self.namespaces:
            item["namespace"], name = self.namespaces[name]
        if kind == "custom":
            return {**item, "type": "custom_tool_call", "name": name, "input": _input(arguments)}
        if kind in _CLIENT_TOOLS and kind == name:
            return {**item, **_client_call(kind, _object(arguments))}
        return {**item, "type": "function_call", "name": name, "arguments": arguments}


def past_call(item: Mapping[str, Any]) -> tuple[str, str, bool] | None:
    """Return name, arguments and whether it is freeform, of a call that a client tool answered.

    ``None`` if ``item`` is no such call.
    """
    kind = item.get("type")
    action = item.get("action") if isinstance(item.get("action"), dict) else {}
    if kind == "custom_tool_call":
        text = item.get("input")
        return str(item.get("name") or ""), json.dumps({"input": text or ""}), True
    if kind == "local_shell_call":
        given = {k: v for k, v in action.items() if k != "type" and v is not None}  # type: ignore[union-attr]
        return "local_shell", json.dumps(given), False
    if kind == "shell_call":
        given = {k: v for k, v in action.items() if v is not None}  # type: ignore[union-attr]
        return "shell", json.dumps(given), False
    if kind == "apply_patch_call":
        return "apply_patch", json.dumps(item.get("operation") or {}), False
    return None


def _client_call(kind: str, given: dict[str, Any]) -> dict[str, Any]:
    if kind == "local_shell":
        command = given.get("command")
        words = command if isinstance(command, list) else ["bash", "-lc", str(command or "")]
        action = {"type": "exec", "env": {}, **given, "command": [str(word) for word in words]}
        return {"type": "local_shell_call", "action": action}
    if kind == "shell":
        commands = given.get("commands")
        commands = commands if isinstance(commands, list) else [str(commands or "")]
        limits = {"timeout_ms": None, "max_output_length": None}
        return {"type": "shell_call", "action": {**limits, **given, "commands": commands}}
    return {"type": "apply_patch_call", "operation": given}


def _runs_at_openai(tool: BodyReader) -> bool:
    """Return whether a shell runs in one of OpenAI's containers."""
    environment = tool.mapping("environment") or {}
    return str(environment.get("type", "local")) != "local"


def _object(arguments: str) -> dict[str, Any]:
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _input(arguments: str) -> str:
    """Return the input of a freeform call; arguments that are no object are the input itself."""
    value = _object(arguments).get("input")
    return value if isinstance(value, str) else arguments


def hosted_calls(items: list[Any]) -> Iterator[str]:
    """Yield the kinds of the items that tools of OpenAI left in the conversation."""
    for item in items:
        if isinstance(item, dict) and str(item.get("type", "")) in _HOSTED_ITEMS:
            yield f"input.{item['type']}"


_HOSTED_ITEMS = frozenset(
    {
        "web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call",
        "computer_call", "computer_call_output", "mcp_list_tools", "mcp_call",
        "mcp_approval_request", "mcp_approval_response", "tool_search_call", "tool_search_output",
    }
)  # fmt: skip

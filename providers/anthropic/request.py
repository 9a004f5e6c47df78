"""Write a chat as a request to Anthropic's Messages API.

Wire: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

import re
from typing import Any

from providers.chat import Chat, Image, Message, Native, Part, Text, Tool, ToolCall, ToolResult
from providers.completion import CompletionRequest

WIRE = "anthropic"
# This wire requires max_tokens; every one of its models may answer with this many.
DEFAULT_MAX_TOKENS = 16384
_FIELDS_NOT_SENT = frozenset({"model", "optimizer", "stream"})
_BAD_IN_ID = re.compile(r"[^a-zA-Z0-9_-]")


def anthropic_payload(request: CompletionRequest) -> dict[str, Any]:
    """Return the JSON body. A request that came in on this wire goes out unchanged."""
    chat = request.chat
    if chat.source is not None and chat.source.wire == WIRE:
        body = {k: v for k, v in chat.source.body.items() if k not in _FIELDS_NOT_SENT}
    else:
        body = _translated(chat)
    body["model"] = request.model
    if chat.max_tokens is not None:
        body["max_tokens"] = chat.max_tokens
    body.setdefault("max_tokens", DEFAULT_MAX_TOKENS)
    return body


def _translated(chat: Chat) -> dict[str, Any]:
    # Anthropic rejects a turn without content.
    messages = [message for turn in chat.turns if (message := _message(turn))["content"]]
    body: dict[str, Any] = {"messages": messages}
    if chat.system:
        body["system"] = chat.system
    if chat.tools:
        body["tools"] = [_tool(tool) for tool in chat.tools]
        body["tool_choice"] = _tool_choice(chat)
    if chat.output is not None and chat.output.schema is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": chat.output.schema}}
    optional = {
        "temperature": chat.temperature,
        "top_p": chat.top_p,
        "top_k": chat.top_k,
        "stop_sequences": list(chat.stop) or None,
        "metadata": {"user_id": chat.user} if chat.user else None,
    }
    # 1 is the default and need not be sent; the newest models reject any other value.
    if chat.temperature == 1:
        optional["temperature"] = None
    if chat.top_p == 1:
        optional["top_p"] = None
    body.update({name: value for name, value in optional.items() if value is not None})
    return body


def _message(message: Message) -> dict[str, Any]:
    blocks = [block for part in message.parts if (block := _block(part)) is not None]
    # Tool results must come before everything else in the user's turn.
    blocks.sort(key=lambda block: block["type"] != "tool_result")
    return {"role": message.role, "content": blocks}


def _block(part: Part) -> dict[str, Any] | None:
    if isinstance(part, Text):
        # Anthropic rejects a text block without text.
        return {"type": "text", "text": part.text} if part.text else None
    if isinstance(part, Image):
        return {"type": "image", "source": _source(part)}
    if isinstance(part, ToolCall):
        return {
            "type": "tool_use",
            "id": _id(part.id),
            "name": part.name,
            "input": part.input,
        }
    if isinstance(part, ToolResult):
        content = [block for inner in part.content if (block := _block(inner)) is not None]
        result: dict[str, Any] = {"type": "tool_result", "tool_use_id": _id(part.call_id)}
        if content:
            result["content"] = content
        if part.is_error:
            result["is_error"] = True
        return result
    assert isinstance(part, Native)
    return None  # routing sends no native part to a provider of another wire


def _id(call_id: str) -> str:
    return _BAD_IN_ID.sub("_", call_id)


def _source(image: Image) -> dict[str, str]:
    if image.url:
        return {"type": "url", "url": image.url}
    return {"type": "base64", "media_type": image.media_type, "data": image.data}


def _tool(tool: Tool) -> dict[str, Any]:
    definition: dict[str, Any] = {
        "name": tool.name,
        "input_schema": tool.parameters or {"type": "object", "properties": {}},
    }
    if tool.description:
        definition["description"] = tool.description
    if tool.strict:
        definition["strict"] = True
    return definition


def _tool_choice(chat: Chat) -> dict[str, Any]:
    choice = chat.tool_choice
    tool_choice: dict[str, Any] = {
        "type": {"required": "any", "named": "tool"}.get(choice.mode, choice.mode)
    }
    if choice.mode == "named":
        tool_choice["name"] = choice.name
    if not chat.parallel_tools and choice.mode != "none":
        tool_choice["disable_parallel_tool_use"] = True
    return tool_choice

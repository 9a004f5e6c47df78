"""Write a chat as a request to OpenAI's chat completions API.

Wire: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from providers.chat import Chat, Image, Message, Text, Tool, ToolCall, ToolResult
from providers.completion import CompletionRequest

WIRE = "openai"
# Fields of this service, and fields that are set for each provider.
_FIELDS_NOT_SENT = frozenset(
    {"model", "optimizer", "stream", "stream_options", "max_tokens", "max_completion_tokens"}
)


def openai_payload(
    request: CompletionRequest, *, max_tokens_field: str, developer_role: bool
) -> dict[str, Any]:
    """Return the JSON body. A request that came in on this wire goes out unchanged.

    ``developer_role`` is whether the server knows the role "developer". Other servers get
    "system", the older name of this role.
    """
    chat = request.chat
    if chat.source is not None and chat.source.wire == WIRE:
        body = {k: v for k, v in chat.source.body.items() if k not in _FIELDS_NOT_SENT}
        if not developer_role:
            body["messages"] = [_as_system(message) for message in body["messages"]]
    else:
        body = _translated(chat)
    body["model"] = request.model
    if chat.max_tokens is not None:
        body[max_tokens_field] = chat.max_tokens
    return body


def _as_system(message: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**message, "role": "system"} if message.get("role") == "developer" else message


def _translated(chat: Chat) -> dict[str, Any]:
    body: dict[str, Any] = {"messages": [m for turn in chat.messages for m in _messages(turn)]}
    if chat.tools:
        body["tools"] = [_tool(tool) for tool in chat.tools]
        body["tool_choice"] = _tool_choice(chat)
        if not chat.parallel_tools:
            body["parallel_tool_calls"] = False
    if chat.output is not None:
        body["response_format"] = _response_format(chat)
    if chat.n > 1:
        body["n"] = chat.n
    optional = {
        "temperature": chat.temperature,
        "top_p": chat.top_p,
        "seed": chat.seed,
        "stop": list(chat.stop) or None,
        "presence_penalty": chat.presence_penalty,
        "frequency_penalty": chat.frequency_penalty,
        "logit_bias": chat.logit_bias,
        "logprobs": chat.logprobs or None,
        "top_logprobs": chat.top_logprobs,
        "user": chat.user or None,
    }
    body.update({name: value for name, value in optional.items() if value is not None})
    return body


def _messages(message: Message) -> Iterator[dict[str, Any]]:
    """Yield the messages of a turn: each tool result is a message of its own."""
    if message.role == "system":
        yield {"role": "system", "content": message.text}
        return
    if message.role == "assistant":
        yield _assistant(message)
        return
    for part in message.parts:
        if isinstance(part, ToolResult):
            text = f"Error: {part.text}" if part.is_error else part.text
            yield {"role": "tool", "tool_call_id": part.call_id, "content": text}
    content = [part for part in message.parts if isinstance(part, (Text, Image))]
    if content or not message.parts:
        yield {"role": "user", "content": _content(content)}


def _content(parts: list[Text | Image]) -> str | list[dict[str, Any]]:
    if all(isinstance(part, Text) for part in parts) and len(parts) < 2:
        return "".join(part.text for part in parts if isinstance(part, Text))
    return [
        {"type": "text", "text": part.text}
        if isinstance(part, Text)
        else {"type": "image_url", "image_url": _image(part)}
        for part in parts
    ]


def _image(image: Image) -> dict[str, str]:
    image_url = {"url": image.url or f"data:{image.media_type};base64,{image.data}"}
    if image.detail:
        image_url["detail"] = image.detail
    return image_url


def _assistant(message: Message) -> dict[str, Any]:
    calls = [part for part in message.parts if isinstance(part, ToolCall)]
    text = "".join(part.text for part in message.parts if isinstance(part, Text))
    body: dict[str, Any] = {"role": "assistant", "content": text or None}
    if calls:
        body["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in calls
        ]
    elif not text:
        body["content"] = ""
    return body


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.parameters}
    if tool.description:
        function["description"] = tool.description
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _tool_choice(chat: Chat) -> str | dict[str, Any]:
    choice = chat.tool_choice
    if choice.mode == "named":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode


def _response_format(chat: Chat) -> dict[str, Any]:
    output = chat.output
    if output is None or output.schema is None:
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": output.name, "schema": output.schema}
    if output.description:
        schema["description"] = output.description
    if output.strict:
        schema["strict"] = True
    return {"type": "json_schema", "json_schema": schema}

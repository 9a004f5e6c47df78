"""Write a chat as a request to Google's generateContent API.

Wire: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from typing import Any

from providers.chat import Chat, Image, Message, Part, Text, Tool, ToolCall, ToolResult

# Newer models need their encrypted reasoning back with each tool call. This value replaces it
# if another model made the call. https://ai.google.dev/gemini-api/docs/thought-signatures
_NO_SIGNATURE = "skip_thought_signature_validator"


def gemini_payload(chat: Chat) -> dict[str, Any]:
    """Return the JSON body for ``chat``."""
    names = {p.id: p.name for p in chat.parts() if isinstance(p, ToolCall)}
    # Google rejects a turn without parts.
    contents = [content for turn in chat.turns if (content := _content(turn, names))["parts"]]
    body: dict[str, Any] = {"contents": contents}
    if chat.system:
        body["systemInstruction"] = {"parts": [{"text": chat.system}]}
    if chat.tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in chat.tools]}]
        body["toolConfig"] = {"functionCallingConfig": _calling_config(chat)}
    if config := _generation_config(chat):
        body["generationConfig"] = config
    return body


def _generation_config(chat: Chat) -> dict[str, Any]:
    config: dict[str, Any] = {
        "maxOutputTokens": chat.max_tokens,
        "temperature": chat.temperature,
        "topP": chat.top_p,
        "topK": chat.top_k,
        "seed": chat.seed,
        "stopSequences": list(chat.stop) or None,
        "candidateCount": chat.n if chat.n > 1 else None,
        "presencePenalty": chat.presence_penalty,
        "frequencyPenalty": chat.frequency_penalty,
    }
    if chat.output is not None:
        config["responseMimeType"] = "application/json"
        config["responseJsonSchema"] = chat.output.schema
    return {name: value for name, value in config.items() if value is not None}


def _content(message: Message, names: dict[str, str]) -> dict[str, Any]:
    parts = [_part(part, names) for part in message.parts]
    role = "model" if message.role == "assistant" else "user"
    return {"role": role, "parts": [part for part in parts if part is not None]}


def _part(part: Part, names: dict[str, str]) -> dict[str, Any] | None:
    if isinstance(part, Text):
        return {"text": part.text} if part.text else None
    if isinstance(part, Image):
        return {"inlineData": {"mimeType": part.media_type, "data": part.data}}
    if isinstance(part, ToolCall):
        call = {"name": part.name, "args": part.input, "id": part.id}
        return {"functionCall": call, "thoughtSignature": part.signature or _NO_SIGNATURE}
    if isinstance(part, ToolResult):
        return {
            "functionResponse": {
                "id": part.call_id,
                "name": names.get(part.call_id, part.call_id),
                "response": {"error" if part.is_error else "output": part.text},
            }
        }
    return None  # routing sends no native part to a provider of another wire


def _declaration(tool: Tool) -> dict[str, Any]:
    declaration: dict[str, Any] = {"name": tool.name}
    if tool.description:
        declaration["description"] = tool.description
    if tool.parameters:
        declaration["parametersJsonSchema"] = tool.parameters
    return declaration


def _calling_config(chat: Chat) -> dict[str, Any]:
    choice = chat.tool_choice
    modes = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}
    config: dict[str, Any] = {"mode": modes[choice.mode]}
    if choice.mode == "named":
        config["allowedFunctionNames"] = [choice.name]
    return config

"""Where texts of people stand in a chat and in the body of a request, on every wire.

Bodies are walked by the names of fields. What is signed, sealed or names something is left alone:
reasoning and its signatures, ids, models, tools, schemas, media.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from optimizer.domain.result import NestedTooDeeply
from providers.chat import Chat, File, Message, Part, Text, ToolCall, ToolResult
from providers.large_json import MOST_LEVELS
from providers.values import changed

Change = Callable[[str], str]

_TEXTS = frozenset({
    "text", "content", "input", "output", "instructions", "system", "arguments", "prompt", "query",
    "title", "context", "refusal", "user", "safety_identifier", "suffix",
})  # fmt: skip
# Objects of the client's own, in which every text counts.
_OWN = frozenset({"input", "args", "response", "metadata", "labels", "arguments", "output"})
_LEFT_ALONE = frozenset({
    "tools", "functions", "response_format", "schema", "model", "signature", "thinking", "data",
    "thoughtSignature", "thought_signature", "encrypted_content", "image_url", "file_data", "url",
    "inlineData", "inline_data", "source", "reasoning", "reasoning_details", "input_audio",
})  # fmt: skip
_UNREAD = frozenset({"user", "safety_identifier", "metadata", "labels", "client_metadata"})
"""Fields of a body that no model reads."""
_SEALED = frozenset({"thinking", "redacted_thinking", "reasoning", "compaction"})


def changed_body(value: Any, change: Change) -> Any:
    """Return a body of JSON with the texts of people changed; what is the same stays itself.

    Raises :class:`NestedTooDeeply`.
    """
    if not isinstance(value, Mapping):
        return _changed(value, change, "", own=False, level=0)
    fields = {}
    for name, item in value.items():
        try:
            fields[name] = _changed_field(name, item, change, own=False, level=0)
        except NestedTooDeeply:
            raise NestedTooDeeply(name) from None
    return value if all(fields[name] is value[name] for name in value) else fields


def _changed(value: Any, change: Change, name: str, *, own: bool, level: int) -> Any:
    if isinstance(value, str):
        return change(value) if own or name in _TEXTS else value
    if not isinstance(value, (list, Mapping)):
        return value
    if level == MOST_LEVELS:
        raise NestedTooDeeply(name)
    if isinstance(value, list):
        items = [_changed(item, change, name, own=own, level=level + 1) for item in value]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else items
    if not own and (value.get("type") in _SEALED or value.get("thought") is True):
        return value
    fields = {
        key: _changed_field(key, item, change, own=own, level=level + 1)
        for key, item in value.items()
    }
    return value if all(fields[key] is value[key] for key in value) else fields


def _changed_field(name: str, value: Any, change: Change, *, own: bool, level: int) -> Any:
    if name in _LEFT_ALONE and not own:
        return value
    return _changed(value, change, name, own=own or _is_own(name, value), level=level)


def _is_own(name: str, value: Any) -> bool:
    return name == "documents" or (name in _OWN and isinstance(value, Mapping))


def texts_in(value: Any) -> list[str]:
    """Return the texts of people in a body of JSON, in their order.

    Raises :class:`NestedTooDeeply`.
    """
    texts: list[str] = []

    def keep(text: str) -> str:
        texts.append(text)
        return text

    changed_body(value, keep)
    return texts


def changed_chat(chat: Chat, change: Change, unread: Change) -> Chat:
    """Return a chat with the texts of people changed, in its messages and in its source.

    ``unread`` changes those that no model reads. Raises :class:`NestedTooDeeply`.
    """
    messages = tuple(changed_message(message, change) for message in chat.messages)
    source = chat.source
    if source is not None:
        body = _changed_fields(source.body, change, unread)
        source = source if body is source.body else changed(source, body=body)
    same = all(new is old for new, old in zip(messages, chat.messages, strict=True))
    user = unread(chat.user) if chat.user else chat.user
    if same and source is chat.source and user == chat.user:
        return chat
    return changed(chat, messages=chat.messages if same else messages, source=source, user=user)


def _changed_fields(body: Mapping[str, Any], change: Change, unread: Change) -> Mapping[str, Any]:
    hidden = {name: value for name, value in body.items() if name in _UNREAD}
    if not hidden:
        fields: Mapping[str, Any] = changed_body(body, change)
        return fields
    read = {name: value for name, value in body.items() if name not in _UNREAD}
    new = {**changed_body(read, change), **changed_body(hidden, unread)}
    return body if all(new[name] is body[name] for name in body) else {n: new[n] for n in body}


def changed_message(message: Message, change: Change) -> Message:
    """Return a message with its texts changed."""
    parts = tuple(_changed_part(part, change) for part in message.parts)
    same = all(new is old for new, old in zip(parts, message.parts, strict=True))
    return message if same else changed(message, parts=parts)


def _changed_part(part: Any, change: Change) -> Any:
    if isinstance(part, Text):
        text = change(part.text)
        return part if text == part.text else changed(part, text=text)
    if isinstance(part, ToolCall):
        text = change(part.arguments)
        return part if text == part.arguments else changed(part, arguments=text)
    if isinstance(part, File) and part.text:
        text = change(part.text)
        return part if text == part.text else changed(part, text=text)
    if isinstance(part, ToolResult):
        content = tuple(_changed_part(inner, change) for inner in part.content)
        same = all(new is old for new, old in zip(content, part.content, strict=True))
        return part if same else changed(part, content=content)
    return part


def new_text(chat: Chat) -> str:
    """Return what came in since the model answered last: of people, and of tools."""
    texts: list[str] = []
    for message in reversed(chat.messages):
        if message.role == "assistant":
            break
        if message.role == "user":
            texts[:0] = _texts_of(message.parts)
    return "\n\n".join(filter(None, texts))


def _texts_of(parts: tuple[Part, ...]) -> list[str]:
    texts: list[str] = []
    for part in parts:
        if isinstance(part, (Text, File)):
            texts.append(part.text)
        elif isinstance(part, ToolResult):
            texts += [inner.text for inner in part.content if isinstance(inner, (Text, File))]
    return texts

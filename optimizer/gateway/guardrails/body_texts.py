"""Where texts of people stand in a chat and in the body of a request, on every wire.

Two views of a body: :func:`changed_body` gets at every text that the client wrote in it, under
whatever name; :func:`texts_in`, at what people and models say to each other. Both leave alone what
is signed, sealed or names something: reasoning and its signatures, ids, models, tools, schemas,
media.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from optimizer.domain.options import NOT_IN_KEY
from optimizer.domain.result import NestedTooDeeply
from providers.chat import Chat, File, Message, Part, Text, ToolCall, ToolResult
from providers.large_json import MOST_LEVELS
from providers.values import changed
from providers.wire_table import FIELDS

Change = Callable[[str], str]

_TEXTS = frozenset({
    "text", "content", "input", "output", "instructions", "system", "arguments", "prompt", "query",
    "title", "context", "refusal", "user", "safety_identifier", "suffix",
})  # fmt: skip
# Objects of the client's own, in which every text counts.
_OWN = frozenset({
    "input", "args", "response", "metadata", "labels", "arguments", "output", "client_metadata",
    "variables", "attributes", "env",
})  # fmt: skip
_LEFT_ALONE = frozenset({
    "tools", "functions", "response_format", "schema", "model", "signature", "thinking", "data",
    "thoughtSignature", "thought_signature", "encrypted_content", "image_url", "file_data", "url",
    "inlineData", "inline_data", "source", "reasoning", "reasoning_details", "input_audio",
})  # fmt: skip
# What names something for the provider: changed, it would name nothing.
_NAMING = _LEFT_ALONE | {
    "id", "type", "role", "name", "format", "output_format", "output_config", "tool_choice",
    "toolConfig", "tool_config", "conversation", "container", "mcp_servers", "provider",
    "reasoning_content", "encrypted_index", "responseSchema", "response_schema", "json_schema",
    "responseJsonSchema", "response_json_schema", "cachedContent", "cached_content", "server_label",
    "server_name", "tool_name", "namespace", "uri", "fileUri", "file_uri", "file_url", "b64_json",
    "fallback_credit_token", "modelArmorConfig", "model_armor_config", "optimizer",
}  # fmt: skip
# Fields of bodies whose values are names and days of the provider's: recognizers take the date in
# "context-1m-2025-08-07" for somebody's.
_PROTOCOL = frozenset({
    "models", "fallbacks", "betas", "anthropic_beta", "anthropic_version",
    "search_after_date_filter", "search_before_date_filter", "last_updated_after_filter",
    "last_updated_before_filter",
})  # fmt: skip
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
# Google takes its fields in either case.
_OF_BODIES = FIELDS | {_CAPITAL.sub("_", name).lower() for name in FIELDS} | {"documents", "query"}
"""The fields of all APIs; another is the client's own, in which every text counts."""
_UNREAD = NOT_IN_KEY | {"labels"}
"""Fields of a body that no model reads, or whose values a cached answer must not hold."""
_SEALED = frozenset({
    "thinking", "redacted_thinking", "reasoning", "compaction", "image_generation_call",
})  # fmt: skip
_PICTURES = frozenset({"computer_screenshot"})
_SPEAKERS = frozenset({"user", "assistant", "system", "developer"})


def changed_body(value: Any, change: Change) -> Any:
    """Return a body of JSON with the client's texts changed; what is the same stays itself.

    Raises :class:`NestedTooDeeply`.
    """
    return _Texts(change).of_body(value)


class _Texts:
    """A walk through a body; ``everywhere`` is whether it looks under unknown names, too."""

    def __init__(self, change: Change, *, everywhere: bool = True) -> None:
        self._change = change
        self._everywhere = everywhere
        self._left_alone = _NAMING if everywhere else _LEFT_ALONE

    def of_body(self, body: Any) -> Any:
        if not isinstance(body, Mapping):
            return self._of(body, "", own=False, level=0)
        fields = {}
        for name, item in body.items():
            if self._everywhere and name in _PROTOCOL:
                fields[name] = item
                continue
            own = self._everywhere and name not in _OF_BODIES and not _is_data_url(item)
            try:
                fields[name] = self._of_field(name, item, own=own, level=0)
            except NestedTooDeeply:
                raise NestedTooDeeply(name) from None
        return _itself_if_same(body, fields)

    def _of(self, value: Any, name: str, *, own: bool, level: int) -> Any:
        if isinstance(value, str):
            return self._change(value) if own or self._counts(name, value) else value
        if not isinstance(value, (list, Mapping)):
            return value
        if level == MOST_LEVELS:
            raise NestedTooDeeply(name)
        if isinstance(value, list):
            items = [self._of(item, name, own=own, level=level + 1) for item in value]
            same = all(new is old for new, old in zip(items, value, strict=True))
            return value if same else items
        if not own and (value.get("type") in _SEALED or value.get("thought") is True):
            return value
        fields = {
            key: self._of_field(key, item, own=own, level=level + 1) for key, item in value.items()
        }
        if not own and self._everywhere:
            self._forget_speaker(fields)
        return _itself_if_same(value, fields)

    def _of_field(self, name: str, value: Any, *, own: bool, level: int) -> Any:
        if own:
            return self._of(value, name, own=True, level=level)
        if name == "source" and isinstance(value, Mapping):
            return self._of_source(value, level)
        if name in self._left_alone or (self._everywhere and _is_id(name)):
            return value
        return self._of(value, name, own=_is_own(name, value), level=level)

    def _of_source(self, source: Mapping[str, Any], level: int) -> Any:
        """Return where a document comes from with its texts changed, if it is a text itself."""
        if source.get("type") == "content":
            return self._of(source, "", own=False, level=level)
        data = source.get("data")
        if source.get("type") != "text" or not isinstance(data, str):
            return source
        text = self._change(data)
        return source if text == data else {**source, "data": text}

    def _counts(self, name: str, text: str) -> bool:
        if name in _TEXTS:
            return True
        return self._everywhere and not _is_data_url(text)

    def _forget_speaker(self, turn: dict[str, Any]) -> None:
        """Leave out a speaker's name that would be changed: APIs take no other characters."""
        name = turn.get("name")
        if isinstance(name, str) and turn.get("role") in _SPEAKERS and self._change(name) != name:
            del turn["name"]


def _itself_if_same(value: Mapping[str, Any], fields: dict[str, Any]) -> Mapping[str, Any]:
    same = len(fields) == len(value) and all(fields[key] is value[key] for key in value)
    return value if same else fields


def _is_own(name: str, value: Any) -> bool:
    if name == "documents":
        return True
    return name in _OWN and isinstance(value, Mapping) and value.get("type") not in _PICTURES


def _is_id(name: str) -> bool:
    """Return whether a field is an id of the provider's, or sealed by it."""
    if name.startswith("encrypted_"):
        return True
    return name.endswith(("_id", "_ids")) and name != "user_id"


def _is_data_url(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("data:") and ";base64," in value[:200]


def texts_in(value: Any) -> list[str]:
    """Return the texts of people in a body of JSON, in their order.

    Raises :class:`NestedTooDeeply`.
    """
    texts: list[str] = []

    def keep(text: str) -> str:
        texts.append(text)
        return text

    _Texts(keep, everywhere=False).of_body(value)
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
    stop = tuple(map(change, chat.stop))
    if same and source is chat.source and user == chat.user and stop == chat.stop:
        return chat
    messages = chat.messages if same else messages
    return changed(chat, messages=messages, source=source, user=user, stop=stop)


def _changed_fields(body: Mapping[str, Any], change: Change, unread: Change) -> Mapping[str, Any]:
    hidden = {name: value for name, value in body.items() if name in _UNREAD}
    if not hidden:
        fields: Mapping[str, Any] = changed_body(body, change)
        return fields
    read = {name: value for name, value in body.items() if name not in _UNREAD}
    new = {**changed_body(read, change), **changed_body(hidden, unread)}
    return _itself_if_same(body, {name: new[name] for name in body})


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
    if isinstance(part, File):
        text, name = change(part.text), change(part.name)
        same = text == part.text and name == part.name
        return part if same else changed(part, text=text, name=name)
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

"""Write the messages of a chat for OpenAI's chat completions API.

Wire: https://platform.openai.com/docs/api-reference/chat/create and, for files, video and
marks of the cache, https://openrouter.ai/docs/features/multimodal/overview and
https://openrouter.ai/docs/features/prompt-caching
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from providers.chat import File, Image, Message, Text, Thinking, ToolCall, ToolResult
from providers.openai.dialect import Dialect
from providers.openai.reasoning import needs_reasoning, past_reasoning
from providers.tool_names import ToolNames

_LONGEST_CALL_ID = 40
_AUDIO_FORMATS = {"x-wav": "wav", "wave": "wav", "mpeg": "mp3", "mp4": "m4a", "x-m4a": "m4a"}


class MessageWriter:
    """Writes the messages of one request.

    ``author`` is the (provider, model) that gets them, ``past_reasoning`` whether it takes the
    reasoning of its earlier answers. ``anybody`` allows reasoning of an unknown author as well:
    what came in on this wire may be the model's own.
    """

    def __init__(
        self,
        names: ToolNames,
        dialect: Dialect,
        author: tuple[str, str],
        *,
        past_reasoning: bool,
        participants: bool = True,
        anybody: bool = False,
    ) -> None:
        self._names = names
        self._dialect = dialect
        self._author = author
        self._past_reasoning = past_reasoning
        self._participants = participants
        self._anybody = anybody
        self._called: dict[str, str] = {}

    def of_turn(self, message: Message) -> Iterator[dict[str, Any]]:
        """Yield the messages of a turn: each tool result is a message of its own."""
        if message.role == "assistant":
            yield self._assistant(message)
            return
        named = {"name": message.name} if message.name and self._participants else {}
        if message.role == "system":
            yield {"role": "system", "content": self._system(message), **named}
            return
        attachments: list[dict[str, Any]] = []
        for part in message.parts:
            if isinstance(part, ToolResult):
                yield self._result(part)
                attachments += self._attachments(part)
        content = [part for part in message.parts if isinstance(part, (Text, Image, File))]
        if attachments:
            parts = [*attachments, *map(self._part, content)]
            yield {"role": "user", "content": parts, **named}
        elif content or not message.parts:
            yield {"role": "user", "content": self._content(content), **named}

    def _system(self, message: Message) -> str | list[dict[str, Any]]:
        texts = [part for part in message.parts if isinstance(part, Text)]
        if self._dialect.cache_marks and any(text.cache for text in texts):
            return [self._part(text) for text in texts]
        return message.text

    def _content(self, parts: list[Text | Image | File]) -> str | list[dict[str, Any]]:
        if not parts:
            return ""
        first = parts[0]
        marked = first.cache is not None and self._dialect.cache_marks
        if len(parts) == 1 and isinstance(first, Text) and not marked:
            return first.text
        return [self._part(part) for part in parts]

    def _part(self, part: Text | Image | File) -> dict[str, Any]:
        if isinstance(part, Text):
            written: dict[str, Any] = {"type": "text", "text": part.text}
        elif isinstance(part, Image):
            written = {"type": "image_url", "image_url": _image(part)}
        else:
            written = _file(part)
        if part.cache and self._dialect.cache_marks:
            written["cache_control"] = part.cache
        return written

    def _result(self, result: ToolResult) -> dict[str, Any]:
        text = f"Error: {result.text}" if result.is_error else result.text
        content: str | list[dict[str, Any]] = text
        mark = result.cache or next((p.cache for p in reversed(result.content) if p.cache), None)
        if mark and self._dialect.cache_marks:
            content = [{"type": "text", "text": text, "cache_control": mark}]
        return {"role": "tool", "tool_call_id": fitting_call_id(result.call_id), "content": content}

    def _attachments(self, result: ToolResult) -> list[dict[str, Any]]:
        """Return what a tool message cannot hold, for the user's message after it."""
        others = [part for part in result.content if not isinstance(part, Text)]
        if not others:
            return []
        called = self._called.get(result.call_id, "the tool")
        label = f"From the result of {called} ({fitting_call_id(result.call_id)}):"
        return [{"type": "text", "text": label}, *map(self._part, others)]

    def _assistant(self, message: Message) -> dict[str, Any]:
        calls = [part for part in message.parts if isinstance(part, ToolCall)]
        texts = [part for part in message.parts if isinstance(part, Text)]
        text = "".join(part.text for part in texts)
        body: dict[str, Any] = {"role": "assistant", "content": text or None}
        if self._dialect.cache_marks and any(part.cache for part in texts):
            body["content"] = [self._part(part) for part in texts if part.text]
        if message.name and self._participants:
            body["name"] = message.name
        if self._past_reasoning:
            thoughts = (part for part in message.parts if isinstance(part, Thinking))
            body |= past_reasoning(thoughts, self._author, self._dialect, anybody=self._anybody)
            if calls and needs_reasoning(self._author[1], self._dialect):
                body.setdefault("reasoning_content", "")
        if calls:
            body["tool_calls"] = [self._call(call) for call in calls]
        elif not text:
            body["content"] = ""
        return body

    def _call(self, call: ToolCall) -> dict[str, Any]:
        name = self._names.outer(call.name)
        self._called[call.id] = name
        written: dict[str, Any] = {
            "id": fitting_call_id(call.id),
            "type": "function",
            "function": {"name": name, "arguments": call.arguments or "{}"},
        }
        if call.signature and call.signed_by == self._author:
            written["extra_content"] = {"google": {"thought_signature": call.signature}}
        return written


def fitting_call_id(call_id: str) -> str:
    """Return an id of at most 40 characters, the same for a call and its result."""
    if len(call_id) <= _LONGEST_CALL_ID:
        return call_id
    digest = hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"call_{digest[:32]}"


def short_call_id(call_id: str, length: int) -> str:
    """Return an id of exactly ``length`` letters and digits, the same for a call and its result."""
    if len(call_id) == length and call_id.isascii() and call_id.isalnum():
        return call_id
    return hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def _image(image: Image) -> dict[str, str]:
    image_url = {"url": image.url or f"data:{image.media_type};base64,{image.data}"}
    if image.detail:
        image_url["detail"] = image.detail
    return image_url


def _file(file: File) -> dict[str, Any]:
    kind, _, subtype = file.media_type.partition("/")
    if file.text:
        text = f"{file.name}\n\n{file.text}" if file.name else file.text
        return {"type": "text", "text": text}
    if kind == "audio" and file.data:
        audio = {"data": file.data, "format": _AUDIO_FORMATS.get(subtype, subtype)}
        return {"type": "input_audio", "input_audio": audio}
    source = file.url or f"data:{file.media_type};base64,{file.data}"
    if kind == "video":
        return {"type": "video_url", "video_url": {"url": source}}
    if file.file_id:
        return {"type": "file", "file": {"file_id": file.file_id}}
    name = file.name or f"document.{subtype or 'pdf'}"
    return {"type": "file", "file": {"filename": name, "file_data": source}}

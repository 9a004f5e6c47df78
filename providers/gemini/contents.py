"""Write a conversation as Gemini's contents.

Wire: https://ai.google.dev/api/caching#Content
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from providers.chat import (
    Chat,
    File,
    Image,
    Message,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from providers.tool_names import ToolNames
from providers.tool_results import with_results

# Newer models need their encrypted reasoning back with each tool call. This value replaces it
# if another model made the call. https://ai.google.dev/gemini-api/docs/thought-signatures
NO_SIGNATURE = "skip_thought_signature_validator"

JsonPart = dict[str, Any]


class ContentWriter:
    """Writes the turns of one chat for the model ``author`` (provider, model).

    ``pictures_in_results`` is whether the model takes pictures within a tool's result; else
    they follow it.
    """

    def __init__(
        self, chat: Chat, names: ToolNames, author: tuple[str, str], *, pictures_in_results: bool
    ) -> None:
        self._chat = chat
        self._names = names
        self._author = author
        self._pictures_in_results = pictures_in_results
        self._called = {p.id: p.name for p in chat.parts() if isinstance(p, ToolCall)}

    def system(self) -> str:
        """Return the system prompts at the beginning, one per paragraph."""
        texts = []
        for message in self._chat.messages:
            if message.role != "system":
                break
            texts.append(message.text)
        return "\n\n".join(text for text in texts if text)

    def contents(self) -> list[dict[str, Any]]:
        """Return the turns; Google rejects one without parts, so such a turn is left out."""
        contents: list[dict[str, Any]] = []
        waiting: list[JsonPart] = []
        begun = False
        for message in with_results(self._chat.messages):
            if message.role == "system":
                if begun and message.text:
                    waiting.append({"text": f"<system>\n{message.text}\n</system>"})
                continue
            begun = True
            parts = list(self._parts(message))
            # Nothing may stand between calls and their results.
            if waiting and not any(map(_is_result, parts)):
                contents.append({"role": "user", "parts": waiting})
                waiting = []
            if not parts:
                continue
            role = "model" if message.role == "assistant" else "user"
            if contents and all(map(_is_result, [*contents[-1]["parts"], *parts])):
                # The results of parallel calls stand in one turn.
                contents[-1]["parts"].extend(parts)
            else:
                contents.append({"role": role, "parts": parts})
        if waiting:
            contents.append({"role": "user", "parts": waiting})
        return contents

    def _parts(self, message: Message) -> Iterator[JsonPart]:
        written: list[JsonPart] = []
        for part in message.parts:
            if isinstance(part, Thinking):
                self._think(part, written)
            elif isinstance(part, ToolCall):
                written.append(self._call(part, written))
            else:
                written.extend(self._part(part))
        yield from written

    def _part(self, part: Part) -> Iterator[JsonPart]:
        if isinstance(part, Text):
            if part.text:
                yield {"text": part.text}
        elif isinstance(part, Image):
            yield _media(part.media_type, part.data, part.url or part.file_id, "image/jpeg")
        elif isinstance(part, File):
            yield _file(part)
        elif isinstance(part, ToolResult):
            yield from self._result(part)
        # Routing sends no native part to a provider of another wire.

    def _think(self, part: Thinking, written: list[JsonPart]) -> None:
        """Add reasoning that this very model wrote; no other model can read it."""
        if (part.provider, part.model) != self._author:
            return
        if part.text:
            thought: JsonPart = {"text": part.text, "thought": True}
            if part.signature:
                thought["thoughtSignature"] = part.signature
            written.append(thought)
        elif part.signature:
            if written and written[-1].keys() == {"text"}:
                written[-1]["thoughtSignature"] = part.signature
            else:
                written.append({"text": "", "thoughtSignature": part.signature})

    def _call(self, part: ToolCall, written: list[JsonPart]) -> JsonPart:
        call = {"name": self._names.outer(part.name), "args": part.input, "id": part.id}
        signature = part.signature if part.signed_by in {("", ""), self._author} else ""
        if signature:
            return {"functionCall": call, "thoughtSignature": signature}
        # Of parallel calls, only the first has a signature.
        if any(_is_signed_call(earlier) for earlier in written):
            return {"functionCall": call}
        return {"functionCall": call, "thoughtSignature": NO_SIGNATURE}

    def _result(self, part: ToolResult) -> Iterator[JsonPart]:
        media = [
            _media(p.media_type, p.data, p.url or p.file_id, "image/jpeg")
            if isinstance(p, Image)
            else _file(p)
            for p in part.content
            if not isinstance(p, Text)
        ]
        text = part.text
        for plain in (m["text"] for m in media if "text" in m):
            text += f"\n{plain}" if text else plain
        media = [m for m in media if "text" not in m]
        response: dict[str, Any] = {
            "id": part.call_id,
            "name": self._names.outer(self._called.get(part.call_id, "tool")),
            "response": {"error" if part.is_error else "output": text},
        }
        if media and self._pictures_in_results:
            response["parts"] = media
            media = []
        yield {"functionResponse": response}
        yield from media


def _file(file: File) -> JsonPart:
    if file.text and not file.data:
        return {"text": f"{file.name}:\n{file.text}" if file.name else file.text}
    return _media(file.media_type, file.data, file.url or file.file_id, "application/pdf")


def _media(media_type: str, data: str, url: str, usual: str) -> JsonPart:
    """Return bytes, or a file by its address, which Google fetches."""
    if url.startswith("data:"):
        head, _, data = url.removeprefix("data:").partition(",")
        media_type = head.partition(";")[0] or media_type
    if data:
        return {"inlineData": {"mimeType": media_type or usual, "data": data}}
    known = media_type if "*" not in media_type else ""
    kind = known or mimetypes.guess_type(urlsplit(url).path)[0] or ""
    return {"fileData": {"fileUri": url, **({"mimeType": kind} if kind else {})}}


def _is_result(part: JsonPart) -> bool:
    return "functionResponse" in part


def _is_signed_call(part: JsonPart) -> bool:
    return "functionCall" in part and part.get("thoughtSignature") not in {None, NO_SIGNATURE}

"""Reads the contents of a Gemini request and their parts.

Format: https://ai.google.dev/api/caching#Content
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from optimizer.api.gemini.request_reader.fields import ProtoReader
from optimizer.api.gemini.seals import seal_in
from optimizer.domain.reasoning_seals import unseal, unseal_call
from providers.attachments import attached
from providers.chat import File, Image, Message, Native, Part, Text, Thinking, ToolCall, ToolResult
from providers.gemini.relayed import OPENED

_ROLES = {"model": "assistant", "assistant": "assistant", "system": "system"}
# Files of Google's own storage; nobody else can read them.
_GOOGLE = ("gs://", "https://generativelanguage.googleapis.com/", "files/")
_VIDEOS = ("youtube.com", "www.youtube.com", "m.youtube.com", "youtu.be")


class ContentReader:
    """Reads one conversation.

    ``sealed`` is true once reasoning under a seal of this service, or without a signature, was
    read; ``opened`` are then the contents for Gemini's own models, with the seals opened.
    """

    def __init__(self) -> None:
        self.sealed = False
        self.opened: list[Any] = []
        self._calls = 0
        self._open: list[tuple[str, str]] = []
        self._after_model = False

    def messages(self, fields: ProtoReader) -> Iterator[Message]:
        """Yield the turns of ``contents``."""
        value = fields.required("contents")
        if isinstance(value, str):
            value = [{"role": "user", "parts": [{"text": value}]}]
        values = value if isinstance(value, list) else [value]
        if not values:
            raise fields.error("contents", "must contain at least one content.")
        for number, item in enumerate(_whole_turns(values)):
            if isinstance(item, str):
                item = {"role": "user", "parts": [{"text": item}]}
            content = ProtoReader(item, f"contents[{number}]")
            role = _ROLES.get(content.word("role"), "user")
            if role == "assistant" and not self._after_model:
                # Results follow their calls at once, so that older calls are not waiting.
                self._open.clear()
            self._after_model = role == "assistant"
            raw: list[Any] = []
            parts = tuple(self._parts(content, raw))
            self.opened.append({**item, "parts": raw} if raw else item)
            yield Message(role, parts)  # type: ignore[arg-type]

    def _parts(self, content: ProtoReader, raw: list[Any]) -> Iterator[Part]:
        parts: list[Part] = []
        value = content.raw("parts")
        if isinstance(value, str):
            yield Text(value)
            return
        values = value if isinstance(value, list) else [value]
        for number, item in enumerate(values):
            if item is None:
                continue
            if isinstance(item, str):
                item = {"text": item}
            part = ProtoReader(item, f"{content.place('parts')}[{number}]")
            self._read(part, item, parts, raw)
        yield from parts

    def _read(
        self, part: ProtoReader, item: Mapping[str, Any], parts: list[Part], raw: list[Any]
    ) -> None:
        """Add what ``part`` says to ``parts``, and to ``raw`` as Gemini's own models get it."""
        signature = part.raw("thoughtSignature")
        seal = seal_in(signature)
        text = part.raw("text")
        if part.has("functionCall"):
            call, opened = self._call(part, signature, seal)
            parts.append(call)
            raw.append(item if opened is None else _opened(item, opened))
            return
        if seal:
            self.sealed = True
            thinking = unseal(seal) or Thinking()
            while parts and _is_unsigned(parts[-1]):
                # The pieces of the same reasoning, as they were streamed.
                parts.pop()
                raw.pop()
            parts.append(thinking)
            opened = {
                "provider": thinking.provider,
                "model": thinking.model,
                "signature": thinking.signature,
                "text": thinking.text,
            }
            raw.append(_opened(item, opened))
            return
        if part.is_set("thought"):
            own = signature if isinstance(signature, str) else ""
            parts.append(Thinking(text if isinstance(text, str) else "", own))
        elif isinstance(text, str):
            last = parts[-1] if parts and self._after_model else None
            if isinstance(last, Text):
                parts[-1] = Text(last.text + text)
            else:
                parts.append(Text(text))
        else:
            parts.extend(self._special(part))
        raw.append(item)

    def _call(
        self, part: ProtoReader, signature: Any, seal: str
    ) -> tuple[ToolCall, dict[str, Any] | None]:
        call = part.object("functionCall")
        assert call is not None
        self._calls += 1
        name = call.text("name", required=True)
        call_id = call.word("id") or f"call_{self._calls}"
        self._open.append((call_id, name))
        arguments = json.dumps(call.raw("args") or {}, ensure_ascii=False)
        if not seal:
            own = signature if isinstance(signature, str) else ""
            return ToolCall(call_id, name, arguments, own), None
        self.sealed = True
        own, author = unseal_call(seal)
        opened = {"provider": author[0], "model": author[1], "signature": own}
        return ToolCall(call_id, name, arguments, own, author), opened

    def _special(self, part: ProtoReader) -> Iterator[Part]:
        blob, file = part.part("inlineData"), part.part("fileData")
        if blob is not None:
            kind, data = blob.word("mimeType"), blob.word("data")
            yield attached(kind, data, name=blob.word("displayName"))
        elif file is not None:
            yield _file(file)
        elif (response := part.part("functionResponse")) is not None:
            yield self._result(response)
        else:
            for name in part.unread():
                if name not in {"thought", "thoughtSignature", "partMetadata"}:
                    yield Native(name)
                    return

    def _result(self, response: ProtoReader) -> Part:
        name, given = response.word("name"), response.word("id")
        content = tuple(_result_content(response))
        is_error = isinstance(value := response.raw("response"), Mapping) and set(value) == {
            "error"
        }
        call_id = self._called(given, name)
        if call_id is None:
            # Other APIs refuse a result without its call.
            text = "".join(part.text for part in content if isinstance(part, Text))
            return Text(f"Result of {name}: {text}")
        return ToolResult(call_id, content, is_error)

    def _called(self, given: str, name: str) -> str | None:
        """Return the id of the call that a result answers, by its id, its name or its place."""
        for matches in (
            lambda call: given and call[0] == given,
            lambda call: call[1] == name,
            lambda call: True,
        ):
            for call in self._open:
                if matches(call):
                    self._open.remove(call)
                    return call[0]
        return None


def _whole_turns(contents: list[Any]) -> list[Any]:
    """Return the contents; the chunks of one streamed answer, which clients keep as such, as one.

    Google's own SDK keeps them so. Other APIs expect the calls of a turn together.
    """
    turns: list[Any] = []
    merged = None
    for item in contents:
        if not (turns and _has_parts(turns[-1]) and _has_parts(item)):
            turns.append(item)
            merged = None
        elif merged is None:
            merged = [*turns[-1]["parts"], *item["parts"]]
            turns[-1] = {**turns[-1], "parts": merged}
        else:
            merged.extend(item["parts"])
    return turns


def _has_parts(item: Any) -> bool:
    """Return whether ``item`` is a content of the model with a list of parts."""
    return (
        isinstance(item, Mapping)
        and item.get("role") == "model"
        and isinstance(item.get("parts"), list)
    )


def _is_unsigned(part: Part) -> bool:
    return isinstance(part, Thinking) and part == Thinking(part.text)


def _opened(item: Mapping[str, Any], opened: dict[str, Any]) -> dict[str, Any]:
    rest = {k: v for k, v in item.items() if k not in {"thoughtSignature", "thought_signature"}}
    return {**rest, OPENED: opened}


def _file(file: ProtoReader) -> Part:
    url, kind = file.word("fileUri"), file.word("mimeType")
    kind = kind or mimetypes.guess_type(urlsplit(url).path)[0] or ""
    if not kind and urlsplit(url).hostname in _VIDEOS:
        kind = "video/*"
    is_image = kind.startswith("image/")
    if url.startswith(_GOOGLE):
        return Image(kind, file_id=url) if is_image else File(kind, file_id=url)
    name = file.word("displayName")
    return Image(kind, url=url) if is_image else File(kind, url=url, name=name)


def _result_content(response: ProtoReader) -> Iterator[Text | Image | File]:
    value = response.raw("response")
    if isinstance(value, Mapping) and len(value) == 1:
        only, inner = next(iter(value.items()))
        value = inner if only in {"output", "result", "error"} else value
    if value is not None:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield Text(text)
    for part in response.objects("parts"):
        blob, file = part.part("inlineData"), part.part("fileData")
        if blob is not None:
            yield attached(blob.word("mimeType"), blob.word("data"))
        elif file is not None:
            yield _file(file)  # type: ignore[misc]


def read_system(fields: ProtoReader) -> Iterator[Message]:
    """Yield the system prompt: a content, a part of one, or a text."""
    value = fields.raw("systemInstruction")
    texts = "\n".join(_texts(value))
    if texts:
        yield Message("system", (Text(texts),))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, Mapping):
        yield from _texts(value.get("parts"))
        if isinstance(value.get("text"), str):
            yield value["text"]

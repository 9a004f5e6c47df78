"""Reads the input of a Responses request: its items, as the turns of a chat.

Format: https://platform.openai.com/docs/api-reference/responses/create#responses-create-input
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from optimizer.api.http.body_reader import BodyReader
from optimizer.api.openai.responses.tools import ResponseTools, hosted_calls, past_call
from optimizer.domain.reasoning_seals import is_seal, unseal, unseal_call
from providers.attachments import attached, type_of_file
from providers.chat import File, Image, Message, Native, Part, Text, Thinking, ToolCall, ToolResult
from providers.media import of_data_url
from providers.openai.responses_answer import reasoning_text

_ROLES = ("user", "assistant", "system", "developer")
# The ids that this service gives to items: the request's id and the item's place.
_OWN_ID = re.compile(r"(?:msg|rs|fc|ctc)_[0-9a-f]{8}-[0-9a-f-]{27}_\d+")
_NOT_FOR_MODELS = frozenset({"additional_tools"})


class InputReader:
    """Reads one input.

    ``messages`` are the turns, ``extras`` what other APIs leave out, and ``sealed`` is whether
    an item holds reasoning under a seal of this service.
    """

    def __init__(self, tools: ResponseTools) -> None:
        self._tools = tools
        self._turns: list[tuple[str, list[Part]]] = []
        self.extras: list[str] = []
        self.sealed = False
        self._call_seal = ""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The turns that have been read."""
        return tuple(Message(role, tuple(parts)) for role, parts in self._turns)  # type: ignore[arg-type]

    def read(self, fields: BodyReader) -> None:
        """Read ``input``, a string or an array of items."""
        items = fields.raw("input")
        if items is None or isinstance(items, str):
            if items:
                self._turns.append(("user", [Text(items)]))
            return
        self.extras.extend(dict.fromkeys(hosted_calls(fields.array("input"))))
        for number, value in enumerate(fields.array("input")):
            plain = Message.of_plain(value)
            if plain is None:
                self._item(fields.item("input", number, value))
            elif plain.role == "assistant":
                self._assistant().extend(plain.parts)
            else:
                self._turns.append(("user", list(plain.parts)))

    def _item(self, item: BodyReader) -> None:
        kind = item.text("type", "message")
        body = item.mapping_itself
        if kind == "message":
            self._message(item)
        elif kind == "function_call":
            call_id = item.text("call_id") or item.text("id", required=True)
            self._call(ToolCall(call_id, self._tools.name_of(body), item.text("arguments")))
        elif kind.endswith("_call_output"):
            self._results().append(_result(item))
        elif (past := past_call(body)) is not None:
            name, arguments, freeform = past
            call_id = item.text("call_id") or item.text("id")
            self._call(ToolCall(call_id, name, arguments, freeform=freeform))
        elif kind == "reasoning":
            self._reasoning(item)
        elif kind == "item_reference":
            self._reference(item)
        elif kind not in _NOT_FOR_MODELS and f"input.{kind}" not in self.extras:
            self._turns.append(("user", [Native(kind)]))

    def _message(self, item: BodyReader) -> None:
        if not (item.has("role") or item.has("content")):
            raise item.error("role", "is required.", "missing_required_parameter")
        role = item.choice("role", _ROLES, "user")
        parts = list(_content(item, "content"))
        if role == "assistant":
            self._assistant().extend(parts)
        else:
            self._turns.append(("system" if role == "developer" else role, parts))

    def _call(self, call: ToolCall) -> None:
        """Add a call, with the reasoning that a sealed item before it holds."""
        sealed, self._call_seal = self._call_seal, ""
        if sealed:
            signature, author = unseal_call(sealed)
            call = replace(call, signature=signature, signed_by=author)
        self._assistant().append(call)

    def _reasoning(self, item: BodyReader) -> None:
        encrypted = item.text("encrypted_content")
        if is_seal(encrypted):
            self.sealed = True
            thinking = unseal(encrypted)
            if thinking is None:
                self._call_seal = encrypted
            else:
                self._assistant().append(thinking)
            return
        body = item.mapping_itself
        self._assistant().append(Thinking(reasoning_text(body), details=dict(body)))

    def _reference(self, item: BodyReader) -> None:
        """Leave out an item of this service that is not known any more."""
        if _OWN_ID.fullmatch(item.text("id")):
            self.extras.append("input.item_reference")
            self.sealed = True
        else:
            self._turns.append(("user", [Native("item_reference")]))

    def _assistant(self) -> list[Part]:
        """Return the parts of the model's turn: calls and the text before them are one turn."""
        if not self._turns or self._turns[-1][0] != "assistant":
            self._turns.append(("assistant", []))
        return self._turns[-1][1]

    def _results(self) -> list[Part]:
        """Return the parts of the turn that holds the results of tools."""
        last = self._turns[-1] if self._turns else ("", [])
        if last[0] != "user" or not all(isinstance(part, ToolResult) for part in last[1]):
            self._turns.append(("user", []))
        return self._turns[-1][1]


def _result(item: BodyReader) -> ToolResult:
    content: list[Text | Image | File] = []
    output = item.raw("output")
    if isinstance(output, dict):
        inner = output.get("content", output.get("output", output))
        text = inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False)
        content.append(Text(text))
    else:
        content.extend(
            part if isinstance(part, (Text, Image, File)) else Text("")
            for part in _content(item, "output")
        )
    failed = item.text("status") in {"failed", "incomplete"}
    return ToolResult(item.text("call_id") or item.text("id"), tuple(content), failed)


def _content(item: BodyReader, name: str) -> Iterator[Part]:
    value = item.raw(name)
    if isinstance(value, str):
        yield Text(value)
        return
    for part in item.objects(name):
        yield _part(part)


def _part(part: BodyReader) -> Part:
    kind = part.text("type", "input_text")
    if kind in {"input_text", "output_text", "text", "summary_text", "reasoning_text"}:
        return Text(part.text("text"))
    if kind == "refusal":
        return Text(part.text("refusal"))
    if kind in {"input_image", "computer_screenshot"}:
        return _image(part)
    if kind == "input_file":
        return _file(part)
    if kind == "input_audio" and isinstance(audio := part.raw("input_audio"), dict):
        return File(f"audio/{audio.get('format') or 'wav'}", str(audio.get("data") or ""))
    return Native(kind)


def _image(part: BodyReader) -> Part:
    detail = part.text("detail")
    url = part.raw("image_url")
    url = url.get("url") if isinstance(url, dict) else url
    if not isinstance(url, str) or not url:
        return Image(file_id=part.text("file_id"), detail=detail)
    media_type, data = of_data_url(url)
    if data:
        return attached(media_type or "image/png", data, detail=detail)
    return Image(url=url, detail=detail)


def _file(part: BodyReader) -> Part:
    name = part.text("filename")
    data = part.text("file_data")
    if data:
        media_type, content = of_data_url(data)
        return attached(type_of_file(media_type, name), content or data, name=name)
    if url := part.text("file_url"):
        return File(url=url, name=name)
    return File(file_id=part.text("file_id"), name=name)


def own_response_id(value: Any) -> bool:
    """Return whether ``value`` is the id of a response that this service gave."""
    return isinstance(value, str) and bool(re.fullmatch(r"resp_[0-9a-f]{8}-[0-9a-f-]{27}", value))

"""Read the messages of a chat completion request.

Format: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from optimizer.api.http.body_reader import BodyReader
from optimizer.api.openai.chat_input.content import read_content, read_mark
from optimizer.domain.reasoning_seals import is_seal, unseal, unseal_call
from providers.chat import (
    File,
    Image,
    Message,
    Native,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from providers.openai.answer import signature_of
from providers.openai.repair import arguments_text, text_of

_REASONING = ("reasoning_details", "reasoning_content", "reasoning")


class MessageReader:
    """Reads the messages in order; consecutive tool results become one user turn.

    ``sealed`` is true once reasoning was read that has our seal, or none at all.
    """

    def __init__(self) -> None:
        self.sealed = False
        self._turns: list[Message] = []
        self._results: list[Part] = []
        self._legacy_calls = 0

    def read(self, fields: BodyReader) -> tuple[Message, ...]:
        """Return the turns of the field ``messages``."""
        if not fields.array("messages"):
            fields.required("messages")
            raise fields.error("messages", "must contain at least one message.", "empty_array")
        for number, value in enumerate(fields.array("messages")):
            plain = Message.of_plain(value)
            if plain is not None:
                self._end_results()
                self._turns.append(plain)
                continue
            message = fields.item("messages", number, value)
            role = message.text("role", required=True)
            if role == "tool":
                self._results.append(_result(message, message.text("tool_call_id")))
            elif role == "function":
                # The older form of a result: it belongs to the last call.
                self._results.append(_result(message, self._legacy_id()))
            else:
                self._end_results()
                self._turns.append(self._turn(message, role))
        self._end_results()
        return tuple(self._turns)

    def _end_results(self) -> None:
        if self._results:
            self._turns.append(Message("user", tuple(self._results)))
            self._results = []

    def _legacy_id(self) -> str:
        return f"call_{self._legacy_calls}"

    def _turn(self, message: BodyReader, role: str) -> Message:
        name = message.text("name")
        content = message.raw("content")
        if role == "user" and isinstance(content, str) and not message.has("cache_control"):
            return Message("user", (Text(content),), name)
        if role in {"system", "developer"}:
            return Message("system", tuple(read_content(message)), name)
        if role == "user":
            return Message("user", tuple(read_content(message)), name)
        if role == "assistant":
            return Message("assistant", tuple(self._assistant(message)), name)
        return Message("user", (Native("unknown role"),), name)

    def _assistant(self, message: BodyReader) -> Iterator[Part]:
        if any(message.has(name) for name in _REASONING):
            yield from self._thoughts(message)
        for part in read_content(message):
            self.sealed |= isinstance(part, Thinking)
            yield part
        if refusal := message.raw("refusal"):
            yield Text(text_of(refusal))
        for call in message.objects("tool_calls"):
            yield self._call(call)
        if isinstance(legacy := message.raw("function_call"), dict):
            self._legacy_calls += 1
            arguments = arguments_text(legacy.get("arguments"))
            yield ToolCall(self._legacy_id(), text_of(legacy.get("name")), arguments)
        if message.has("audio"):
            yield Native("audio")

    def _thoughts(self, message: BodyReader) -> Iterator[Thinking]:
        """Yield the reasoning: what has our seal with its author, all else as it stands."""
        self.sealed = True
        details = message.raw("reasoning_details")
        details = details if isinstance(details, list) else []
        seals = [text for entry in details if is_seal(text := _seal_of(entry))]
        if seals:
            # The text beside a seal is the same reasoning again.
            yield from filter(None, map(unseal, seals))
            return
        given = message.raw("reasoning_content") or message.raw("reasoning") or ""
        text = text_of(given) or text_of(details)
        if text or details:
            yield Thinking(text, details=details or None)

    def _call(self, call: BodyReader) -> Part:
        call_id = call.text("id")
        mark = read_mark(call)
        if isinstance(custom := call.raw("custom"), dict):
            arguments = arguments_text({"input": text_of(custom.get("input"))})
            return ToolCall(
                call_id, text_of(custom.get("name")), arguments, freeform=True, cache=mark
            )
        if call.text("type", "function") != "function":
            return Native(f"{call.text('type')} call")
        function = call.object("function")
        if function is None:
            raise call.error("function", "is required.", "missing_required_parameter")
        signature, author = unseal_call(signature_of({"extra_content": call.raw("extra_content")}))
        self.sealed |= author != ("", "")
        return ToolCall(
            call_id,
            function.text("name", required=True),
            arguments_text(function.raw("arguments")),
            signature,
            author,
            cache=mark,
        )


def _seal_of(entry: Any) -> str:
    value = (entry.get("signature") or entry.get("data")) if isinstance(entry, dict) else None
    return value if isinstance(value, str) else ""


def _result(message: BodyReader, call_id: str) -> ToolResult | Native:
    content = []
    for part in read_content(message):
        if isinstance(part, Native):
            return part
        if isinstance(part, (Text, Image, File)):
            content.append(part)
    return ToolResult(call_id, tuple(content))

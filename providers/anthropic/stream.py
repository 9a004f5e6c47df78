"""Read Anthropic's stream: the server-sent events of one message.

Wire: https://docs.anthropic.com/en/api/messages-streaming
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from providers.anthropic.answer import (
    FINISH,
    MessageCallNames,
    arguments_of,
    extra_fields,
    finish_reason,
    fitting_stop,
    kind_of,
    mend_call,
    text_of,
)
from providers.errors import MalformedResponse, ProviderError, error_for_status
from providers.events import (
    Event,
    Finished,
    OpaqueBlock,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolCallStarted,
    UsageReported,
)
from providers.failed_endings import failed_ending, is_failure
from providers.usage import UsageOfStream

# https://docs.anthropic.com/en/api/errors
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_DELTAS = (
    ("text", "text_delta"),
    ("partial_json", "input_json_delta"),
    ("thinking", "thinking_delta"),
    ("signature", "signature_delta"),
)
_KNOWN_BLOCKS = frozenset({"text", "tool_use", "thinking", "redacted_thinking"})
_NO_NAMES = MessageCallNames()


@dataclass(slots=True)
class _Call:
    """A call: its number among the calls, whether it has arguments yet, and whether it is whole.

    ``given`` are those that the block began with; what follows replaces them, as in Anthropic's
    SDK: https://github.com/anthropics/anthropic-sdk-python/blob/main/src/anthropic/lib/streaming/_messages.py
    """

    number: int
    given: str = "{}"
    has_arguments: bool = False
    whole: bool = False


class AnthropicStream:
    """Reads one stream. ``complete`` is true once the whole answer has arrived.

    It reads what the documents promise and what other servers of this wire send: blocks
    without an index, texts that are lists or absent, endings that are at odds with the calls.
    """

    def __init__(self, provider: str, names: MessageCallNames = _NO_NAMES) -> None:
        self._provider = provider
        self._names = names
        self._usage = UsageOfStream()
        self._calls: dict[int, _Call] = {}
        self._foreign: dict[int, dict[str, Any]] = {}
        self._foreign_json: dict[int, list[str]] = {}
        self._index = -1
        self._started = Started()
        self._ended = False
        self._failed = ""
        self.complete = False
        self.repaired = False

    def feed(self, name: str, data: dict[str, Any] | None) -> Iterator[Event]:
        """Yield the events of one message.

        Raises :class:`ProviderError` if the message reports an error.
        """
        self.repaired = False
        if data is None:
            return
        kind = data.get("type") or name
        if kind == "content_block_delta":
            yield from self._delta(self._index_of(data), _mapping(data.get("delta")))
        elif kind == "content_block_start":
            yield from self._start(self._index_of(data, new=True), data.get("content_block"))
        elif kind == "content_block_stop":
            yield from self._stop(self._index_of(data))
        elif kind == "message_start":
            message = _mapping(data.get("message"))
            self._started = Started(text_of(message.get("id")) or None, dict(extra_fields(message)))
            yield self._started
            yield from self._usage_of(data, ended=False)
        elif kind == "message_delta":
            yield from self._message_delta(data)
        elif kind == "message_stop":
            yield from self._message_stop(data)
        elif kind == "error":
            raise self._error(data)
        # Pings and unknown messages are ignored, as Anthropic's documentation requires.

    def _index_of(self, data: Mapping[str, Any], *, new: bool = False) -> int:
        """Return the index of a message's block; servers leave it out where it is plain."""
        index = data.get("index")
        if isinstance(index, int) and not isinstance(index, bool):
            self._index = index
        elif new or self._index < 0:
            self._index += 1
        return self._index

    def _usage_of(self, data: dict[str, Any], *, ended: bool) -> Iterator[Event]:
        # The counts are cumulative, and the last report omits those that did not change.
        if usage := self._usage.add(data, ended=ended):
            if self._failed:
                raise failed_ending(self._provider, self._failed, usage)
            yield UsageReported(usage)

    def _message_delta(self, data: dict[str, Any]) -> Iterator[Event]:
        delta = _mapping(data.get("delta"))
        reason = text_of(delta.get("stop_reason"))
        late = dict(extra_fields({**delta, **{k: v for k, v in data.items() if k != "delta"}}))
        late.pop("stop_reason", None)
        if late:
            extra = {**(self._started.extra or {}), **late}
            self._started = Started(self._started.response_id, extra)
            yield self._started
        if is_failure(reason, called=bool(self._calls)):
            # The usage comes with it, or at the end.
            self._failed = reason
            yield from self._usage_of(data, ended=True)
            return
        called = bool(self._calls)
        if reason or (called and all(call.whole for call in self._calls.values())):
            fitting = fitting_stop(reason, called=called)
            if fitting != reason:
                data["delta"] = delta
                delta["stop_reason"] = reason = fitting
                self.repaired = True
        try:
            yield from self._usage_of(data, ended=True)
        finally:
            if reason:
                yield from self._end(reason, text_of(delta.get("stop_sequence")) or None)

    def _message_stop(self, data: dict[str, Any]) -> Iterator[Event]:
        yield from self._usage_of(data, ended=True)
        if self._failed:
            raise failed_ending(self._provider, self._failed, None)
        if not self._ended:
            yield from self._end("", None)
        self.complete = True

    def _end(self, reason: str, stop_sequence: str | None) -> Iterator[Event]:
        for index in self._calls:
            yield from self._without_arguments(index)
        self._ended = self.complete = True
        finish = finish_reason(reason or "end_turn", called=bool(self._calls))
        own = "" if not reason or reason in FINISH else reason
        yield Finished(finish, stop_sequence=stop_sequence, own=own)

    def _start(self, index: int, value: Any) -> Iterator[Event]:
        if not isinstance(value, dict):
            return
        kind = kind_of(value)
        if kind == "tool_use":
            yield from self._call(index, value)
        elif kind == "redacted_thinking":
            yield ThinkingDelta(redacted=text_of(value.get("data")), block=index)
        elif kind == "text":
            if text := text_of(value.get("text")):
                yield TextDelta(text, block=index)
        elif kind == "thinking":
            text, signature = text_of(value.get("thinking")), text_of(value.get("signature"))
            if text or signature:
                yield ThinkingDelta(text, signature, block=index)
        else:
            self._foreign[index] = dict(value)

    def _call(self, index: int, block: dict[str, Any]) -> Iterator[Event]:
        name = self._names.inner(text_of(block.get("name")))
        if not name:
            return
        self.repaired = mend_call(block, index)
        call = self._calls[index] = _Call(len(self._calls))
        freeform = self._names.is_freeform(name)
        yield ToolCallStarted(call.number, text_of(block["id"]), name, freeform=freeform)
        if block["input"]:
            call.given = json.dumps(block["input"])

    def _delta(self, index: int, delta: dict[str, Any]) -> Iterator[Event]:
        kind = self._kind_of_delta(delta)
        if index in self._foreign:
            if kind == "input_json_delta":
                pieces = self._foreign_json.setdefault(index, [])
                pieces.append(text_of(delta.get("partial_json")))
        elif kind == "text_delta":
            if text := text_of(delta.get("text")):
                yield TextDelta(text, block=index)
            self._mend_text(delta, "text")
        elif kind == "input_json_delta":
            yield from self._arguments(index, delta)
        elif kind == "thinking_delta":
            if text := text_of(delta.get("thinking")):
                yield ThinkingDelta(text, block=index)
            self._mend_text(delta, "thinking")
        elif kind == "signature_delta":
            yield ThinkingDelta(signature=text_of(delta.get("signature")), block=index)
        elif kind is not None:
            yield OpaqueBlock("anthropic", delta, attached=True)

    def _kind_of_delta(self, delta: dict[str, Any]) -> Any:
        """Return the type of a delta, also where the server left it out."""
        if "type" not in delta:
            kinds = (kind for name, kind in _DELTAS if name in delta)
            if (kind := next(kinds, None)) is not None:
                delta["type"], self.repaired = kind, True
        return delta.get("type")

    def _mend_text(self, delta: dict[str, Any], name: str) -> None:
        if not isinstance(delta.get(name), str):
            delta[name] = text_of(delta.get(name))
            self.repaired = True

    def _arguments(self, index: int, delta: dict[str, Any]) -> Iterator[Event]:
        piece = delta.get("partial_json")
        if not isinstance(piece, str):
            delta["partial_json"] = piece = "" if piece is None else arguments_of(piece)
            self.repaired = True
        call = self._calls.get(index)
        if call is not None and piece:
            call.has_arguments = True
            yield ToolArguments(call.number, piece)

    def _stop(self, index: int) -> Iterator[Event]:
        yield from self._without_arguments(index)
        if (call := self._calls.get(index)) is not None:
            call.whole = True
        block = self._foreign.pop(index, None)
        if block is not None:
            if input_json := "".join(self._foreign_json.pop(index, ())):
                try:
                    block["input"] = json.loads(input_json)
                except ValueError:
                    block["input"] = {"arguments": input_json}
            yield OpaqueBlock("anthropic", block)

    def _without_arguments(self, index: int) -> Iterator[Event]:
        """Yield the arguments that a call began with, if none followed: they are JSON then."""
        call = self._calls.get(index)
        if call is not None and not call.has_arguments:
            call.has_arguments = True
            yield ToolArguments(call.number, call.given)

    def _error(self, data: Mapping[str, Any]) -> ProviderError:
        status = _STATUS.get(text_of(_mapping(data.get("error")).get("type")))
        if status is None:
            return MalformedResponse(self._provider, "ended the stream with an unknown error")
        return error_for_status(self._provider, status)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}

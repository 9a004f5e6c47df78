"""Writes a stream in the format of Anthropic's Messages API: one block after the other.

Format: https://docs.anthropic.com/en/api/messages-streaming
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from optimizer.api.anthropic.answer import message_id, stop_reason, usage_body
from optimizer.api.anthropic.errors import error_body
from optimizer.api.compat.stream_encoder import stream_summary
from optimizer.api.http.errors import Failure
from optimizer.api.http.sse import sse
from optimizer.domain.result import CompletionResult
from providers.completion import Usage
from providers.events import (
    AnswerEvent,
    Finished,
    OpaqueBlock,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolCallStarted,
    UsageReported,
)

_BlockKey = tuple[str, int]


class MessageStreamEncoder:
    """Encodes the events of one message.

    ``input_tokens`` is an estimate: this API reports the input at the start of the stream,
    before most providers have counted it.
    """

    def __init__(self, request_id: object, model: str, *, input_tokens: int) -> None:
        self._request_id = request_id
        self._model = model
        self._usage = Usage(input_tokens, 1)
        self._started = False
        self._index = -1
        self._open: _BlockKey | None = None
        self._arguments: list[str] = []
        self._waiting: list[AnswerEvent] = []
        self._finished = Finished("other")

    def encode(self, event: AnswerEvent) -> Iterator[bytes]:
        """Yield the server-sent events for ``event``."""
        if isinstance(event, Started):
            return
        if isinstance(event, UsageReported):
            if not self._started:
                self._usage = event.usage
            return
        if not self._started:
            yield from self._begin()
        if isinstance(event, Finished):
            self._finished = event
        elif self._must_wait(event):
            self._waiting.append(event)
        else:
            yield from self._content(event)

    def finish(self, result: CompletionResult) -> Iterator[bytes]:
        """Yield the events that end the stream, with usage and cost."""
        if not self._started:
            yield from self._begin()
        yield from self._release()
        yield from self._close_block()
        finished = self._finished
        yield sse(
            {
                "type": "message_delta",
                "delta": {
                    "stop_reason": stop_reason(
                        finished.own, finished.reason, finished.stop_sequence
                    ),
                    "stop_sequence": finished.stop_sequence,
                },
                "usage": usage_body(result.completion.usage),
                "optimizer": stream_summary(result),
            },
            "message_delta",
        )
        yield sse({"type": "message_stop"}, "message_stop")

    def error(self, failure: Failure) -> Iterator[bytes]:
        """Yield the event that reports ``failure``."""
        yield sse(error_body(failure, self._request_id), "error")

    def _begin(self) -> Iterator[bytes]:
        self._started = True
        yield sse(
            {
                "type": "message_start",
                "message": {
                    "id": message_id(self._request_id),
                    "type": "message",
                    "role": "assistant",
                    "model": self._model,
                    "content": [],
                    "stop_reason": None,
                    "stop_sequence": None,
                    "usage": usage_body(self._usage),
                },
            },
            "message_start",
        )
        yield sse({"type": "ping"}, "ping")

    def _must_wait(self, event: AnswerEvent) -> bool:
        """Return whether a tool's arguments are incomplete and ``event`` is for another block.

        Other APIs may interleave parallel calls. In this format blocks cannot overlap.
        """
        if self._open is None or self._open[0] != "tool_use" or _block_key(event) == self._open:
            return False
        return bool(self._waiting) or not _is_complete("".join(self._arguments))

    def _release(self) -> Iterator[bytes]:
        """Yield the waiting events, with the pieces of each block together."""
        waiting, self._waiting = self._waiting, []
        order = {key: place for place, key in reversed(list(enumerate(map(_block_key, waiting))))}
        for event in sorted(waiting, key=lambda event: order[_block_key(event)]):
            yield from self._content(event)

    def _content(self, event: AnswerEvent) -> Iterator[bytes]:
        if isinstance(event, OpaqueBlock):
            yield from self._opaque(event)
            return
        key = _block_key(event)
        if key != self._open or (isinstance(event, ThinkingDelta) and event.redacted):
            yield from self._close_block()
            yield from self._open_block(key, event)
        if isinstance(event, ToolArguments):
            self._arguments.append(event.text)
            yield self._delta({"type": "input_json_delta", "partial_json": event.text})
        elif isinstance(event, (TextDelta, RefusalDelta)):
            if event.text:
                yield self._delta({"type": "text_delta", "text": event.text})
        elif isinstance(event, ThinkingDelta):
            if event.text:
                yield self._delta({"type": "thinking_delta", "thinking": event.text})
            if event.signature:
                yield self._delta({"type": "signature_delta", "signature": event.signature})

    def _opaque(self, event: OpaqueBlock) -> Iterator[bytes]:
        if event.wire != "anthropic":
            return
        if event.attached and self._open is not None:
            yield self._delta(dict(event.value))
        elif not event.attached:
            yield from self._close_block()
            self._index += 1
            yield self._start(dict(event.value))
            self._open = ("opaque", self._index)
            yield from self._close_block()

    def _open_block(self, key: _BlockKey, event: AnswerEvent) -> Iterator[bytes]:
        self._index += 1
        self._open = key
        self._arguments = []
        if isinstance(event, ToolCallStarted):
            yield self._start({"type": "tool_use", "id": event.id, "name": event.name, "input": {}})
        elif isinstance(event, ThinkingDelta):
            if event.redacted:
                yield self._start({"type": "redacted_thinking", "data": event.redacted})
            else:
                yield self._start({"type": "thinking", "thinking": "", "signature": ""})
        else:
            yield self._start({"type": "text", "text": ""})

    def _start(self, block: dict[str, Any]) -> bytes:
        body = {"type": "content_block_start", "index": self._index, "content_block": block}
        return sse(body, "content_block_start")

    def _delta(self, delta: dict[str, Any]) -> bytes:
        body = {"type": "content_block_delta", "index": self._index, "delta": delta}
        return sse(body, "content_block_delta")

    def _close_block(self) -> Iterator[bytes]:
        if self._open is not None:
            self._open = None
            yield sse({"type": "content_block_stop", "index": self._index}, "content_block_stop")


def _block_key(event: AnswerEvent) -> _BlockKey:
    """Return the key of the block to which ``event`` belongs."""
    if isinstance(event, (ToolCallStarted, ToolArguments)):
        return ("tool_use", event.index)
    if isinstance(event, ThinkingDelta):
        return ("thinking", 0)
    return ("text", 0)


def _is_complete(arguments: str) -> bool:
    try:
        json.loads(arguments)
    except ValueError:
        return False
    return True

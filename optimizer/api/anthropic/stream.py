"""Writes a stream in the format of Anthropic's Messages API: one block after the other.

Format: https://docs.anthropic.com/en/api/messages-streaming
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from optimizer.api.anthropic.answer import message_id, stop_reason, usage_body
from optimizer.api.anthropic.errors import error_body
from optimizer.api.anthropic.reasoning import Author, Thought
from optimizer.api.compat.stream_encoder import stream_summary
from optimizer.api.http.failure import Failure
from optimizer.api.http.sse import sse
from optimizer.domain.result import CompletionResult
from providers.chat import ToolCall
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
    before most providers have counted it. ``author`` returns who answers; it is known from the
    first event on.
    """

    def __init__(
        self,
        request_id: object,
        model: str,
        author: Callable[[], Author],
        *,
        input_tokens: int,
    ) -> None:
        self._request_id = request_id
        self._model = model
        self._author = author
        self._thought: Thought | None = None
        self._called = False
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
                        finished.own if self._author().own else "",
                        finished.reason,
                        finished.stop_sequence,
                        called=self._called,
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
        if key != self._open:
            yield from self._close_block()
            self._open = key
            yield from self._open_block(event)
        if isinstance(event, ToolArguments):
            self._arguments.append(event.text)
            yield self._delta({"type": "input_json_delta", "partial_json": event.text})
        elif isinstance(event, (TextDelta, RefusalDelta)):
            if event.text:
                yield self._delta({"type": "text_delta", "text": event.text})
        elif isinstance(event, ThinkingDelta) and self._thought is not None:
            yield from self._think(event, self._thought)

    def _think(self, event: ThinkingDelta, thought: Thought) -> Iterator[bytes]:
        if event.text:
            if not thought.shown:
                thought.shown = True
                yield self._next({"type": "thinking", "thinking": "", "signature": ""})
            yield self._delta({"type": "thinking_delta", "thinking": event.text})
        thought.add(event)

    def _opaque(self, event: OpaqueBlock) -> Iterator[bytes]:
        if event.wire != "anthropic":
            return
        if event.attached and self._open is not None:
            yield self._delta(dict(event.value))
        elif not event.attached:
            yield from self._close_block()
            yield from self._whole(dict(event.value))

    def _open_block(self, event: AnswerEvent) -> Iterator[bytes]:
        """Yield the start of the block of ``event``; that of reasoning waits for its text."""
        if isinstance(event, ToolCallStarted):
            self._called = True
            self._arguments = []
            call = ToolCall(event.id, event.name, "", event.signature)
            if (sealed := self._author().before_call(call)) is not None:
                yield from self._whole(sealed)
            block = {"type": "tool_use", "id": event.id, "name": event.name, "input": {}}
            yield self._next(block)
        elif isinstance(event, ThinkingDelta):
            self._thought = Thought()
        else:
            yield self._next({"type": "text", "text": ""})

    def _whole(self, block: dict[str, Any]) -> Iterator[bytes]:
        yield self._next(block)
        yield self._end()

    def _next(self, block: dict[str, Any]) -> bytes:
        self._index += 1
        return self._start(block)

    def _end(self) -> bytes:
        return sse({"type": "content_block_stop", "index": self._index}, "content_block_stop")

    def _start(self, block: dict[str, Any]) -> bytes:
        body = {"type": "content_block_start", "index": self._index, "content_block": block}
        return sse(body, "content_block_start")

    def _delta(self, delta: dict[str, Any]) -> bytes:
        body = {"type": "content_block_delta", "index": self._index, "delta": delta}
        return sse(body, "content_block_delta")

    def _close_block(self) -> Iterator[bytes]:
        if self._open is None:
            return
        thought, self._thought, self._open = self._thought, None, None
        if thought is None:
            yield self._end()
            return
        block = self._author().block(thought.thinking)
        if thought.shown:
            assert block is not None
            yield self._delta({"type": "signature_delta", "signature": block["signature"]})
            yield self._end()
        elif block is not None and block["type"] == "thinking":
            signature = block["signature"]
            yield self._next({**block, "signature": ""})
            yield self._delta({"type": "signature_delta", "signature": signature})
            yield self._end()
        elif block is not None:
            yield from self._whole(block)


def _block_key(event: AnswerEvent) -> _BlockKey:
    """Return the key of the block to which ``event`` belongs."""
    if isinstance(event, (ToolCallStarted, ToolArguments)):
        return ("tool_use", event.index)
    if isinstance(event, ThinkingDelta):
        return ("thinking", event.block)
    return ("text", event.block if isinstance(event, TextDelta) else 0)


def _is_complete(arguments: str) -> bool:
    try:
        json.loads(arguments)
    except ValueError:
        return False
    return True

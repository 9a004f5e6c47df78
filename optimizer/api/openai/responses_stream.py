"""Writes a stream in the format of OpenAI's Responses: items that may grow in any order.

Format: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from optimizer.api.compat.stream_encoder import stream_summary
from optimizer.api.http.errors import Failure
from optimizer.api.http.sse import sse
from optimizer.api.openai.errors import error_body
from optimizer.api.openai.responses_answer import (
    ResponseFrame,
    call_item,
    message_item,
    reasoning_item,
    text_content,
)
from optimizer.domain.result import CompletionResult
from providers.assembly import TextBuffer
from providers.events import (
    AnswerEvent,
    RefusalDelta,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolCallStarted,
)

_ItemKey = tuple[str, int]


@dataclass(slots=True)
class _Item:
    """An output item that is still growing; ``buffer`` holds its text or arguments."""

    kind: str
    id: str
    index: int
    call_id: str = ""
    name: str = ""
    buffer: TextBuffer = field(default_factory=TextBuffer)
    logprobs: list[Any] = field(default_factory=list)

    @property
    def text(self) -> str:
        return self.buffer.text

    def body(self, status: str) -> dict[str, Any]:
        if self.kind == "fc":
            return call_item(self.id, self.call_id, self.name, self.text, status)
        if self.kind == "rs":
            return reasoning_item(self.id, self.text)
        return message_item(self.id, [] if status == "in_progress" else [self.part()], status)

    def part(self) -> dict[str, Any]:
        if self.kind == "refusal":
            return {"type": "refusal", "refusal": self.text}
        if self.kind == "rs":
            return {"type": "reasoning_text", "text": self.text}
        return text_content(self.text, self.logprobs)


# For each kind of item: the name of its delta events, and the field of the complete text.
_DELTAS = {
    "msg": ("output_text", "text"),
    "refusal": ("refusal", "refusal"),
    "rs": ("reasoning_text", "text"),
    "fc": ("function_call_arguments", "arguments"),
}


class ResponseStreamEncoder:
    """Encodes the events of one response."""

    def __init__(self, frame: ResponseFrame, model: str) -> None:
        self._frame = frame
        self._model = model
        self._sequence = 0
        self._started = False
        self._items: dict[_ItemKey, _Item] = {}

    def encode(self, event: AnswerEvent) -> Iterator[bytes]:
        """Yield the server-sent events for ``event``."""
        if not self._started:
            yield from self._begin()
        if isinstance(event, ToolCallStarted):
            item = self._new("fc", event.index)
            item.call_id, item.name = event.id, event.name
            yield from self._added(item)
        elif isinstance(event, ToolArguments):
            yield self._delta(self._items["fc", event.index], event.text)
        elif isinstance(event, TextDelta) and event.text:
            yield from self._text_delta("msg", event.text, event.logprobs)
        elif isinstance(event, RefusalDelta):
            yield from self._text_delta("refusal", event.text)
        elif isinstance(event, ThinkingDelta) and event.text:
            yield from self._text_delta("rs", event.text)

    def finish(self, result: CompletionResult) -> Iterator[bytes]:
        """Yield the events that complete the items and end the stream."""
        if not self._started:
            yield from self._begin()
        output = []
        for item in self._items.values():
            yield from self._done(item)
            output.append(item.body("completed"))
        response = {**self._frame.ended(result, output), "optimizer": stream_summary(result)}
        yield self._event(f"response.{response['status']}", response=response)

    def error(self, failure: Failure) -> Iterator[bytes]:
        """Yield the event that reports ``failure``."""
        error = error_body(failure)["error"]
        # The API has the error's fields next to its type; its SDKs look for them in "error".
        details = {k: error[k] for k in ("code", "message", "param")}
        yield self._event("error", **details, error=error)

    def _begin(self) -> Iterator[bytes]:
        self._started = True
        body = self._frame.body(self._model, "in_progress", [])
        yield self._event("response.created", response=body)
        yield self._event("response.in_progress", response=body)

    def _text_delta(
        self, kind: str, text: str, logprobs: list[Any] | None = None
    ) -> Iterator[bytes]:
        item = self._items.get((kind, 0))
        if item is None:
            item = self._new(kind, 0)
            yield from self._added(item)
        item.logprobs.extend(logprobs or ())
        yield self._delta(item, text, logprobs)

    def _new(self, kind: str, number: int) -> _Item:
        index = len(self._items)
        prefix = "msg" if kind == "refusal" else kind
        item = _Item(kind, self._frame.item_id(prefix, index), index)
        self._items[kind, number] = item
        return item

    def _added(self, item: _Item) -> Iterator[bytes]:
        body = item.body("in_progress")
        yield self._event("response.output_item.added", output_index=item.index, item=body)
        if item.kind != "fc":
            yield self._event("response.content_part.added", **self._place(item), part=item.part())

    def _delta(self, item: _Item, text: str, logprobs: list[Any] | None = None) -> bytes:
        item.buffer.write(text)
        more = {"logprobs": logprobs or []} if item.kind == "msg" else {}
        name = f"response.{_DELTAS[item.kind][0]}.delta"
        return self._event(name, **self._place(item), delta=text, **more)

    def _done(self, item: _Item) -> Iterator[bytes]:
        name, whole = _DELTAS[item.kind]
        more: dict[str, Any] = {whole: item.text}
        if item.kind == "msg":
            more["logprobs"] = item.logprobs
        if item.kind == "fc":
            more["name"] = item.name
        yield self._event(f"response.{name}.done", **self._place(item), **more)
        if item.kind != "fc":
            yield self._event("response.content_part.done", **self._place(item), part=item.part())
        body = item.body("completed")
        yield self._event("response.output_item.done", output_index=item.index, item=body)

    @staticmethod
    def _place(item: _Item) -> dict[str, Any]:
        place: dict[str, Any] = {"item_id": item.id, "output_index": item.index}
        if item.kind != "fc":
            place["content_index"] = 0
        return place

    def _event(self, kind: str, **fields: Any) -> bytes:
        body = {"type": kind, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return sse(body, kind)

"""A stream as OpenAI's Responses spell it: items, each of which may go on at any time.

Wire: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from optimizer.api.compat.stream_encoder import stream_summary
from optimizer.api.http.failures import Failure
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
    Event,
    RefusalDelta,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolCallStarted,
)

_Key = tuple[str, int]


@dataclass(slots=True)
class _Item:
    """An output item in the making; ``said`` is its text or arguments."""

    kind: str
    id: str
    index: int
    call_id: str = ""
    name: str = ""
    said: TextBuffer = field(default_factory=TextBuffer)
    logprobs: list[Any] = field(default_factory=list)

    @property
    def text(self) -> str:
        return self.said.text

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


# By kind of item: the name of its deltas' events, and what the last of them calls the whole.
_DELTAS = {
    "msg": ("output_text", "text"),
    "refusal": ("refusal", "refusal"),
    "rs": ("reasoning_text", "text"),
    "fc": ("function_call_arguments", "arguments"),
}


class ResponseStreamEncoder:
    """The events of one response."""

    def __init__(self, frame: ResponseFrame, model: str) -> None:
        self._frame = frame
        self._model = model
        self._sequence = 0
        self._begun = False
        self._items: dict[_Key, _Item] = {}

    def encode(self, event: Event) -> Iterator[bytes]:
        if not self._begun:
            yield from self._begin()
        if isinstance(event, ToolCallStarted):
            item = self._new("fc", event.index)
            item.call_id, item.name = event.id, event.name
            yield from self._added(item)
        elif isinstance(event, ToolArguments):
            yield self._delta(self._items["fc", event.index], event.text)
        elif isinstance(event, TextDelta) and event.text:
            yield from self._spoken("msg", event.text, event.logprobs)
        elif isinstance(event, RefusalDelta):
            yield from self._spoken("refusal", event.text)
        elif isinstance(event, ThinkingDelta) and event.text:
            yield from self._spoken("rs", event.text)

    def finish(self, result: CompletionResult) -> Iterator[bytes]:
        if not self._begun:
            yield from self._begin()
        output = []
        for item in self._items.values():
            yield from self._done(item)
            output.append(item.body("completed"))
        response = {**self._frame.ended(result, output), "optimizer": stream_summary(result)}
        yield self._said(f"response.{response['status']}", response=response)

    def error(self, failure: Failure) -> Iterator[bytes]:
        error = error_body(failure)["error"]
        # The API says the error's parts beside its type; its SDKs look for them in "error".
        told = {k: error[k] for k in ("code", "message", "param")}
        yield self._said("error", **told, error=error)

    def _begin(self) -> Iterator[bytes]:
        self._begun = True
        body = self._frame.body(self._model, "in_progress", [])
        yield self._said("response.created", response=body)
        yield self._said("response.in_progress", response=body)

    def _spoken(self, kind: str, text: str, logprobs: list[Any] | None = None) -> Iterator[bytes]:
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
        yield self._said("response.output_item.added", output_index=item.index, item=body)
        if item.kind != "fc":
            yield self._said("response.content_part.added", **self._place(item), part=item.part())

    def _delta(self, item: _Item, text: str, logprobs: list[Any] | None = None) -> bytes:
        item.said.write(text)
        more = {"logprobs": logprobs or []} if item.kind == "msg" else {}
        name = f"response.{_DELTAS[item.kind][0]}.delta"
        return self._said(name, **self._place(item), delta=text, **more)

    def _done(self, item: _Item) -> Iterator[bytes]:
        name, whole = _DELTAS[item.kind]
        more: dict[str, Any] = {whole: item.text}
        if item.kind == "msg":
            more["logprobs"] = item.logprobs
        if item.kind == "fc":
            more["name"] = item.name
        yield self._said(f"response.{name}.done", **self._place(item), **more)
        if item.kind != "fc":
            yield self._said("response.content_part.done", **self._place(item), part=item.part())
        body = item.body("completed")
        yield self._said("response.output_item.done", output_index=item.index, item=body)

    @staticmethod
    def _place(item: _Item) -> dict[str, Any]:
        found: dict[str, Any] = {"item_id": item.id, "output_index": item.index}
        if item.kind != "fc":
            found["content_index"] = 0
        return found

    def _said(self, kind: str, **fields: Any) -> bytes:
        body = {"type": kind, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return sse(body, kind)

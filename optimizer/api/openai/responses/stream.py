"""Writes a stream in the format of OpenAI's Responses: items that may grow in any order.

Format: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from optimizer.api.compat.stream_encoder import stream_summary
from optimizer.api.http.failure import Failure
from optimizer.api.http.sse import sse
from optimizer.api.openai.errors import error_body
from optimizer.api.openai.responses.answer import (
    ResponseFrame,
    message_item,
    reasoning_item,
    text_content,
)
from optimizer.domain.reasoning_seals import seal, seal_call
from optimizer.domain.result import CompletionResult
from providers.assembly import TextBuffer, ThinkingBuffer
from providers.chat import ToolCall
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
    """An output item that is still growing.

    ``buffer`` holds its text or arguments, ``thought`` its reasoning.
    """

    kind: str
    id: str
    index: int
    call_id: str = ""
    name: str = ""
    buffer: TextBuffer = field(default_factory=TextBuffer)
    logprobs: list[Any] = field(default_factory=list)
    thought: ThinkingBuffer = field(default_factory=ThinkingBuffer)

    @property
    def text(self) -> str:
        return (self.thought.text if self.kind == "rs" else self.buffer).text

    def part(self) -> dict[str, Any]:
        if self.kind == "refusal":
            return {"type": "refusal", "refusal": self.text}
        if self.kind == "rs":
            return {"type": "summary_text", "text": self.text}
        return text_content(self.text, self.logprobs)


# For each kind of item: the name of its delta events, the field of the complete text, and the
# name of the events about its part.
_DELTAS = {
    "msg": ("output_text", "text", "content_part"),
    "refusal": ("refusal", "refusal", "content_part"),
    "rs": ("reasoning_summary_text", "text", "reasoning_summary_part"),
    "fc": ("function_call_arguments", "arguments", ""),
}


class ResponseStreamEncoder:
    """Encodes the events of one response."""

    def __init__(self, frame: ResponseFrame, model: str) -> None:
        self._frame = frame
        self._model = model
        self._sequence = 0
        self._started = False
        self._items: dict[_ItemKey, _Item] = {}
        self._open: _Item | None = None

    def encode(self, event: AnswerEvent) -> Iterator[bytes]:
        """Yield the server-sent events for ``event``."""
        if not self._started:
            yield from self._begin()
        if isinstance(event, ToolCallStarted):
            if event.signature:
                # Blocks of reasoning are numbered from 0, so this key is none of theirs.
                item = self._new("rs", -1 - event.index)
                item.call_id = event.id
                item.thought.signature.write(event.signature)
                yield from self._added(item)
            item = self._new("fc", event.index)
            item.call_id, item.name = event.id, event.name
            yield from self._added(item)
        elif isinstance(event, ToolArguments):
            yield from self._arguments(self._items["fc", event.index], event.text)
        elif isinstance(event, TextDelta) and event.text:
            yield from self._text_delta("msg", event.text, event.logprobs)
        elif isinstance(event, RefusalDelta):
            yield from self._text_delta("refusal", event.text)
        elif isinstance(event, ThinkingDelta):
            yield from self._thinking_delta(event)

    def _arguments(self, item: _Item, text: str) -> Iterator[bytes]:
        item.buffer.write(text)
        if self._frame.tools.kinds.get(item.name, "function") == "function":
            yield self._delta(item, text)
        # The client's own form of another call is known only when the arguments are complete.

    def _thinking_delta(self, event: ThinkingDelta) -> Iterator[bytes]:
        key = ("rs", event.block)
        item = self._items.get(key)
        if item is None:
            item = self._new(*key)
            yield from self._added(item)
        item.thought.add(event)
        if event.text:
            yield self._delta(item, event.text)

    def finish(self, result: CompletionResult) -> Iterator[bytes]:
        """Yield the events that complete the items and end the stream."""
        if not self._started:
            yield from self._begin()
        whole = self.whole(result)
        for item, body in zip(self._items.values(), whole["output"], strict=True):
            yield from self._done(item, body)
        response = {**whole, "optimizer": stream_summary(result)}
        yield self._event(f"response.{response['status']}", response=response)

    def whole(self, result: CompletionResult) -> dict[str, Any]:
        """Return the ``response`` object of the complete answer."""
        author = (result.completion.provider, result.completion.model)
        output = [self._body(item, author, "completed") for item in self._items.values()]
        return self._frame.ended(result, output)

    def error(self, failure: Failure) -> Iterator[bytes]:
        """Yield the event that reports ``failure``."""
        error = error_body(failure)["error"]
        # The API has the error's fields next to its type; its SDKs look for them in "error".
        details = {k: error[k] for k in ("code", "message", "param")}
        # Agents that know only the states of a response learn it from this one.
        failed = self._frame.body(self._model, "failed", [], error=_response_error(failure))
        yield self._event("response.failed", response=failed)
        yield self._event("error", **details, error=error)

    def _begin(self) -> Iterator[bytes]:
        self._started = True
        body = self._frame.body(self._model, "in_progress", [])
        yield self._event("response.created", response=body)
        yield self._event("response.in_progress", response=body)

    def _text_delta(
        self, kind: str, text: str, logprobs: list[Any] | None = None
    ) -> Iterator[bytes]:
        item = self._open
        if item is None or item.kind != kind:
            item = self._new(kind, len(self._items))
            yield from self._added(item)
        item.buffer.write(text)
        item.logprobs.extend(logprobs or ())
        yield self._delta(item, text, logprobs)

    def _new(self, kind: str, number: int) -> _Item:
        index = len(self._items)
        prefix = "msg" if kind == "refusal" else kind
        item = _Item(kind, self._frame.item_id(prefix, index), index)
        self._items[kind, number] = self._open = item
        return item

    def _body(self, item: _Item, author: tuple[str, str], status: str) -> dict[str, Any]:
        if item.kind == "fc":
            arguments = item.text or ("{}" if status == "completed" else "")
            return self._frame.tools.call_item(item.id, item.call_id, item.name, arguments, status)
        if item.kind == "rs":
            sealed = self._seal(item, author) if status == "completed" else ""
            return reasoning_item(item.id, item.text, sealed)
        return message_item(item.id, [] if status == "in_progress" else [item.part()], status)

    @staticmethod
    def _seal(item: _Item, author: tuple[str, str]) -> str:
        if item.call_id:
            signed = ToolCall(item.call_id, "", "", item.thought.signature.text)
            return seal_call(signed, *author)
        return seal(item.thought.thinking, *author)

    def _added(self, item: _Item) -> Iterator[bytes]:
        body = self._body(item, ("", ""), "in_progress")
        yield self._event("response.output_item.added", output_index=item.index, item=body)
        if about := _DELTAS[item.kind][2]:
            yield self._event(f"response.{about}.added", **self._place(item), part=item.part())

    def _delta(self, item: _Item, text: str, logprobs: list[Any] | None = None) -> bytes:
        more = {"logprobs": logprobs or []} if item.kind == "msg" else {}
        name = f"response.{_DELTAS[item.kind][0]}.delta"
        return self._event(name, **self._place(item), delta=text, **more)

    def _done(self, item: _Item, body: dict[str, Any]) -> Iterator[bytes]:
        name, whole, about = _DELTAS[item.kind]
        more: dict[str, Any] = {whole: item.text}
        if item.kind == "msg":
            more["logprobs"] = item.logprobs
        if item.kind == "fc":
            more = {"arguments": item.text or "{}", "name": item.name}
        if body["type"] == "custom_tool_call":
            yield from self._input_done(item, body)
        elif body["type"] in {"function_call", "message", "reasoning"}:
            if item.kind == "fc" and not item.text:
                yield self._event(
                    "response.function_call_arguments.delta", **self._place(item), delta="{}"
                )
            yield self._event(f"response.{name}.done", **self._place(item), **more)
        if about:
            yield self._event(f"response.{about}.done", **self._place(item), part=item.part())
        yield self._event("response.output_item.done", output_index=item.index, item=body)

    def _input_done(self, item: _Item, body: dict[str, Any]) -> Iterator[bytes]:
        name = "response.custom_tool_call_input"
        yield self._event(f"{name}.delta", **self._place(item), delta=body["input"])
        yield self._event(f"{name}.done", **self._place(item), input=body["input"])

    @staticmethod
    def _place(item: _Item) -> dict[str, Any]:
        place: dict[str, Any] = {"item_id": item.id, "output_index": item.index}
        if item.kind != "fc":
            place["summary_index" if item.kind == "rs" else "content_index"] = 0
        return place

    def _event(self, kind: str, **fields: Any) -> bytes:
        body = {"type": kind, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return sse(body, kind)


def _response_error(failure: Failure) -> dict[str, Any]:
    code = "rate_limit_exceeded" if failure.kind == "rate_limited" else "server_error"
    return {
        "code": code if failure.kind != "invalid" else "invalid_prompt",
        "message": failure.message,
    }

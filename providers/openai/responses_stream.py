"""Read the stream of OpenAI's Responses API.

Wire: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from providers.completion import AnswerPart, Usage
from providers.events import (
    Event,
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
from providers.openai.responses_answer import (
    WIRE,
    call_id,
    finish_reason,
    item_parts,
    response_error,
    text_of,
)
from providers.usage import read_usage

_ENDED = frozenset({"response.completed", "response.incomplete", "response.done"})
_CALLS = frozenset({"function_call", "custom_tool_call"})


class ResponsesStream:
    """Reads one stream. ``complete`` is true once the whole answer has arrived."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._started = False
        self._calls: dict[Any, int] = {}
        # The output items of which something was read already, and the arguments of calls.
        self._seen: set[Any] = set()
        self._arguments: dict[Any, list[str]] = {}
        # The items that are whole: some servers leave them out of the response at the end.
        self._items: list[Any] = []
        self.complete = False
        self.repaired = False

    def feed(self, name: str, data: dict[str, Any] | None) -> Iterator[Event]:
        """Yield the events of one message.

        Raises :class:`providers.errors.ProviderError` if the message reports an error.
        """
        if data is None:
            return
        kind = text_of(data.get("type")) or name
        response = data.get("response")
        if not self._started and isinstance(response, dict):
            self._started = True
            yield Started(text_of(response.get("id")) or None)
        if kind == "error" or kind == "response.failed":
            failed = response if isinstance(response, dict) else data
            error = response_error(self._provider, failed)
            error.usage = self._usage_of(failed)
            raise error
        place = data.get("output_index")
        if kind in _ENDED:
            yield from self._end(response if isinstance(response, dict) else {})
        elif kind == "response.output_item.added":
            yield from self._added(place, data.get("item"))
        elif kind == "response.output_item.done":
            self._items.append(data.get("item"))
            yield from self._done(place, data.get("item"))
        elif kind.endswith(".delta"):
            yield from self._delta(kind, place, data)

    def _added(self, place: Any, item: Any) -> Iterator[Event]:
        if isinstance(item, dict) and item.get("type") in _CALLS:
            yield from self._call(place, item)

    def _call(self, place: Any, item: dict[str, Any]) -> Iterator[Event]:
        if place not in self._calls:
            self._calls[place] = len(self._calls)
            freeform = item.get("type") == "custom_tool_call"
            yield ToolCallStarted(
                self._calls[place], call_id(item), text_of(item.get("name")), freeform=freeform
            )

    def _delta(self, kind: str, place: Any, data: dict[str, Any]) -> Iterator[Event]:
        text = data.get("delta")
        if not isinstance(text, str) or not text:
            return
        if kind == "response.output_text.delta":
            self._seen.add(place)
            logprobs = data.get("logprobs")
            yield TextDelta(text, logprobs=logprobs if logprobs else None)
        elif kind == "response.refusal.delta":
            self._seen.add(place)
            yield RefusalDelta(text)
        elif kind in {"response.reasoning_summary_text.delta", "response.reasoning_text.delta"}:
            self._seen.add(place)
            yield ThinkingDelta(text, block=_number(place))
        elif kind == "response.function_call_arguments.delta" and place in self._calls:
            self._arguments.setdefault(place, []).append(text)
            yield ToolArguments(self._calls[place], text)
        elif kind == "response.custom_tool_call_input.delta" and place in self._calls:
            # The plain text is told as the JSON that it becomes when the item is done: in ASCII, as
            # two pieces may share a character, whose escaped halves fit together again.
            sent = self._arguments.setdefault(place, [])
            text = ("" if sent else '{"input": "') + json.dumps(text)[1:-1]
            sent.append(text)
            yield ToolArguments(self._calls[place], text)

    def _done(self, place: Any, item: Any) -> Iterator[Event]:
        """Yield what of the whole item has not been read from its pieces."""
        if not isinstance(item, dict):
            return
        kind = item.get("type")
        if kind in _CALLS:
            yield from self._call(place, item)
            yield from self._rest_of_arguments(place, item)
        elif kind == "reasoning":
            # The encrypted reasoning is known only now.
            shown = "" if place in self._seen else _text(item_parts(item))
            yield ThinkingDelta(shown, block=_number(place), details=dict(item))
            self._seen.add(place)
        elif place not in self._seen:
            self._seen.add(place)
            for part in item_parts(item):
                yield _whole(part)

    def _rest_of_arguments(self, place: Any, item: dict[str, Any]) -> Iterator[Event]:
        if place in self._seen:
            return
        self._seen.add(place)
        arguments = next((getattr(p, "arguments", "") for p in item_parts(item)), "")
        sent = "".join(self._arguments.pop(place, ()))
        if arguments.startswith(sent) and (rest := arguments[len(sent) :]):
            yield ToolArguments(self._calls[place], rest)

    def _end(self, response: dict[str, Any]) -> Iterator[Event]:
        if not self._seen and not self._calls:
            # Some servers send the whole response only.
            for place, item in enumerate(response.get("output") or ()):
                yield from self._done(place, item)
        if usage := self._usage_of(response):
            yield UsageReported(usage)
        self.complete = True
        reason = finish_reason(response, ())
        yield Finished("tool_calls" if self._calls and reason == "stop" else reason)

    def _usage_of(self, response: dict[str, Any]) -> Usage | None:
        return read_usage({**response, "output": response.get("output") or self._items})


def _number(place: Any) -> int:
    return place if isinstance(place, int) else 0


def _text(parts: Iterator[AnswerPart]) -> str:
    return "".join(getattr(part, "text", "") for part in parts)


def _whole(part: AnswerPart) -> Event:
    text = getattr(part, "value", None)
    if text is not None:
        return OpaqueBlock(WIRE, text)
    return TextDelta(getattr(part, "text", ""))

"""Read OpenAI's stream: turn ``chat.completion.chunk`` objects into events.

Wire: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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
from providers.openai.answer import (
    FINISH,
    about_the_answer,
    read_logprobs,
    reasoning_of,
    signature_of,
    unknown_fields,
    upstream_error,
)
from providers.usage import UsageOfStream


class OpenAIStream:
    """Reads one stream. ``complete`` is true once the whole answer has arrived."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._started = False
        self._open: set[int] = set()
        self._finished: set[int] = set()
        self._calls: dict[int, list[tuple[int | None, str | None]]] = {}
        self._done = False
        self.repaired = False
        self._usage = UsageOfStream()

    @property
    def complete(self) -> bool:
        """Whether the end marker has arrived, or every choice is finished."""
        # Some servers omit the end marker; an answer whose choices are finished is complete.
        return self._done or (bool(self._finished) and self._open <= self._finished)

    def feed(self, name: str, chunk: dict[str, Any] | None) -> Iterator[Event]:
        """Yield the events of one message; ``None`` is the end marker.

        Raises :class:`providers.errors.ProviderError` if the message reports an error.
        """
        if chunk is None:
            self._done = True
            return
        if isinstance(chunk.get("error"), dict):
            raise upstream_error(self._provider, chunk["error"])
        if not self._started:
            self._started = True
            yield Started(chunk.get("id"), about_the_answer(chunk))
        # The chunk with the usage has no choices.
        for choice in chunk.get("choices") or ():
            yield from self._choice(choice)
        if usage := self._usage.add(chunk):
            yield UsageReported(usage)

    def _choice(self, choice: dict[str, Any]) -> Iterator[Event]:
        if isinstance(choice.get("error"), dict):
            raise upstream_error(self._provider, choice["error"])
        index = choice.get("index") or 0
        self._open.add(index)
        delta = choice.get("delta") or {}
        if reasoning := reasoning_of(delta):
            yield ThinkingDelta(reasoning, choice=index)
        logprobs = read_logprobs(choice)
        if delta.get("content") or logprobs:
            yield TextDelta(delta.get("content") or "", index, logprobs)
        if delta.get("refusal"):
            yield RefusalDelta(delta["refusal"], index)
        for call in delta.get("tool_calls") or ():
            yield from self._call(index, call)
        if fields := unknown_fields(delta):
            yield OpaqueBlock("openai", fields, index)
        if choice.get("finish_reason") and index not in self._finished:
            self._finished.add(index)
            yield Finished(FINISH.get(choice["finish_reason"], "other"), index)

    def _call(self, choice: int, call: dict[str, Any]) -> Iterator[Event]:
        function = call.get("function") or {}
        calls = self._calls.setdefault(choice, [])
        position = _call_position(calls, call.get("index"), call.get("id"))
        if position == len(calls):
            calls.append((call.get("index"), call.get("id")))
            name = function.get("name") or ""
            yield ToolCallStarted(position, call.get("id") or "", name, signature_of(call), choice)
        if function.get("arguments"):
            yield ToolArguments(position, function["arguments"], choice)


def _call_position(
    calls: list[tuple[int | None, str | None]], index: int | None, call_id: str | None
) -> int:
    """Return the index of the call that a delta continues; ``len(calls)`` for a new call.

    Some servers do not number the calls, and some give all of them the same number.
    """
    for position, (known_index, known_id) in reversed(list(enumerate(calls))):
        if call_id and known_id:
            if call_id == known_id:
                return position
        elif index is None or index == known_index:
            return position
    return len(calls)

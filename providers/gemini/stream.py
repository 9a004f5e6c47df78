"""Read Gemini's streams: each message is a ``GenerateContentResponse``.

Wire: https://ai.google.dev/api/generate-content#v1beta.models.streamGenerateContent
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from providers.chat import Text, Thinking, ToolCall
from providers.completion import AnswerPart, CompletionRequest, Usage
from providers.errors import ContentBlocked
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
from providers.gemini.answer import (
    error_in,
    finish_reason,
    is_blocked,
    nothing_said,
    response_id,
)
from providers.gemini.parts import WIRE, PartReader
from providers.gemini.shapes import mend
from providers.gemini.usage import GeminiUsageOfStream


class _Candidate:
    """What has arrived of one answer."""

    __slots__ = ("block", "calls", "ended", "has_content", "thinking")

    def __init__(self) -> None:
        self.block = 0
        self.calls = 0
        self.has_content = False
        self.thinking = False
        self.ended = False


class GeminiStream:
    """Reads one stream. ``complete`` is true once the whole answer has arrived."""

    def __init__(self, provider: str, request: CompletionRequest) -> None:
        self._provider = provider
        self._parts = PartReader(request.chat)
        self._started = False
        self._candidates: dict[int, _Candidate] = {}
        self._reports = GeminiUsageOfStream(request.model)
        self._usage: Usage | None = None
        self.repaired = False

    @property
    def complete(self) -> bool:
        """Whether every answer that has begun has ended."""
        return bool(self._candidates) and all(c.ended for c in self._candidates.values())

    def feed(self, name: str, body: dict[str, Any] | None) -> Iterator[Event]:
        """Yield the events of one response.

        Raises :class:`ProviderError` if the response reports an error.
        """
        self.repaired = False
        if body is None:
            return
        if body.get("error"):
            raise error_in(self._provider, body)
        self.repaired = mend(body)
        if not self._started:
            self._started = True
            yield Started(response_id(body))
        usage = self._reports.add(body)
        self._usage = usage or self._usage
        candidates = body.get("candidates")
        candidates = candidates if isinstance(candidates, list) else []
        if is_blocked(body) and not candidates:
            raise ContentBlocked(self._provider, "blocked the prompt", usage=usage)
        for candidate in candidates:
            if isinstance(candidate, Mapping):
                yield from self._content(candidate)
        # The report of a message counts the content of that message, so it comes after it.
        if usage is not None:
            yield UsageReported(usage)
        for candidate in candidates:
            if isinstance(candidate, Mapping):
                yield from self._ending(candidate)

    def _content(self, candidate: Mapping[str, Any]) -> Iterator[Event]:
        choice = _index(candidate)
        state = self._candidates.setdefault(choice, _Candidate())
        for part in self._parts.parts(candidate):
            state.has_content = True
            if state.thinking and not isinstance(part, Thinking):
                state.thinking = False
                state.block += 1
            yield from _events(part, choice, state)

    def _ending(self, candidate: Mapping[str, Any]) -> Iterator[Event]:
        reason, choice = candidate.get("finishReason"), _index(candidate)
        state = self._candidates[choice]
        if not reason or state.ended:
            return
        if not any(other.has_content for other in self._candidates.values()) and (
            error := nothing_said(self._provider, [reason], self._usage)
        ):
            raise error
        if len(self._candidates) == 1 and is_failure(reason, called=state.calls > 0):
            raise failed_ending(self._provider, reason, self._usage)
        state.ended = True
        yield Finished(finish_reason(reason, calls=state.calls > 0), choice)


def _index(candidate: Mapping[str, Any]) -> int:
    index = candidate.get("index")
    return index if isinstance(index, int) and index >= 0 else 0


def _events(part: AnswerPart, choice: int, state: _Candidate) -> Iterator[Event]:
    if isinstance(part, ToolCall):
        index = state.calls
        state.calls += 1
        yield ToolCallStarted(index, part.id, part.name, part.signature, choice, part.freeform)
        yield ToolArguments(index, part.arguments, choice)
    elif isinstance(part, Thinking):
        yield ThinkingDelta(part.text, part.signature, choice=choice, block=state.block)
        # A signature ends the block of reasoning that it proves.
        state.thinking = not part.signature
        state.block += bool(part.signature)
    elif isinstance(part, Text):
        yield TextDelta(part.text, choice)
    else:
        yield OpaqueBlock(WIRE, part.value, choice)

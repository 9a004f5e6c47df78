"""Writes a stream as Gemini does: every message is a ``GenerateContentResponse``.

Format: https://ai.google.dev/api/generate-content#v1beta.models.streamGenerateContent
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from optimizer.api.compat.stream_encoder import stream_summary
from optimizer.api.gemini.answer import finish_reason, part_body, usage_body
from optimizer.api.gemini.errors import error_body
from optimizer.api.http.failure import Failure
from optimizer.api.http.sse import sse
from optimizer.domain.result import CompletionResult
from providers.assembly import TextBuffer, ThinkingBuffer
from providers.chat import ToolCall
from providers.completion import AnswerPart, Opaque
from providers.events import (
    AnswerEvent,
    Finished,
    OpaqueBlock,
    RefusalDelta,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolCallStarted,
)


@dataclass(slots=True)
class _Candidate:
    thought: ThinkingBuffer | None = None
    calls: dict[int, tuple[ToolCallStarted, TextBuffer]] = field(default_factory=dict)
    finish: Finished | None = None


class GenerateStreamEncoder:
    """Encodes the events of one answer.

    ``author`` returns the provider and the model that answer, ``shown`` is whether the client
    wants to read the reasoning. In this format a function call comes whole.
    """

    def __init__(
        self, request_id: object, author: Callable[[], tuple[str, str]], *, shown: bool
    ) -> None:
        self._request_id = request_id
        self._author = author
        self._shown = shown
        self._candidates: dict[int, _Candidate] = {}

    def encode(self, event: AnswerEvent) -> Iterator[bytes]:
        """Yield the messages for ``event``."""
        choice = getattr(event, "choice", None)
        if choice is None:
            return
        state = self._candidates.setdefault(choice, _Candidate())
        if isinstance(event, ThinkingDelta):
            yield from self._think(state, event)
            return
        yield from self._end_thought(state, choice)
        if isinstance(event, (TextDelta, RefusalDelta)):
            if event.text:
                yield self._message(choice, {"text": event.text})
        elif isinstance(event, ToolCallStarted):
            state.calls[event.index] = (event, TextBuffer())
        elif isinstance(event, ToolArguments):
            if event.index in state.calls:
                state.calls[event.index][1].write(event.text)
        elif isinstance(event, OpaqueBlock):
            yield from self._part(choice, Opaque(event.wire, event.value))
        elif isinstance(event, Finished):
            state.finish = event

    def finish(self, result: CompletionResult) -> Iterator[bytes]:
        """Yield the messages that end the stream, with usage and cost in the last."""
        candidates = self._candidates or {0: _Candidate()}
        endings = []
        for choice, state in sorted(candidates.items()):
            yield from self._end_thought(state, choice)
            for _, (call, arguments) in sorted(state.calls.items()):
                text = arguments.text
                whole = ToolCall(call.id, call.name, text, call.signature, freeform=call.freeform)
                yield from self._part(choice, whole)
            reason = state.finish.reason if state.finish is not None else "other"
            content = {"role": "model", "parts": [{"text": ""}]}
            endings.append(
                {"content": content, "finishReason": finish_reason(reason), "index": choice}
            )
        body = self._body(endings)
        body["usageMetadata"] = usage_body(result.completion.usage)
        yield sse({**body, "optimizer": stream_summary(result)})

    def error(self, failure: Failure) -> Iterator[bytes]:
        """Yield the message that reports ``failure``."""
        yield sse(error_body(failure))

    def _think(self, state: _Candidate, event: ThinkingDelta) -> Iterator[bytes]:
        if state.thought is not None and state.thought.block != event.block:
            yield from self._end_thought(state, event.choice)
        if state.thought is None:
            state.thought = ThinkingBuffer(event.block)
        state.thought.add(event)
        if event.text and self._shown:
            yield self._message(event.choice, {"text": event.text, "thought": True})

    def _end_thought(self, state: _Candidate, choice: int) -> Iterator[bytes]:
        thought, state.thought = state.thought, None
        if thought is not None:
            body = part_body(thought.thinking, *self._author(), shown=False)
            assert body is not None
            yield self._message(choice, body)

    def _part(self, choice: int, part: AnswerPart) -> Iterator[bytes]:
        body = part_body(part, *self._author(), shown=self._shown)
        if body is not None:
            yield self._message(choice, body)

    def _message(self, choice: int, part: dict[str, Any]) -> bytes:
        content = {"role": "model", "parts": [part]}
        return sse(self._body([{"content": content, "index": choice}]))

    def _body(self, candidates: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "candidates": candidates,
            "modelVersion": self._author()[1],
            "responseId": str(self._request_id),
        }

"""Writes a stream in the format of OpenAI's chat completions.

Format: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from optimizer.api.compat.stream_encoder import stream_summary
from optimizer.api.http.errors import Failure
from optimizer.api.http.sse import sse
from optimizer.api.openai.chat_answer import (
    FINISH,
    answer_extras,
    completion_id,
    logprobs_body,
    signature_body,
    usage_body,
)
from optimizer.api.openai.errors import error_body
from optimizer.domain.result import CompletionResult
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

DONE = b"data: [DONE]\n\n"


class ChatStreamEncoder:
    """Encodes events as ``chat.completion.chunk`` objects.

    ``with_usage`` adds a last chunk with the usage.
    """

    def __init__(self, request_id: object, model: str, *, with_usage: bool) -> None:
        self._head: dict[str, Any] = {
            "id": completion_id(request_id),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }
        self._with_usage = with_usage
        self._started: set[int] = set()
        self._last: dict[str, Any] | None = None

    def encode(self, event: AnswerEvent) -> Iterator[bytes]:
        """Yield the server-sent events for ``event``."""
        if isinstance(event, Started):
            self._head.update(answer_extras(event.extra))
        elif isinstance(event, Finished):
            # The last chunk is held back, so that the summary can be sent with it.
            if self._last is not None:
                yield self._chunk_event(self._last)
            self._last = self._chunk(event.choice, {}, finish=FINISH[event.reason])
        elif not isinstance(event, UsageReported):
            delta, logprobs = _delta(event)
            if event.choice not in self._started:
                self._started.add(event.choice)
                delta = {"role": "assistant", "content": "", **delta}
            yield self._chunk_event(self._chunk(event.choice, delta, logprobs))

    def finish(self, result: CompletionResult) -> Iterator[bytes]:
        """Yield the chunks that end the stream, with cost and, if asked for, usage."""
        summary = {"optimizer": stream_summary(result)}
        last = self._last or {"choices": []}
        if self._with_usage:
            yield self._chunk_event(last)
            usage = {"choices": [], "usage": usage_body(result.completion.usage), **summary}
            yield sse({**self._head, **usage})
        else:
            yield self._chunk_event({**last, **summary})
        yield DONE

    def error(self, failure: Failure) -> Iterator[bytes]:
        """Yield the event that reports ``failure``."""
        # No [DONE]: the partial answer must not look complete.
        yield sse(error_body(failure))

    def _chunk(
        self,
        index: int,
        delta: dict[str, Any],
        logprobs: list[Any] | None = None,
        finish: str | None = None,
    ) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": index, "delta": delta, "finish_reason": finish}
        choice["logprobs"] = logprobs_body(logprobs)
        return {"choices": [choice]}

    def _chunk_event(self, body: dict[str, Any]) -> bytes:
        usage: dict[str, Any] = {"usage": None} if self._with_usage else {}
        return sse({**self._head, **body, **usage})


def _delta(
    event: TextDelta | ThinkingDelta | RefusalDelta | ToolCallStarted | ToolArguments | OpaqueBlock,
) -> tuple[dict[str, Any], list[Any] | None]:
    if isinstance(event, TextDelta):
        return {"content": event.text}, event.logprobs
    if isinstance(event, ToolArguments):
        return _call(event.index, function={"arguments": event.text}), None
    if isinstance(event, ToolCallStarted):
        call: dict[str, Any] = {"id": event.id, "type": "function"}
        if event.signature:
            call["extra_content"] = signature_body(event.signature)
        return _call(event.index, **call, function={"name": event.name, "arguments": ""}), None
    if isinstance(event, ThinkingDelta):
        return ({"reasoning_content": event.text} if event.text else {}), None
    if isinstance(event, RefusalDelta):
        return {"refusal": event.text}, None
    return (dict(event.value) if event.wire == "openai" else {}), None


def _call(index: int, **fields: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, **fields}]}

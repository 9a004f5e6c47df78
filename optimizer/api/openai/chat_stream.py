"""Writes a stream in the format of OpenAI's chat completions.

Format: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from optimizer.api.compat.stream_encoder import stream_summary
from optimizer.api.http.failure import Failure
from optimizer.api.http.sse import sse
from optimizer.api.openai.chat_answer import (
    answer_extras,
    completion_id,
    custom_body,
    finish_body,
    logprobs_body,
    opaque_fields,
    reasoning_detail,
    signature_body,
    usage_body,
)
from optimizer.api.openai.errors import error_body
from optimizer.domain.result import CompletionResult
from providers.assembly import ThinkingBuffer
from providers.chat import ToolCall
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


@dataclass(slots=True)
class _CallSoFar:
    """A tool call; the arguments of a freeform one are kept until they are whole."""

    name: str
    id: str
    freeform: bool
    pieces: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _ChoiceSoFar:
    begun: bool = False
    thought: ThinkingBuffer | None = None
    blocks: int = 0
    calls: dict[int, _CallSoFar] = field(default_factory=dict)


class ChatStreamEncoder:
    """Encodes events as ``chat.completion.chunk`` objects.

    ``with_usage`` adds a last chunk with the usage. ``author`` returns the (provider, model)
    that answers. ``legacy`` is whether the client declared ``functions``, the older form of
    tools.
    """

    def __init__(
        self,
        request_id: object,
        model: str,
        *,
        with_usage: bool,
        author: Callable[[], tuple[str, str]] = lambda: ("", ""),
        legacy: bool = False,
    ) -> None:
        self._head: dict[str, Any] = {
            "id": completion_id(request_id),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }
        self._with_usage = with_usage
        self._author = author
        self._legacy = legacy
        self._choices: dict[int, _ChoiceSoFar] = {}
        self._last: dict[str, Any] | None = None

    def encode(self, event: AnswerEvent) -> Iterator[bytes]:
        """Yield the server-sent events for ``event``."""
        if isinstance(event, Started):
            self._head.update(answer_extras(event.extra))
        elif isinstance(event, Finished):
            for delta in self._ending_deltas(event.choice):
                yield self._delta_event(event.choice, delta)
            # The last chunk is held back, so that the summary can be sent with it.
            if self._last is not None:
                yield self._chunk_event(self._last)
            reason = finish_body(event.reason, legacy=self._legacy)
            self._last = self._chunk(event.choice, {}, finish=reason)
        elif not isinstance(event, UsageReported):
            for delta in self._deltas(event):
                logprobs = event.logprobs if isinstance(event, TextDelta) else None
                yield self._delta_event(event.choice, delta, logprobs)

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

    def _deltas(
        self,
        event: TextDelta
        | ThinkingDelta
        | RefusalDelta
        | ToolCallStarted
        | ToolArguments
        | OpaqueBlock,
    ) -> Iterator[dict[str, Any]]:
        state = self._choice(event.choice)
        if isinstance(event, ThinkingDelta):
            yield from self._thinking(state, event)
            return
        if state.thought is not None:
            yield self._sealed_block(state)
        if isinstance(event, TextDelta):
            yield {"content": event.text}
        elif isinstance(event, ToolArguments):
            yield from self._arguments(state, event)
        elif isinstance(event, ToolCallStarted):
            yield from self._call_started(state, event)
        elif isinstance(event, RefusalDelta):
            yield {"refusal": event.text}
        else:
            # A part that this API cannot hold still shows that the answer goes on.
            yield opaque_fields(event.wire, event.value)

    def _thinking(self, state: _ChoiceSoFar, event: ThinkingDelta) -> Iterator[dict[str, Any]]:
        if state.thought is not None and state.thought.block != event.block:
            yield self._sealed_block(state)
        if state.thought is None:
            state.thought = ThinkingBuffer(event.block)
        state.thought.add(event)
        yield {"reasoning_content": event.text} if event.text else {}

    def _sealed_block(self, state: _ChoiceSoFar) -> dict[str, Any]:
        """Return the delta that ends a block of reasoning, with the seal of all of it."""
        assert state.thought is not None
        detail = reasoning_detail(state.thought.thinking, self._author(), state.blocks)
        state.thought = None
        state.blocks += 1
        return {"reasoning_details": [detail]}

    def _call_started(
        self, state: _ChoiceSoFar, event: ToolCallStarted
    ) -> Iterator[dict[str, Any]]:
        state.calls[event.index] = _CallSoFar(event.name, event.id, event.freeform)
        if event.freeform:
            yield {}
        elif self._legacy:
            if event.index == 0:
                yield {"function_call": {"name": event.name, "arguments": ""}}
        else:
            call: dict[str, Any] = {"id": event.id, "type": "function"}
            if event.signature:
                signed = ToolCall(event.id, event.name, "", event.signature)
                call["extra_content"] = signature_body(signed, self._author())
            yield _call(event.index, **call, function={"name": event.name, "arguments": ""})

    def _arguments(self, state: _ChoiceSoFar, event: ToolArguments) -> Iterator[dict[str, Any]]:
        call = state.calls.get(event.index)
        if call is None:
            return
        if call.freeform:
            call.pieces.append(event.text)
            return
        if event.text:
            call.pieces = [event.text]
        if not self._legacy:
            yield _call(event.index, function={"arguments": event.text})
        elif event.index == 0:
            yield {"function_call": {"arguments": event.text}}

    def _ending_deltas(self, choice: int) -> Iterator[dict[str, Any]]:
        """Yield what completes a choice: the last seal, and the arguments of its calls."""
        state = self._choice(choice)
        if state.thought is not None:
            yield self._sealed_block(state)
        for index, call in state.calls.items():
            if call.freeform:
                whole = ToolCall(call.id, call.name, "".join(call.pieces), freeform=True)
                yield _call(index, id=call.id, type="custom", custom=custom_body(whole))
            elif not call.pieces:
                # No arguments at all are no JSON.
                if not self._legacy:
                    yield _call(index, function={"arguments": "{}"})
                elif index == 0:
                    yield {"function_call": {"arguments": "{}"}}

    def _choice(self, index: int) -> _ChoiceSoFar:
        known = self._choices.get(index)
        if known is None:
            known = self._choices[index] = _ChoiceSoFar()
        return known

    def _delta_event(
        self, index: int, delta: dict[str, Any], logprobs: list[Any] | None = None
    ) -> bytes:
        state = self._choice(index)
        if not state.begun:
            state.begun = True
            delta = {"role": "assistant", "content": "", **delta}
        return self._chunk_event(self._chunk(index, delta, logprobs))

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


def _call(index: int, **fields: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, **fields}]}

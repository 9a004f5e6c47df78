"""A finished completion told as a stream: what a cached answer sounds like."""

from __future__ import annotations

from collections.abc import Iterator

from providers.chat import Text, ToolCall
from providers.completion import Choice, Completion, Thinking
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


def completion_events(completion: Completion) -> Iterator[Event]:
    """The events that a stream of ``completion`` would have had."""
    yield Started(completion.response_id, completion.extra)
    for index, choice in enumerate(completion.choices):
        yield from _choice(index, choice, completion.extra.get("stop_reason") or "")
    yield UsageReported(completion.usage)


def _choice(index: int, choice: Choice, own_ending: str) -> Iterator[Event]:
    calls, logprobs = 0, choice.logprobs
    for part in choice.parts:
        if isinstance(part, Text):
            yield TextDelta(part.text, index, logprobs)
            logprobs = None
        elif isinstance(part, Thinking):
            yield ThinkingDelta(part.text, part.signature, part.redacted, index)
        elif isinstance(part, ToolCall):
            yield ToolCallStarted(calls, part.id, part.name, part.signature, index)
            if part.arguments:
                yield ToolArguments(calls, part.arguments, index)
            calls += 1
        else:
            yield OpaqueBlock(part.wire, part.value, index)
    if choice.refusal:
        yield RefusalDelta(choice.refusal, index)
    yield Finished(choice.finish_reason, index, choice.stop_sequence, own_ending)

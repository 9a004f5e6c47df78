"""Build completions from events, and events from completions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from providers.chat import Text, Thinking, ToolCall
from providers.completion import (
    AnswerPart,
    Choice,
    Completion,
    CompletionRequest,
    FinishReason,
    Opaque,
    Usage,
)
from providers.events import (
    Event,
    Finished,
    KeepAlive,
    OpaqueBlock,
    RefusalDelta,
    Relayed,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolCallStarted,
    UsageReported,
)
from providers.usage_estimates import complete_usage

_PIECES_PER_BLOCK = 256


class TextBuffer:
    """A buffer that joins pieces of text and copies no piece more than twice.

    ``io.StringIO`` would keep every piece as a separate object until it is read.
    """

    __slots__ = ("_blocks", "_pieces")

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._pieces: list[str] = []

    def write(self, piece: str) -> None:
        """Append ``piece``."""
        self._pieces.append(piece)
        if len(self._pieces) == _PIECES_PER_BLOCK:
            self._blocks.append("".join(self._pieces))
            self._pieces.clear()

    @property
    def text(self) -> str:
        """All pieces so far, joined."""
        return "".join([*self._blocks, *self._pieces])


@dataclass(slots=True)
class ThinkingBuffer:
    """A block of reasoning that has not ended; ``block`` is its number in the answer.

    Its seal, and its signature, cover all of it.
    """

    block: int = 0
    text: TextBuffer = field(default_factory=TextBuffer)
    signature: TextBuffer = field(default_factory=TextBuffer)
    redacted: TextBuffer = field(default_factory=TextBuffer)
    details: Any = None

    def add(self, event: ThinkingDelta) -> None:
        """Append a piece of the block."""
        self.text.write(event.text)
        self.signature.write(event.signature)
        self.redacted.write(event.redacted)
        self.details = _joined_details(self.details, event.details)

    @property
    def thinking(self) -> Thinking:
        """The block so far."""
        details = list(self.details) if isinstance(self.details, list) else self.details
        return Thinking(self.text.text, self.signature.text, self.redacted.text, details)


def _joined_details(details: Any, more: Any) -> Any:
    """Return ``details`` with ``more``: a list grows in place, anything else is the whole of them.

    The first list is copied, so that the event keeps what it came with.
    """
    if isinstance(details, list) and isinstance(more, list):
        details.extend(more)
        return details
    if more is None:
        return details
    return list(more) if isinstance(more, list) else more


@dataclass(slots=True)
class _Part:
    """An unfinished part; ``buffer`` holds its text or its arguments.

    The buffer keeps a long stream from being copied again and again, and from being
    stored as one object per token.
    """

    kind: type[AnswerPart]
    buffer: TextBuffer = field(default_factory=TextBuffer)
    id: str = ""
    name: str = ""
    signature: TextBuffer = field(default_factory=TextBuffer)
    redacted: TextBuffer = field(default_factory=TextBuffer)
    details: Any = None
    block: int = 0
    freeform: bool = False
    value: Any = None
    wire: str = ""

    def attach(self, event: OpaqueBlock) -> None:
        """Keep a citation with the text that it belongs to."""
        if (citation := event.value.get("citation")) is not None:
            self.wire = event.wire
            if self.value is None:
                self.value = []
            self.value.append(citation)

    def finished(self) -> AnswerPart:
        text = self.buffer.text
        if self.kind is Text:
            if self.value is not None:
                cited = {"type": "text", "text": text, "citations": list(self.value)}
                return Opaque(self.wire, cited, text)
            return Text(text)
        if self.kind is Thinking:
            details = list(self.details) if isinstance(self.details, list) else self.details
            return Thinking(text, self.signature.text, self.redacted.text, details)
        if self.kind is ToolCall:
            signature = self.signature.text
            return ToolCall(self.id, self.name, text, signature, freeform=self.freeform)
        return Opaque(self.wire, self.value)


@dataclass(slots=True)
class _Choice:
    parts: list[_Part] = field(default_factory=list)
    calls: dict[int, _Part] = field(default_factory=dict)
    refusal: TextBuffer = field(default_factory=TextBuffer)
    logprobs: list[Any] | None = None
    finish: FinishReason | None = None
    stop_sequence: str | None = None

    def open(self, kind: type[AnswerPart], block: int = 0) -> _Part:
        """Return the last part if it is of this kind and block, else a new one."""
        last = self.parts[-1] if self.parts else None
        if last is None or last.kind is not kind or last.block != block:
            last = _Part(kind, block=block)
            self.parts.append(last)
        return last


class CompletionBuilder:
    """Builds a completion from the events of a stream.

    Call :meth:`add` for every event; :meth:`completion` works at any time.
    """

    def __init__(self, provider: str, request: CompletionRequest) -> None:
        self._provider = provider
        self._request = request
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None
        self._counted = False
        self._pieces = 0
        self._started = Started()
        self._own_ending: dict[str, str] = {}

    @property
    def finished(self) -> bool:
        """Whether every choice is finished."""
        return bool(self._choices) and all(c.finish for c in self._choices.values())

    def add(self, event: Event) -> None:
        """Add the next event of the stream."""
        if isinstance(event, TextDelta):
            self._counted = False
            self._pieces += 1
            choice = self._choice(event.choice)
            if event.text:
                choice.open(Text, event.block).buffer.write(event.text)
            if event.logprobs:
                choice.logprobs = choice.logprobs or []
                choice.logprobs.extend(event.logprobs)
        elif isinstance(event, ToolArguments):
            self._counted = False
            self._pieces += 1
            self._choice(event.choice).calls[event.index].buffer.write(event.text)
        elif isinstance(event, UsageReported):
            self._usage, self._counted = event.usage, True
        elif isinstance(event, Started):
            if event.response_id or event.extra:
                self._started = event
        elif not isinstance(event, (Relayed, KeepAlive)):
            self._add_rare(event)

    def _add_rare(
        self, event: ThinkingDelta | RefusalDelta | ToolCallStarted | OpaqueBlock | Finished
    ) -> None:
        choice = self._choice(event.choice)
        if isinstance(event, ToolCallStarted):
            part = _Part(ToolCall, id=event.id, name=event.name, freeform=event.freeform)
            if event.signature:
                part.signature.write(event.signature)
            choice.calls[event.index] = part
            choice.parts.append(part)
        elif isinstance(event, ThinkingDelta):
            self._pieces += 1
            part = choice.open(Thinking, event.block)
            part.buffer.write(event.text)
            if event.signature:
                part.signature.write(event.signature)
            if event.redacted:
                part.redacted.write(event.redacted)
            part.details = _joined_details(part.details, event.details)
        elif isinstance(event, RefusalDelta):
            choice.refusal.write(event.text)
        elif isinstance(event, OpaqueBlock):
            if event.attached and choice.parts and choice.parts[-1].kind is Text:
                choice.parts[-1].attach(event)
            else:
                choice.parts.append(_Part(Opaque, value=event.value, wire=event.wire))
        else:
            choice.finish, choice.stop_sequence = event.reason, event.stop_sequence
            if event.own:
                self._own_ending = {"stop_reason": event.own}

    def _choice(self, index: int) -> _Choice:
        if index not in self._choices:
            self._choices[index] = _Choice()
        return self._choices[index]

    def completion(self) -> Completion:
        """Return the completion so far.

        Tokens are estimated if the provider did not report them up to the end.
        """
        choices = tuple(
            Choice(
                parts=tuple(part.finished() for part in choice.parts),
                finish_reason=choice.finish or "other",
                refusal=choice.refusal.text,
                stop_sequence=choice.stop_sequence,
                logprobs=choice.logprobs,
            )
            for _, choice in sorted(self._choices.items())
        ) or (Choice((), "other"),)
        return Completion(
            provider=self._provider,
            model=self._request.model,
            choices=choices,
            usage=self._final_usage(choices),
            response_id=self._started.response_id,
            extra={**(self._started.extra or {}), **self._own_ending},
        )

    def _final_usage(self, choices: tuple[Choice, ...]) -> Usage:
        usage = self._usage
        if usage is not None and not (self._counted and self.finished):
            # The last report is older than the last token, or the stream was cut off.
            usage = replace(usage, unreported=tuple({*usage.unreported, "output"}))
        usage = complete_usage(usage, self._request.chat, choices)
        return self._at_least_the_pieces(usage) if usage.estimated else usage

    def _at_least_the_pieces(self, usage: Usage) -> Usage:
        """Return ``usage`` with as many output tokens as there were pieces of a cut answer.

        Providers send a token or more at a time. Some servers cut finished answers into
        characters, so the pieces count at most twice what the text is estimated at.
        """
        least = min(self._pieces, 2 * usage.output_tokens)
        if self.finished or usage.output_tokens >= least:
            return usage
        chat = self._request.chat
        if chat.max_tokens is not None:
            least = min(least, max(chat.max_tokens * chat.n, usage.output_tokens))
        return replace(usage, output_tokens=least)


def completion_events(completion: Completion) -> Iterator[Event]:
    """Yield the events that a stream of ``completion`` would have had."""
    yield Started(completion.response_id, completion.extra)
    for index, choice in enumerate(completion.choices):
        yield from _choice_events(index, choice, completion.extra.get("stop_reason") or "")
    yield UsageReported(completion.usage)


def _choice_events(index: int, choice: Choice, own_ending: str) -> Iterator[Event]:
    calls, logprobs = 0, choice.logprobs
    for block, part in enumerate(choice.parts):
        if isinstance(part, Text):
            yield TextDelta(part.text, index, logprobs, block)
            logprobs = None
        elif isinstance(part, Thinking):
            yield ThinkingDelta(
                part.text, part.signature, part.redacted, index, block, part.details
            )
        elif isinstance(part, ToolCall):
            yield ToolCallStarted(calls, part.id, part.name, part.signature, index, part.freeform)
            if part.arguments:
                yield ToolArguments(calls, part.arguments, index)
            calls += 1
        else:
            yield OpaqueBlock(part.wire, part.value, index)
    if choice.refusal:
        yield RefusalDelta(choice.refusal, index)
    yield Finished(choice.finish_reason, index, choice.stop_sequence, own_ending)

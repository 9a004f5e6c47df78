"""What every provider client accepts and returns."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from providers.chat import Chat, Text, ToolCall
from providers.events import Event

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "other"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, as the provider reported them.

    ``input_tokens`` counts all input, including ``cache_read_tokens`` and
    ``cache_write_tokens``, of which ``cache_write_1h_tokens`` are kept for an
    hour; ``output_tokens`` counts all output, including ``reasoning_tokens``.
    ``estimated`` marks counts that are ours because the provider reported none.
    """

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    cache_write_1h_tokens: int = 0


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A chat for one model."""

    model: str
    chat: Chat


@dataclass(frozen=True, slots=True)
class Thinking:
    """Reasoning that the model shows. ``redacted`` is such that only its maker can read."""

    text: str = ""
    signature: str = ""
    redacted: str = ""


@dataclass(frozen=True, slots=True)
class Opaque:
    """A piece of the answer that only the wire it came on can carry; ``text`` is its text."""

    wire: str
    value: Mapping[str, Any]
    text: str = ""


AnswerPart = Text | ToolCall | Thinking | Opaque


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer. ``logprobs`` is a list in the shape of OpenAI's ``logprobs.content``."""

    parts: tuple[AnswerPart, ...]
    finish_reason: FinishReason
    refusal: str = ""
    stop_sequence: str | None = None
    logprobs: list[Any] | None = None

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, (Text, Opaque)))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolCall))


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's answer: at least one choice.

    ``response_id`` is the provider's own id, where it gives one; ``extra`` what
    else it said about the whole answer, by its wire's names.
    """

    provider: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage
    response_id: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The first choice's text."""
        return self.choices[0].text

    @property
    def finish_reason(self) -> FinishReason:
        """The first choice's."""
        return self.choices[0].finish_reason


class Provider(Protocol):
    """A source of completions.

    ``wire`` names the protocol it speaks, ``features`` what of a request it can
    honour (:mod:`providers.features`). ``complete`` and ``stream`` raise
    :class:`providers.errors.ProviderError` and nothing else of their own;
    cancellation passes through, and closing the stream ends the call.
    """

    name: str
    wire: str
    features: frozenset[str]

    async def complete(self, request: CompletionRequest) -> Completion: ...

    def stream(self, request: CompletionRequest) -> AsyncGenerator[Event, None]: ...

    async def aclose(self) -> None: ...

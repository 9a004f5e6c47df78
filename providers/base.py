"""What every provider client accepts and returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "other"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, as the provider reported them.

    ``input_tokens`` counts all input, including ``cache_read_tokens`` and
    ``cache_write_tokens``; ``output_tokens`` counts all output, including
    ``reasoning_tokens``. ``estimated`` marks counts that are ours because the
    provider reported none.
    """

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One prompt for one model. ``max_tokens`` bounds the completion."""

    model: str
    prompt: str
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's answer. ``response_id`` is the provider's own id, where it gives one."""

    provider: str
    model: str
    text: str
    usage: Usage
    finish_reason: FinishReason
    response_id: str | None = None


class Provider(Protocol):
    """A source of completions.

    ``complete`` raises :class:`providers.errors.ProviderError` and nothing
    else of its own; cancellation passes through.
    """

    name: str

    async def complete(self, request: CompletionRequest) -> Completion: ...

    async def aclose(self) -> None: ...


def estimate_tokens(text: str) -> int:
    """Token count where the provider reports none: characters / 4, rounded up."""
    return (len(text) + 3) // 4

"""What every provider client accepts and returns, what it used, and the most it may use."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from providers.chat import Chat, Image, Part, Text, ToolCall, ToolResult, estimate_tokens
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
        """The text of all parts that have one."""
        parts = self.parts
        if len(parts) == 1 and type(parts[0]) is Text:
            return parts[0].text
        return "".join(part.text for part in parts if isinstance(part, (Text, Opaque)))

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


_MOST_TOKENS = 2_000_000_000


def token_count(value: Any) -> int:
    """A usage field as a non-negative integer; absent is 0, anything else is malformed."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("a token count is not a number")
    if not 0 <= value <= _MOST_TOKENS:
        raise ValueError("a token count is out of range")
    return int(value)


def estimated_usage(chat: Chat, choices: tuple[Choice, ...]) -> Usage:
    """Tokens of a call by our own count, marked as such."""
    output = sum(
        estimate_tokens(part.name + part.arguments)
        if isinstance(part, ToolCall)
        else estimate_tokens(part.text)
        for choice in choices
        for part in choice.parts
    )
    if chat.max_tokens is not None:
        output = min(output, chat.max_tokens * chat.n)
    return Usage(chat.estimated_tokens(), output, estimated=True)


# Providers put a few tokens of their own around each message, and a page around tools.
_AROUND_A_MESSAGE = 16
_AROUND_TOOLS = 2_000
# More than any of them charges for the largest picture it takes.
_IMAGE = 8_000


def most_input_tokens(chat: Chat) -> int:
    """More tokens than any tokenizer makes of ``chat``: they all go down to single bytes.

    An image counts as the largest that providers take; it is the one part whose
    bound is an assumption.
    """
    around = _AROUND_A_MESSAGE * (len(chat.messages) + 1) + (_AROUND_TOOLS if chat.tools else 0)
    if chat.native and chat.source is not None:
        # Parts that only their own wire can read are in there somewhere.
        return around + _size(json.dumps(chat.source.body, ensure_ascii=False, default=str))
    tools = sum(
        _size(tool.name) + _size(tool.description) + _size(json.dumps(dict(tool.parameters)))
        for tool in chat.tools
    )
    output = chat.output
    schema = _size(json.dumps(output.schema)) if output and output.schema else 0
    return around + tools + schema + sum(map(_part, chat.parts()))


def most_embedded_tokens(body: Mapping[str, Any]) -> int:
    """The same for the texts, or the tokens, of a request for embeddings."""
    given = body.get("input")
    items = given if isinstance(given, list) else [given]
    return sum(
        _size(item) + _AROUND_A_MESSAGE
        if isinstance(item, str)
        else (len(item) if isinstance(item, list) else 1)
        for item in items
    )


def _part(part: Part) -> int:
    if isinstance(part, Text):
        return _size(part.text)
    if isinstance(part, ToolCall):
        return _size(part.name) + _size(part.arguments) + _size(part.id) + _AROUND_A_MESSAGE
    if isinstance(part, ToolResult):
        return _size(part.call_id) + _AROUND_A_MESSAGE + sum(map(_part, part.content))
    return _IMAGE if isinstance(part, Image) else 0


def _size(text: str) -> int:
    """In bytes of UTF-8; a lone surrogate takes three."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))

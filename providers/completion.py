"""The input and output of every provider client, with the usage of tokens."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import field
from decimal import Decimal
from typing import Any, Literal, Protocol

from providers.chat import Chat, Text, Thinking, ToolCall
from providers.events import Event
from providers.units import Units
from providers.values import frozen

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "other"]


@frozen
class Usage:
    """Tokens of one call, as the provider reported them.

    ``input_tokens`` counts all input, including ``cache_read_tokens``, ``cache_write_tokens``
    and the input that is audio, images or video; ``cache_write_1h_tokens`` are those written
    to the cache for an hour, ``audio_read_tokens`` and ``image_read_tokens`` those of audio
    and images that were read from it. ``output_tokens`` counts all output, including
    ``reasoning_tokens`` and the output that is audio, images or video. ``estimated`` marks our own
    counts, used if the provider reported none; ``unreported`` names those still to be
    estimated ("input", "output"), or that are known only later, if the call goes on in the
    background.

    ``web_searches`` and ``file_searches`` are those that the provider ran for the model, and
    ``preview_searches`` those of the former that OpenAI's earlier tool made. ``code_sessions``
    are the gigabytes of the containers in which it ran code (xAI: its runs), ``map_prompts``
    whether the answer has sources from Google Maps (0 or 1). ``attachment_searches`` and
    ``search_sources`` are xAI's: searches in attached files, and sources of its live search.
    ``service_tier``, ``speed`` and ``geography`` name the price variant that served the call, ""
    for the standard one; ``search_context`` is Perplexity's "low", "medium" or "high".
    ``reported_cost`` is what the provider says it charged for the whole call, in USD.

    ``beside`` are calls that the provider made within this one, such as a compaction or an
    image by another model, each with its model, "" for the call's own. Their tokens are not
    among those above. ``by_gateway`` marks such a call that this service made by itself.
    ``units`` are what a model that is not billed by tokens alone used, ``None`` for all others.
    """

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    cache_write_1h_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    web_searches: int = 0
    file_searches: int = 0
    service_tier: str = ""
    speed: str = ""
    search_context: str = ""
    reported_cost: Decimal | None = None
    unreported: tuple[str, ...] = ()
    image_input_tokens: int = 0
    image_output_tokens: int = 0
    video_input_tokens: int = 0
    audio_read_tokens: int = 0
    image_read_tokens: int = 0
    code_sessions: int = 0
    map_prompts: int = 0
    preview_searches: int = 0
    attachment_searches: int = 0
    search_sources: int = 0
    video_output_tokens: int = 0
    geography: str = ""
    beside: tuple[tuple[str, Usage], ...] = ()
    by_gateway: bool = False
    units: Units | None = None

    @property
    def has_fees(self) -> bool:
        """Whether the provider ran tools that have fees, or bills other units than tokens."""
        return bool(
            self.web_searches
            or self.file_searches
            or self.code_sessions
            or self.map_prompts
            or self.attachment_searches
            or self.search_sources
            or self.units
        )

    @property
    def total_input_tokens(self) -> int:
        """The input tokens of the call and of the calls beside it."""
        if not self.beside:
            return self.input_tokens
        return self.input_tokens + sum(usage.input_tokens for _, usage in self.beside)

    @property
    def total_output_tokens(self) -> int:
        """The output tokens of the call and of the calls beside it."""
        if not self.beside:
            return self.output_tokens
        return self.output_tokens + sum(usage.output_tokens for _, usage in self.beside)


@frozen
class CompletionRequest:
    """A chat for one model. ``lacks`` are the features that the model does not have.

    ``service_tier`` is the tier that this call asks for, whatever the chat says; "" leaves it.
    """

    model: str
    chat: Chat
    lacks: frozenset[str] = frozenset()
    service_tier: str = ""


@frozen
class Opaque:
    """A part of the answer that only its own wire can represent; ``text`` is its text."""

    wire: str
    value: Mapping[str, Any]
    text: str = ""


AnswerPart = Text | ToolCall | Thinking | Opaque


@frozen
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
        """The parts that are tool calls."""
        return tuple(part for part in self.parts if isinstance(part, ToolCall))


@frozen
class RelayedAnswer:
    """The provider's own answer, for a client that uses the same wire.

    ``body`` is its JSON, ``raw`` the bytes in which it came (empty if ``body`` was repaired),
    and ``headers`` are those that clients of the wire read.
    """

    body: Mapping[str, Any]
    raw: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@frozen
class Completion:
    """A model's answer: at least one choice.

    ``response_id`` is the provider's own id, if it gives one. ``extra`` holds other fields
    about the whole answer, under the names of the provider's wire. ``relayed`` is the answer
    as it came, if the client uses the provider's wire. ``member`` is the short name of the pool's
    member that answered, "" without a pool.
    """

    provider: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage
    response_id: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    relayed: RelayedAnswer | None = None
    member: str = ""

    @property
    def text(self) -> str:
        """The first choice's text."""
        return self.choices[0].text

    @property
    def finish_reason(self) -> FinishReason:
        """The first choice's finish reason."""
        return self.choices[0].finish_reason

    def passed_on(self, relayed: RelayedAnswer) -> Completion:
        """Return the completion with the answer as it came; most answers take this step."""
        return Completion(
            self.provider, self.model, self.choices, self.usage, self.response_id, self.extra,
            relayed, self.member,
        )  # fmt: skip


class Provider(Protocol):
    """A source of completions.

    ``wire`` names its protocol, ``features`` the features of a request that it supports
    (:mod:`providers.features`). ``complete`` and ``stream`` raise
    :class:`providers.errors.ProviderError` and nothing else of their own;
    cancellation passes through, and closing the stream ends the call.
    """

    name: str
    wire: str
    features: frozenset[str]

    async def complete(self, request: CompletionRequest) -> Completion:
        """Return the model's whole answer."""
        ...

    def stream(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        """Yield the events of the answer as they arrive."""
        ...

    async def aclose(self) -> None:
        """Release what the provider holds."""
        ...

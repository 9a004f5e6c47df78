"""The input and output of every provider client, its token usage, and upper bounds for tokens."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import field, replace
from decimal import Decimal
from typing import Any, Literal, Protocol

from providers.chat import (
    TOKENS_PER_MESSAGE,
    Chat,
    File,
    Image,
    Native,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from providers.events import Event
from providers.large_json import json_pieces
from providers.token_estimates import estimate_tokens
from providers.units import Units
from providers.values import frozen

_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode
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


def charged_input(chat: Chat) -> int:
    """Return the estimated input tokens that a provider charges for.

    They include what it adds to a single message, which is not part of the prompt.
    """
    tokens = chat.estimated_tokens()
    return tokens + TOKENS_PER_MESSAGE if len(chat.messages) == 1 else tokens


_LIMIT_PASSED = 1.5
"""An estimate that is this many times ``max_tokens`` shows that the provider did not keep it."""


def estimated_usage(chat: Chat, choices: tuple[Choice, ...]) -> Usage:
    """Return our own estimate of a call's tokens, marked as estimated."""
    output = sum(
        estimate_tokens(part.name + part.arguments)
        if isinstance(part, ToolCall)
        else estimate_tokens(part.text)
        for choice in choices
        for part in choice.parts
    )
    if chat.max_tokens is not None:
        allowed = chat.max_tokens * chat.n
        # A little more is an error of the estimate. Much more was written beyond the limit.
        if output <= allowed * _LIMIT_PASSED:
            output = min(output, allowed)
    return Usage(charged_input(chat), output, estimated=True)


# Where no limit is set, most answers are shorter.
_USUAL_OUTPUT = 1_000


def lost_usage(chat: Chat) -> Usage:
    """Return our estimate for a call whose whole answer was lost, marked as estimated.

    The provider may have written all that the request allows; it does not notice that nobody
    waits for it any more.
    """
    output = (_USUAL_OUTPUT if chat.max_tokens is None else chat.max_tokens) * chat.n
    return Usage(charged_input(chat), output, estimated=True)


def complete_usage(usage: Usage | None, chat: Chat, choices: tuple[Choice, ...]) -> Usage:
    """Return ``usage`` with our own estimate of what the provider did not report.

    A report of no output is no count if the answer has content.
    """
    if usage is None:
        return estimated_usage(chat, choices)
    if usage.output_tokens and not usage.unreported:
        return usage
    estimate = estimated_usage(chat, choices)
    input_known = "input" not in usage.unreported
    if input_known and "output" not in usage.unreported and not estimate.output_tokens:
        return usage
    return replace(
        usage,
        input_tokens=usage.input_tokens if input_known else estimate.input_tokens,
        # What was reported before the end is a lower bound.
        output_tokens=usage.output_tokens
        if usage.output_tokens and "output" not in usage.unreported
        else max(usage.output_tokens, estimate.output_tokens),
        estimated=True,
        unreported=(),
    )


def complete_embedded_usage(usage: Usage | None, body: Mapping[str, Any]) -> Usage:
    """Return the usage of embeddings, whose input is estimated if it is not reported."""
    if usage is not None and "input" not in usage.unreported:
        # Embeddings have no output to report.
        return replace(usage, output_tokens=0, estimated=False, unreported=())
    usage = usage or Usage(0, 0)
    tokens = embedded_tokens(body)
    return replace(usage, input_tokens=tokens, output_tokens=0, estimated=True, unreported=())


def embedded_tokens(body: Mapping[str, Any]) -> int:
    """Return the estimated tokens of the texts, or the tokens, of a request for embeddings."""
    inputs = body.get("input")
    items = inputs if isinstance(inputs, list) else [inputs]
    return sum(
        estimate_tokens(item)
        if isinstance(item, str)
        else (len(item) if isinstance(item, list) else 1)
        for item in items
    )


# Providers add a few tokens of their own to each message, and a page of text to tools.
_MESSAGE_OVERHEAD = 16
_TOOLS_OVERHEAD = 2_000
# The most tokens of an image: Qwen2-VL's 16 384 (https://huggingface.co/Qwen/Qwen2-VL-7B-Instruct).
LARGEST_IMAGE = 16_384
# OpenAI counts an image 33 times as dear for this model, beyond its context window too: 2 833 and
# 5 667 for each of at most eight tiles (https://platform.openai.com/docs/guides/images-vision).
_DEARER_IMAGES = {"gpt-4o-mini": 2_833 + 8 * 5_667}


def largest_image(model: str) -> int:
    """Return the most tokens that an image costs with this model."""
    dearer = (tokens for name, tokens in _DEARER_IMAGES.items() if name in model)
    return next(dearer, LARGEST_IMAGE)


def most_input_tokens(chat: Chat) -> int:
    """Return an upper bound of the input tokens of ``chat``, for any tokenizer.

    It counts bytes, because no token is shorter than one byte. An image counts as the
    largest that providers accept; only this part of the bound is an assumption.
    """
    overhead = _MESSAGE_OVERHEAD * (len(chat.messages) + 1)
    overhead += _TOOLS_OVERHEAD if chat.tools else 0
    native = chat.native or any(isinstance(part, Native) for part in chat.parts())
    if native and chat.source is not None:
        # The body includes the parts that only its own wire can read, wherever they are.
        return overhead + most_body_tokens(chat.source.body)
    tools = sum(
        utf8_size(tool.name)
        + utf8_size(tool.description)
        + utf8_size(json.dumps(dict(tool.parameters)))
        for tool in chat.tools
    )
    output = chat.output
    schema = utf8_size(json.dumps(output.schema)) if output and output.schema else 0
    return overhead + tools + schema + sum(map(_part_size, chat.parts()))


def most_body_tokens(body: Mapping[str, Any]) -> int:
    """Return the same bound for the body of a request, whichever its wire."""
    turns = max(
        len(value) if isinstance(value := body.get(name), list) else 0
        for name in ("messages", "input", "contents")
    )
    overhead = _MESSAGE_OVERHEAD * (turns + 1) + (_TOOLS_OVERHEAD if body.get("tools") else 0)
    return overhead + _body_size(body) + LARGEST_IMAGE * images_in(body)


_GEMINI_BLOBS = ("inlineData", "inline_data", "fileData", "file_data")


def images_in(body: Mapping[str, Any]) -> int:
    """Return how many images a request may have: the bytes of a small one bound no tokens."""
    count, values = 0, [body.get(name) for name in ("messages", "input", "contents")]
    while values:
        value = values.pop()
        if isinstance(value, list):
            values.extend(value)
        elif isinstance(value, Mapping):
            kind = value.get("type")
            count += isinstance(kind, str) and ("image" in kind or "screenshot" in kind)
            count += any(value.get(name) for name in _GEMINI_BLOBS)
            values.extend(value.values())
    return count


def most_embedded_tokens(body: Mapping[str, Any]) -> int:
    """Return the same bound for the texts, or the tokens, of a request for embeddings."""
    inputs = body.get("input")
    items = inputs if isinstance(inputs, list) else [inputs]
    return sum(map(_embedded_size, items))


def _embedded_size(item: Any) -> int:
    if isinstance(item, str):
        return utf8_size(item) + _MESSAGE_OVERHEAD
    if isinstance(item, int) or (isinstance(item, list) and all(type(n) is int for n in item)):
        return 1 if isinstance(item, int) else len(item)
    # Another dialect's parts, of which each may be an image.
    return _body_size({"input": item}) + LARGEST_IMAGE * (1 + images_in({"input": item}))


def _body_size(body: Mapping[str, Any]) -> int:
    separators = (", ", ": ")
    return sum(map(utf8_size, json_pieces(body, _encode, separators=separators)))


def _part_size(part: Part) -> int:
    if isinstance(part, Text):
        return utf8_size(part.text)
    if isinstance(part, ToolCall):
        return (
            utf8_size(part.name)
            + utf8_size(part.arguments)
            + utf8_size(part.id)
            + _MESSAGE_OVERHEAD
        )
    if isinstance(part, ToolResult):
        return utf8_size(part.call_id) + _MESSAGE_OVERHEAD + sum(map(_part_size, part.content))
    if isinstance(part, File):
        return utf8_size(part.text) + utf8_size(part.name) + len(part.data) + _MESSAGE_OVERHEAD
    if isinstance(part, Thinking):
        return utf8_size(part.text)
    return LARGEST_IMAGE if isinstance(part, Image) else 0


def pictures_of(chat: Chat) -> Iterator[Part]:
    """Yield the parts of a chat, those within results of tools too."""
    for part in chat.parts():
        yield part
        if isinstance(part, ToolResult):
            yield from part.content


def utf8_size(text: str) -> int:
    """Return the size in bytes of UTF-8; a lone surrogate takes three."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))

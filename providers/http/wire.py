"""The base of the wires: a completion is one POST, whole or streamed."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from codecs import BOM_UTF8
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import httpx

from providers.assembly import CompletionBuilder, completion_events
from providers.charges import COST_HEADER, cost_in_headers, with_tier
from providers.completion import Completion, CompletionRequest, RelayedAnswer
from providers.effort_levels import NO_EFFORTS, Efforts
from providers.errors import (
    AnswerFailed,
    ConnectionLost,
    ContentBlocked,
    EmptyCompletion,
    MalformedResponse,
    ProviderError,
)
from providers.events import Event, Relayed, Started, UsageReported
from providers.http.json_client import JsonClient, as_json
from providers.http.streaming import (
    JsonMessages,
    StreamReader,
    WholeCharacters,
    WholeMessages,
    as_text,
    is_event_stream,
    json_messages,
)
from providers.http.transport import HttpClient, client_headers
from providers.http.unlabelled import ReadResponse, is_event_text
from providers.large_json import LARGE_BYTES, replace_constants
from providers.storable import storable_completion
from providers.values import changed

logger = logging.getLogger(__name__)

# The errors that reading an answer of an unexpected shape raises.
SHAPE_ERRORS = (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError)


class _Reading:
    """Makes errors of an answer's shape a :class:`MalformedResponse`, without a generator."""

    __slots__ = ("_provider",)

    def __init__(self, provider: str) -> None:
        self._provider = provider

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: object, _: object) -> None:
        if kind is None or issubclass(kind, ProviderError) or not issubclass(kind, SHAPE_ERRORS):
            return
        assert isinstance(error, BaseException)
        detail = "returned an answer that does not follow its protocol"
        raise MalformedResponse(self._provider, detail) from error


class WireClient(JsonClient, ABC):
    """A provider reached by one JSON POST per completion.

    A subclass defines its wire: the path, the headers, the body, and how to read the
    answer. ``wires`` are the wires on which requests pass unchanged, ``wire`` is the one to
    which all others are translated. What depends on the request's own wire is given it as
    ``wire``: see :meth:`own_wire`. ``relays_side_calls`` is whether the provider has the other
    endpoints of its wire, too. ``on_headers`` is called with the model and the headers of each
    answer, where a pool wants them.
    """

    wires: frozenset[str]
    features: frozenset[str]
    relays_side_calls: bool = True

    @property
    def has_tiers(self) -> bool:
        """Whether a call may ask for a service tier."""
        return bool(self._tier_fields("flex"))

    def __init_subclass__(cls) -> None:
        """Set ``wires`` to the wire alone, unless the subclass names more."""
        super().__init_subclass__()
        if "wire" in cls.__dict__ and "wires" not in cls.__dict__:
            cls.wires = frozenset({cls.wire})

    def __init__(
        self,
        name: str,
        client: HttpClient,
        base_url: str,
        api_key: str = "",
        timeout: httpx.Timeout | None = None,
        stream_timeout: httpx.Timeout | None = None,
    ) -> None:
        super().__init__(name, client, base_url, api_key, timeout, stream_timeout)
        self._reading = _Reading(name)
        self.on_headers: Callable[[str, Mapping[str, str]], None] | None = None

    def own_wire(self, request: CompletionRequest) -> str | None:
        """Return the wire on which the request goes out as it came, ``None`` to translate it.

        It is looked for once a call, and given to whatever depends on it.
        """
        source = request.chat.source
        return source.wire if source is not None and source.wire in self.wires else None

    def efforts(self, model: str, lacks: frozenset[str] = frozenset()) -> Efforts:
        """Return the efforts of reasoning that ``model`` takes; ``lacks`` are its missing features.

        Models of this wire take none, unless the subclass says which.
        """
        return NO_EFFORTS

    async def complete(self, request: CompletionRequest) -> Completion:
        """Return the model's answer. Raises :class:`ProviderError`."""
        large, wire = request.chat.large, self.own_wire(request)
        if large:
            content = await asyncio.to_thread(self._body, request, wire)
        else:
            content = self._body(request, wire)
        path = self._path(request, wire, stream=False)
        whole = await self._post(path, content, self._headers(request))
        raw = whole.body
        if self.on_headers is not None:
            self.on_headers(request.model, whole.headers)
        try:
            if large or len(raw) > LARGE_BYTES:
                answer = await asyncio.to_thread(self._answer, request, wire, raw)
            else:
                answer = self._answer(request, wire, raw)
        except MalformedResponse:
            if not is_event_text(raw):
                raise
            # Some servers stream whatever they are asked for.
            read = ReadResponse(httpx.Headers(whole.raw_headers), raw)
            answer = await self._assembled(request, wire, read), None, False
        completion, body, repaired = answer
        if tier := self._tier_in(whole.headers):
            usage = with_tier(completion.usage, tier)
            completion = changed(completion, usage=usage)
        if COST_HEADER in whole.headers and completion.usage.reported_cost is None:
            usage = changed(completion.usage, reported_cost=cost_in_headers(whole.headers))
            completion = changed(completion, usage=usage)
        self._must_have_text(request, completion)
        if body is not None and wire is not None:
            headers = client_headers(whole.raw_headers)
            relayed = RelayedAnswer(body, b"" if repaired else raw, headers)
            completion = completion.passed_on(relayed)
        return completion

    def _must_have_text(self, request: CompletionRequest, completion: Completion) -> None:
        wanted = not request.chat.allow_empty and not completion.text.strip()
        if wanted and completion.finish_reason != "length":
            usage = completion.usage
            if completion.finish_reason == "content_filter" or completion.choices[0].refusal:
                raise ContentBlocked(self.name, "blocked the content", usage=usage)
            raise EmptyCompletion(self.name, "returned an answer without text", usage=usage)

    def batched_body(self, request: CompletionRequest) -> tuple[str, dict[str, Any]]:
        """Return the path and the body of a request that is sent as a part of a batch."""
        wire = self.own_wire(request)
        body = self._payload(request, wire)
        return self._path(request, wire, stream=False), {
            name: value for name, value in body.items() if name != "stream"
        }

    def read_batched(self, request: CompletionRequest, raw: bytes) -> Completion:
        """Return the answer that a batch has for ``request``, priced as a part of a batch.

        Raises :class:`ProviderError`.
        """
        wire = self.own_wire(request)
        completion, body, repaired = self._answer(request, wire, raw)
        usage = changed(completion.usage, service_tier="batch", speed="")
        completion = changed(completion, usage=usage)
        self._must_have_text(request, completion)
        if body is not None and wire is not None:
            relayed = RelayedAnswer(body, b"" if repaired else raw)
            completion = completion.passed_on(relayed)
        return completion

    def _body(self, request: CompletionRequest, wire: str | None, *, stream: bool = False) -> bytes:
        payload = self._payload(request, wire)
        if request.service_tier:
            payload = {**payload, **self._tier_fields(request.service_tier)}
        if stream:
            payload = {**payload, **self._stream_fields(request, wire)}
        return as_json(payload)

    def _answer(
        self, request: CompletionRequest, wire: str | None, raw: bytes
    ) -> tuple[Completion, dict[str, Any] | None, bool]:
        """Return the completion, the body that it was read from, and whether that was repaired."""
        with self._reading:
            body = self._object(raw)
            # Some servers write NaN, which is no JSON, or a byte order mark before it, or UTF-16.
            repaired = raw.startswith(BOM_UTF8) or b"\0" in raw
            if b"NaN" in raw or b"Infinity" in raw:
                repaired |= replace_constants(body)
            repaired |= self._repair(wire, body)
            completion = self._parse(request, wire, body)
            if not _is_plain_ascii(raw):
                completion = storable_completion(completion)
        return completion, body, repaired

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        """Yield the answer's events as they arrive. Raises :class:`ProviderError`.

        On the request's own wire, each message of the provider follows its events. Closing the
        generator ends the call to the provider.
        """
        wire = self.own_wire(request)
        if request.chat.large:
            content = await asyncio.to_thread(self._body, request, wire, stream=True)
        else:
            content = self._body(request, wire, stream=True)
        path, headers = self._path(request, wire, stream=True), self._headers(request)
        async with self._open(path, content, headers) as response:
            answer: httpx.Response | ReadResponse = response
            if self.on_headers is not None:
                self.on_headers(request.model, response.headers)
            if not is_event_stream(response):
                raw = await self._read(response)
                if not is_event_text(raw):
                    # Some servers answer a request for a stream with the whole answer.
                    completion, *_ = await asyncio.to_thread(self._answer, request, wire, raw)
                    for event in completion_events(completion):
                        yield event
                    return
                answer = ReadResponse(response.headers, raw)
            async with aclosing(self._events(request, wire, answer)) as events:
                async for event in events:
                    yield event

    async def _events(
        self, request: CompletionRequest, wire: str | None, response: httpx.Response | ReadResponse
    ) -> AsyncGenerator[Event, None]:
        relays, whole = wire is not None, WholeMessages()
        reader, characters = self._reader(request, wire), WholeCharacters()
        tier = self._tier_in(response.headers)
        shown = client_headers(response.headers.raw) if relays else None
        yield Started(headers=shown, relayed=relays)
        async with aclosing(self._messages(response)) as messages:
            async for name, text, data in messages:
                mended_text = relays and whole.mend(text, data)
                try:
                    read = self._feed(reader, name, data)
                except ProviderError as error:
                    # A message that only ends the answer reports nothing that clients look for.
                    reports = not isinstance(error, (AnswerFailed, EmptyCompletion))
                    if relays and reports and not self.holds_key(text.encode("utf-8", "replace")):
                        error.event = data
                    if error.usage is not None:
                        # What was written until then is charged.
                        yield UsageReported(error.usage)
                    raise
                for event in read:
                    if tier and isinstance(event, UsageReported):
                        yield UsageReported(with_tier(event.usage, tier))
                        continue
                    mended = characters.mend(event)
                    if mended is not None:
                        yield mended
                if relays:
                    # Data of several lines is legal, and many clients read one line alone.
                    repaired = reader.repaired or mended_text or (data is not None and "\n" in text)
                    yield Relayed(name, as_text(data) if repaired else text, data)
        if not reader.complete:
            raise ConnectionLost(self.name, "ended the stream before the answer was complete")

    def _messages(self, response: httpx.Response | ReadResponse) -> JsonMessages:
        """Return the name, the text and the JSON of each message of a stream."""
        return json_messages(self.name, response)

    def _feed(self, reader: StreamReader, name: str, data: dict[str, Any] | None) -> list[Event]:
        """Return the events of one message.

        A message that cannot be read is left out: what was sent before and after it is paid for.
        """
        events: list[Event] = []
        try:
            events.extend(reader.feed(name, data))
        except SHAPE_ERRORS as error:
            logger.warning(
                "%s streamed a message of an unexpected shape", self.name, exc_info=error
            )
        return events

    async def _assembled(
        self, request: CompletionRequest, wire: str | None, response: ReadResponse
    ) -> Completion:
        builder = CompletionBuilder(self.name, request)
        async with aclosing(self._events(request, wire, response)) as events:
            async for event in events:
                if not isinstance(event, Relayed):
                    builder.add(event)
        return builder.completion()

    # The fields that turn a request into one for a stream.
    _streamed: Mapping[str, Any] = {}

    def _stream_fields(self, request: CompletionRequest, wire: str | None) -> Mapping[str, Any]:
        """Return the fields that turn this request into one for a stream."""
        return self._streamed

    def _tier_fields(self, tier: str) -> Mapping[str, Any]:
        """Return the fields that ask for a service tier; none on wires without tiers."""
        return {}

    def _tier_in(self, headers: Mapping[str, str]) -> str:
        """Return the service tier that the headers of an answer name, "" for none."""
        return ""

    def _repair(self, wire: str | None, body: dict[str, Any]) -> bool:
        """Mend in ``body`` what would break every client; return whether anything changed."""
        return False

    @abstractmethod
    def _path(self, request: CompletionRequest, wire: str | None, *, stream: bool) -> str: ...

    @abstractmethod
    def _headers(self, request: CompletionRequest) -> Mapping[str, str]: ...

    @abstractmethod
    def _payload(self, request: CompletionRequest, wire: str | None) -> dict[str, Any]: ...

    @abstractmethod
    def _parse(
        self, request: CompletionRequest, wire: str | None, body: dict[str, Any]
    ) -> Completion: ...

    @abstractmethod
    def _reader(self, request: CompletionRequest, wire: str | None) -> StreamReader: ...


def _is_plain_ascii(raw: bytes) -> bool:
    """Return whether a JSON text holds ASCII alone, unescaped: any database stores that.

    A NUL means another encoding (JSON may be UTF-16), in which escapes look different.
    """
    return raw.isascii() and b"\\u" not in raw and b"\0" not in raw

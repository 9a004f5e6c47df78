"""The base of the HTTP clients: one POST, whole or streamed, and the errors it can end in."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import orjson

from providers.completion import Completion, CompletionRequest
from providers.errors import (
    ConnectionFailed,
    ConnectionLost,
    ContentBlocked,
    EmptyCompletion,
    MalformedResponse,
    ProviderError,
    ProviderTimeout,
    error_for_status,
)
from providers.events import Event
from providers.http.streaming import (
    EventTooLarge,
    StreamReader,
    WholeCharacters,
    server_sent_events,
)
from providers.http.transport import CALL_FAILED, HttpClient, Target, body_of, was_sent
from providers.storable import storable_completion

MAX_RESPONSE_BYTES = 16 * 1024 * 1024
LONGEST_RETRY_AFTER = 24 * 3600.0
_LONGEST_WORDS = 500
_MOST_TARGETS = 1000
# The errors that reading an answer of an unexpected shape raises.
_SHAPE_ERRORS = (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError)


class WireClient(ABC):
    """A provider reached by one JSON POST per completion.

    A subclass defines its wire: the path, the headers, the body, and how to read the
    answer. ``client`` is the process's pooled client; it is shared and not closed here.
    ``api_key`` never appears in ``repr``, logs or errors.
    """

    wire: str
    features: frozenset[str]

    def __init__(
        self,
        name: str,
        client: HttpClient,
        base_url: str,
        api_key: str = "",
        timeout: httpx.Timeout | None = None,
        stream_timeout: httpx.Timeout | None = None,
    ) -> None:
        self.name = name
        self._client = client
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._timeout = timeout or httpx.Timeout(600.0, connect=5.0)
        self._stream_timeout = stream_timeout or timeout or httpx.Timeout(120.0, connect=5.0)
        self._targets: dict[tuple[Any, ...], Target] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    async def complete(self, request: CompletionRequest) -> Completion:
        """Return the model's answer. Raises :class:`ProviderError`."""
        raw = await self._post(
            self._path(request, stream=False), self._payload(request), self._headers(request)
        )
        with self._reading():
            completion = self._parse(request, self._object(raw))
            if not _is_plain_ascii(raw):
                completion = storable_completion(completion)
        if not request.chat.allow_empty and not completion.text.strip():
            usage = completion.usage
            if completion.finish_reason == "content_filter" or completion.choices[0].refusal:
                raise ContentBlocked(self.name, "blocked the content", usage=usage)
            raise EmptyCompletion(self.name, "returned an answer without text", usage=usage)
        return completion

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        """Yield the answer's events as they arrive. Raises :class:`ProviderError`.

        Closing the generator ends the call to the provider.
        """
        reader, characters = self._reader(request), WholeCharacters()
        payload = {**self._payload(request), **self._streamed}
        path, headers = self._path(request, stream=True), self._headers(request)
        async with aclosing(self._messages(path, payload, headers)) as messages:
            async for name, data in messages:
                with self._reading():
                    events = list(reader.feed(name, data))
                for event in events:
                    mended = characters.mend(event)
                    if mended is not None:
                        yield mended
        if not reader.complete:
            raise ConnectionLost(self.name, "ended the stream before the answer was complete")

    async def aclose(self) -> None:
        """Do nothing: the pooled client belongs to the registry."""

    async def post(
        self, path: str, payload: Mapping[str, Any], headers: Mapping[str, str]
    ) -> dict[str, Any]:
        """POST JSON and read a JSON object. Raises :class:`ProviderError`."""
        return self._object(await self._post(path, payload, headers))

    async def _post(
        self, path: str, payload: Mapping[str, Any], headers: Mapping[str, str]
    ) -> bytes:
        async with self._open(path, payload, headers) as response:
            return await self._read(response)

    def _object(self, raw: bytes) -> dict[str, Any]:
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise MalformedResponse(self.name, "returned malformed JSON") from error
        if not isinstance(body, dict):
            raise MalformedResponse(self.name, "returned JSON that is not an object")
        return body

    async def _messages(
        self, path: str, payload: Mapping[str, Any], headers: Mapping[str, str]
    ) -> AsyncGenerator[tuple[str, dict[str, Any] | None], None]:
        """Yield the name and the data of each server-sent event; ``None`` for ``[DONE]``."""
        async with self._open(path, payload, headers, streamed=True) as response:
            if "text/event-stream" not in response.headers.get("content-type", ""):
                raise MalformedResponse(self.name, "did not return an event stream")
            try:
                async for message in server_sent_events(response):
                    if not message.data:
                        continue
                    if message.data.strip() == "[DONE]":
                        yield message.event, None
                        return
                    data = json.loads(message.data)
                    if not isinstance(data, dict):
                        raise MalformedResponse(self.name, "streamed JSON that is not an object")
                    yield message.event, data
            except EventTooLarge:
                raise MalformedResponse(self.name, "streamed an event larger than 16 MiB") from None
            except (ValueError, RecursionError) as error:
                raise MalformedResponse(self.name, "streamed malformed JSON") from error

    @asynccontextmanager
    async def _open(
        self,
        path: str,
        payload: Mapping[str, Any],
        headers: Mapping[str, str],
        *,
        streamed: bool = False,
    ) -> AsyncIterator[httpx.Response]:
        """Yield a successful response with an unread body. Raises :class:`ProviderError`."""
        try:
            response = await self._client.post(
                self._target(path, headers, streamed), _as_json(payload)
            )
            try:
                if not response.is_success:
                    raise self._error(response, await self._read(response))
                yield response
            finally:
                await response.aclose()
        except CALL_FAILED as error:
            raise self._call_failed(error) from error

    def _call_failed(self, error: Exception) -> ProviderError:
        timed_out = isinstance(error, httpx.TimeoutException)
        if not was_sent(error):
            words = "could not be reached in time" if timed_out else "could not be reached"
            return ConnectionFailed(self.name, f"{words} ({type(error).__name__})")
        # A connection that breaks is mapped to ConnectTimeout, too.
        if timed_out and not isinstance(error, httpx.ConnectTimeout):
            return ProviderTimeout(self.name, "did not answer in time")
        return ConnectionLost(self.name, "lost the connection before the answer was complete")

    def _target(self, path: str, headers: Mapping[str, str], streamed: bool) -> Target:
        key = (path, streamed, *headers.items())
        target = self._targets.get(key)
        if target is None:
            if len(self._targets) >= _MOST_TARGETS:
                self._targets.clear()
            url = f"{self._base_url}{path}"
            all_headers = {"content-type": "application/json", **headers}
            target = self._targets[key] = Target.of(
                url, all_headers, self._stream_timeout if streamed else self._timeout
            )
        return target

    async def _read(self, response: httpx.Response) -> bytes:
        body = await body_of(response, MAX_RESPONSE_BYTES)
        if body is None:
            raise MalformedResponse(self.name, "returned an answer larger than 16 MiB")
        return body

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except ProviderError:
            raise
        except _SHAPE_ERRORS as error:
            raise MalformedResponse(
                self.name, "returned an answer that does not follow its protocol"
            ) from error

    def _error(self, response: httpx.Response, raw: bytes) -> ProviderError:
        error = error_for_status(
            self.name, response.status_code, retry_after=retry_after_seconds(response.headers)
        )
        error.words = self._words(raw)
        return error

    def _words(self, raw: bytes) -> str:
        """Return the provider's own error message, which only the client may see."""
        try:
            message = json.loads(raw)["error"]["message"]
        except _SHAPE_ERRORS:
            return ""
        if not isinstance(message, str) or (self._api_key and self._api_key in message):
            return ""
        return message[:_LONGEST_WORDS]

    # The fields that turn a request into one for a stream.
    _streamed: Mapping[str, Any] = {}

    @abstractmethod
    def _path(self, request: CompletionRequest, *, stream: bool) -> str: ...

    @abstractmethod
    def _headers(self, request: CompletionRequest) -> Mapping[str, str]: ...

    @abstractmethod
    def _payload(self, request: CompletionRequest) -> dict[str, Any]: ...

    @abstractmethod
    def _parse(self, request: CompletionRequest, body: dict[str, Any]) -> Completion: ...

    @abstractmethod
    def _reader(self, request: CompletionRequest) -> StreamReader: ...


def _is_plain_ascii(raw: bytes) -> bool:
    """Return whether a JSON text holds ASCII alone, unescaped: any database stores that.

    A NUL means another encoding (JSON may be UTF-16), in which escapes look different.
    """
    return raw.isascii() and b"\\u" not in raw and b"\0" not in raw


def _as_json(payload: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(payload)
    except TypeError:  # integers of more than 64 bits, or lone surrogates
        return json.dumps(payload).encode()


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Return ``Retry-After`` in seconds: a number or an HTTP date (RFC 9110, section 10.2.3).

    OpenAI and Anthropic also send ``retry-after-ms``. The result is ``None`` if the header is
    absent or unreadable, else from 0 seconds to a day.
    """
    try:
        if milliseconds := headers.get("retry-after-ms"):
            seconds = float(milliseconds) / 1000
        elif value := headers.get("retry-after"):
            try:
                seconds = float(value)
            except ValueError:
                when = parsedate_to_datetime(value)
                when = when if when.tzinfo else when.replace(tzinfo=UTC)
                seconds = (when - datetime.now(UTC)).total_seconds()
        else:
            return None
    except (ValueError, TypeError, OverflowError):
        return None
    if seconds != seconds:  # NaN
        return None
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER)

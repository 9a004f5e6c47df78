"""The HTTP side of a provider: posts with its keys, whole or streamed, and the errors of both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

import httpx
import orjson

from providers.errors import MalformedResponse, ProviderError
from providers.http.error_answer import call_failed, holds_key, read_error
from providers.http.exchange import WholeAnswer
from providers.http.key_pool import KeyPool
from providers.http.side_calls import SideAnswer, SideCall, passed_on
from providers.http.transport import (
    CALL_FAILED,
    HttpClient,
    Target,
    body_of,
    client_headers,
)
from providers.large_json import LARGE_BYTES, read_large, write_large

MAX_RESPONSE_BYTES = 64 * 1024 * 1024
_BUFFER_BYTES = 2048
"""Below this, what orjson took for a text is worth giving back."""
_MOST_TARGETS = 1000


class JsonClient:
    """Sends JSON to one provider with its keys, and reads what comes back.

    ``client`` is the process's pooled client; it is shared and not closed here. ``api_key`` never
    appears in ``repr``, logs or errors.
    """

    wire: str

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
        self.keys: KeyPool | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    async def aclose(self) -> None:
        """Do nothing: the pooled client belongs to the registry."""

    async def post(
        self,
        path: str,
        payload: Mapping[str, Any],
        headers: Mapping[str, str],
        *,
        large: bool = False,
    ) -> dict[str, Any]:
        """POST JSON and read a JSON object. Raises :class:`ProviderError`.

        A ``large`` payload is written on a thread.
        """
        try:
            content = (
                await asyncio.to_thread(orjson.dumps, payload) if large else orjson.dumps(payload)
            )
        except TypeError:
            content = await asyncio.to_thread(write_large, payload)
        raw = (await self._post(path, content, headers)).body
        if len(raw) > LARGE_BYTES:
            return await asyncio.to_thread(self._object, raw)
        return self._object(raw)

    async def _post(self, path: str, content: bytes, headers: Mapping[str, str]) -> WholeAnswer:
        keys = self.keys
        if keys is None:
            return await self._post_once(path, content, headers)
        return await keys.first(
            lambda key: self._post_once(path, content, keys.with_key(headers, key))
        )

    async def _post_once(
        self, path: str, content: bytes, headers: Mapping[str, str]
    ) -> WholeAnswer:
        target = self._target(path, headers, False)
        try:
            answer = await self._client.fetch(target, content, MAX_RESPONSE_BYTES)
        except CALL_FAILED as error:
            raise call_failed(self.name, error) from error
        if answer is None:
            raise self._too_large()
        if not 200 <= answer.status < 300:
            raise self._error(answer.status, httpx.Headers(answer.raw_headers), answer.body)
        return answer

    def _object(self, raw: bytes) -> dict[str, Any]:
        try:
            if len(raw) > LARGE_BYTES:
                body = read_large(raw.decode(json.detect_encoding(raw), "surrogatepass"))
            else:
                body = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise MalformedResponse(self.name, "returned malformed JSON") from error
        if not isinstance(body, dict):
            raise MalformedResponse(self.name, "returned JSON that is not an object")
        return body

    @asynccontextmanager
    async def _open(
        self, path: str, content: bytes, headers: Mapping[str, str]
    ) -> AsyncIterator[httpx.Response]:
        """Yield the successful response of a stream. Raises :class:`ProviderError`."""
        keys = self.keys
        if keys is None:
            async with self._open_once(path, content, headers) as response:
                yield response
            return
        async with AsyncExitStack() as stack:
            yield await keys.first(
                lambda key: stack.enter_async_context(
                    self._open_once(path, content, keys.with_key(headers, key))
                )
            )

    @asynccontextmanager
    async def _open_once(
        self, path: str, content: bytes, headers: Mapping[str, str]
    ) -> AsyncIterator[httpx.Response]:
        try:
            response = await self._client.post(self._target(path, headers, True), content)
            try:
                if not response.is_success:
                    raw = await self._read(response)
                    raise self._error(response.status_code, response.headers, raw)
                yield response
            finally:
                await response.aclose()
        except CALL_FAILED as error:
            raise call_failed(self.name, error) from error

    async def pass_on(self, call: SideCall) -> SideAnswer:
        """Send a request that is no completion as it came, with the key of this provider.

        The caller closes the answer. Raises :class:`ProviderError` if there is none.
        """
        return await passed_on(self, self._client, self._base_url, self._timeout, call)

    async def pass_on_whole(self, call: SideCall) -> tuple[httpx.Headers, dict[str, Any]]:
        """Send a request as :meth:`pass_on` does; return the headers and the JSON object.

        Raises :class:`ProviderError` without an answer, and for one that reports an error.
        """
        answer = await self.pass_on(call)
        raw = await answer.read()
        if not 200 <= answer.status < 300:
            raise self._error(answer.status, answer.headers, raw)
        return answer.headers, self._object(raw) if raw.strip() else {}

    async def pass_on_lines(self, call: SideCall) -> AsyncGenerator[bytes, None]:
        """Send a request as :meth:`pass_on` does; yield the lines of the answer that have text.

        Raises :class:`ProviderError` without an answer, and for one that reports an error.
        """
        answer = await self.pass_on(call)
        if not 200 <= answer.status < 300:
            raise self._error(answer.status, answer.headers, await answer.read())
        rest = b""
        async with aclosing(answer.chunks()) as chunks:
            async for chunk in chunks:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in filter(bytes.strip, lines):
                    yield line
                if len(rest) > MAX_RESPONSE_BYTES:
                    raise self._too_large()
        if rest.strip():
            yield rest

    def key_headers(self) -> Mapping[str, str]:
        """Return the headers with the API key, or nothing if there is no key."""
        return {}

    def holds_key(self, raw: bytes) -> bool:
        """Return whether ``raw`` holds the API key, which no client may see."""
        return any(holds_key(key, raw) for key in self._secrets())

    def _secrets(self) -> tuple[str, ...]:
        return (self._api_key,) if self.keys is None else self.keys.keys

    def _target(self, path: str, headers: Mapping[str, str], streamed: bool) -> Target:
        key = (path, streamed, *headers.items())
        target = self._targets.get(key)
        if target is None:
            if len(self._targets) >= _MOST_TARGETS:
                self._targets.clear()
            url = self._target_url(path)
            all_headers = {"content-type": "application/json", **headers}
            target = self._targets[key] = Target.of(
                url, all_headers, self._stream_timeout if streamed else self._timeout
            )
        return target

    def _target_url(self, path: str) -> str:
        return f"{self._base_url}{path}"

    async def _read(self, response: httpx.Response) -> bytes:
        body = await body_of(response, MAX_RESPONSE_BYTES)
        if body is None:
            raise self._too_large()
        return body

    def _too_large(self) -> ProviderError:
        return MalformedResponse(self.name, "returned an answer larger than 64 MiB")

    def _error(self, status: int, headers: httpx.Headers, raw: bytes) -> ProviderError:
        error = read_error(self.name, self._secrets(), status, headers, raw)
        error.wire, error.headers = self.wire, client_headers(headers.raw)
        return error


def as_json(payload: Mapping[str, Any]) -> bytes:
    """Return ``payload`` as JSON, whatever JSON can hold."""
    try:
        text = orjson.dumps(payload)
        # A short text still fills the 4 kB that were taken for it, for as long as a stream lasts.
        return text if len(text) > _BUFFER_BYTES else memoryview(text).tobytes()
    except TypeError:  # integers of more than 64 bits, or lone surrogates
        return write_large(payload)

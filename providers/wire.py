"""What the HTTP clients share: one POST, and every way it can fail as a typed error."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from providers.base import Completion, CompletionRequest
from providers.errors import (
    ConnectionFailed,
    MalformedResponse,
    ProviderError,
    ProviderTimeout,
    error_for_status,
)

MAX_RESPONSE_BYTES = 16 * 1024 * 1024
_LONGEST_RETRY_AFTER = 24 * 3600.0
_MOST_TOKENS = 2_000_000_000
# JSON can spell characters that UTF-8 (lone surrogates) or PostgreSQL (NUL) cannot hold.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class WireClient(ABC):
    """A provider reached by one JSON POST per completion.

    Subclasses know their wire: where to post, with which headers and body, and
    how to read the answer. ``client`` is the process's pooled client; it is
    shared and not closed here. ``api_key`` never appears in ``repr``, logs or
    errors.
    """

    def __init__(
        self,
        name: str,
        client: httpx.AsyncClient,
        base_url: str,
        api_key: str = "",
        timeout: httpx.Timeout | None = None,
    ) -> None:
        self.name = name
        self._client = client
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._timeout = timeout or httpx.Timeout(60.0, connect=5.0)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    async def complete(self, request: CompletionRequest) -> Completion:
        """The model's answer. Raises :class:`ProviderError`."""
        body = await self._post(
            self._path(request), self._headers(), json.dumps(self._payload(request)).encode()
        )
        try:
            completion = self._parse(request, body)
        except ProviderError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise MalformedResponse(
                self.name, "answered in a shape its protocol does not have"
            ) from error
        text = storable_text(completion.text)
        return completion if text is completion.text else replace(completion, text=text)

    async def aclose(self) -> None:
        """Nothing to release: the pooled client belongs to the registry."""

    async def _post(self, path: str, headers: Mapping[str, str], content: bytes) -> dict[str, Any]:
        try:
            async with self._client.stream(
                "POST",
                f"{self._base_url}{path}",
                content=content,
                headers={"content-type": "application/json", **headers},
                timeout=self._timeout,
            ) as response:
                raw = await self._read(response)
        except httpx.ConnectTimeout as error:
            raise ConnectionFailed(self.name, "could not be reached in time") from error
        except httpx.TimeoutException as error:
            raise ProviderTimeout(self.name, "did not answer in time") from error
        except httpx.HTTPError as error:
            raise ConnectionFailed(
                self.name, f"the connection failed ({type(error).__name__})"
            ) from error
        if not response.is_success:
            raise self._error(response, raw)
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise MalformedResponse(self.name, "answered with malformed JSON") from error
        if not isinstance(body, dict):
            raise MalformedResponse(self.name, "answered with JSON that is not an object")
        return body

    async def _read(self, response: httpx.Response) -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > MAX_RESPONSE_BYTES:
                raise MalformedResponse(self.name, "answered with more than 16 MiB")
            chunks.append(chunk)
        return b"".join(chunks)

    def _error(self, response: httpx.Response, raw: bytes) -> ProviderError:
        return error_for_status(
            self.name, response.status_code, retry_after=retry_after_seconds(response.headers)
        )

    @abstractmethod
    def _path(self, request: CompletionRequest) -> str: ...

    @abstractmethod
    def _headers(self) -> Mapping[str, str]: ...

    @abstractmethod
    def _payload(self, request: CompletionRequest) -> dict[str, Any]: ...

    @abstractmethod
    def _parse(self, request: CompletionRequest, body: dict[str, Any]) -> Completion: ...


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """``Retry-After`` in seconds: a number or an HTTP date (RFC 9110, section 10.2.3).

    OpenAI and Anthropic also send ``retry-after-ms``. ``None`` where absent or
    unreadable; never negative, never beyond a day.
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
    return min(max(0.0, seconds), _LONGEST_RETRY_AFTER)


def token_count(value: Any) -> int:
    """A usage field as a non-negative integer; absent is 0, anything else is malformed."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("a token count is not a number")
    if not 0 <= value <= _MOST_TOKENS:
        raise ValueError("a token count is out of range")
    return int(value)


def storable_text(text: str) -> str:
    """``text`` with NULs and lone surrogates as U+FFFD, so that any database takes it."""
    return _UNSTORABLE.sub("\ufffd", text) if _UNSTORABLE.search(text) else text

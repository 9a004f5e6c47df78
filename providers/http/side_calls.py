"""Requests that are no completions, such as those for batches and files: sent as they came."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlencode

import httpx

from providers.errors import MalformedResponse
from providers.http.error_answer import call_failed
from providers.http.transport import CALL_FAILED, HttpClient, Target, body_of

_MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SideCall:
    """One request: ``path`` is below the provider's base URL, ``content`` the body as it came."""

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None


class KeyHolder(Protocol):
    """The provider that a request goes to."""

    name: str

    def key_headers(self) -> Mapping[str, str]:
        """Return the headers with the API key."""
        ...


class SideAnswer:
    """The answer of a provider, whatever its status; :meth:`aclose` ends it."""

    def __init__(self, provider: KeyHolder, response: httpx.Response) -> None:
        self._provider = provider
        self._response = response
        self.status = response.status_code
        self.headers = response.headers

    async def read(self) -> bytes:
        """Return the whole body and close the answer. Raises :class:`ProviderError`."""
        try:
            body = await body_of(self._response, _MOST_BYTES)
        except CALL_FAILED as error:
            raise call_failed(self._provider.name, error) from error
        finally:
            await self.aclose()
        if body is None:
            raise MalformedResponse(self._provider.name, "returned an answer larger than 64 MiB")
        return body

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it arrives, decompressed, and close the answer at the end.

        Raises :class:`ProviderError`.
        """
        try:
            async for chunk in self._response.aiter_bytes():
                yield chunk
        except CALL_FAILED as error:
            raise call_failed(self._provider.name, error) from error
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """End the call, whether the body was read or not."""
        await self._response.aclose()


async def passed_on(
    provider: KeyHolder, client: HttpClient, base_url: str, limits: httpx.Timeout, call: SideCall
) -> SideAnswer:
    """Send ``call`` with the provider's key. Raises :class:`ProviderError` without an answer."""
    query = f"?{urlencode(call.query)}" if call.query else ""
    # What the client says of the API's version counts before what this service would say.
    headers = {"accept-encoding": "identity", **provider.key_headers(), **call.headers}
    target = Target.of(f"{base_url}{call.path}{query}", headers, limits)
    try:
        response = await client.send(call.method, target, call.content)
    except CALL_FAILED as error:
        raise call_failed(provider.name, error) from error
    return SideAnswer(provider, response)

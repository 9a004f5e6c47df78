"""What the clients of all clouds share: settings of their own, and credentials that are renewed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from providers.clouds.credentials import Renewed
from providers.errors import AuthenticationFailed, ProviderError
from providers.http.exchange import WholeAnswer
from providers.http.wire import WireClient


class CloudClient(WireClient):
    """A client of a cloud: stands before the client of the wire that the cloud serves.

    Each call gets the headers of :meth:`_authorized`. ``credential`` is ``None`` for an API key.
    """

    relays_side_calls = False
    credential: Renewed[Any] | None = None

    def configure(self, settings: Mapping[str, str]) -> None:
        """Take the settings that the catalogue names for this provider; unset ones are empty."""

    def begin(self) -> None:
        """Fetch the credentials in the background, so that no call waits for them."""
        if self.credential is not None:
            self.credential.begin()

    async def aclose(self) -> None:
        """Fetch no credentials any more."""
        if self.credential is not None:
            await self.credential.aclose()
        await super().aclose()

    async def _authorized(
        self, path: str, content: bytes, headers: Mapping[str, str], *, streamed: bool
    ) -> Mapping[str, str]:
        """Return ``headers`` with what proves who calls: by default a bearer token."""
        if self.credential is None:
            return headers
        token = await self.credential.get()
        # An answer that holds it is not passed on: see holds_key.
        self._api_key = token
        return {**headers, "authorization": f"Bearer {token}"}

    async def _post(self, path: str, content: bytes, headers: Mapping[str, str]) -> WholeAnswer:
        headers = await self._authorized(path, content, headers, streamed=False)
        return await super()._post(path, content, headers)

    @asynccontextmanager
    async def _open(
        self, path: str, content: bytes, headers: Mapping[str, str]
    ) -> AsyncIterator[httpx.Response]:
        headers = await self._authorized(path, content, headers, streamed=True)
        async with super()._open(path, content, headers) as response:
            yield response

    def _error(self, status: int, headers: httpx.Headers, raw: bytes) -> ProviderError:
        error = super()._error(status, headers, raw)
        if self.credential is not None and isinstance(error, AuthenticationFailed):
            self.credential.forget()
        return error

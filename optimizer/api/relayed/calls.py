"""One call that is passed on: what the client asked, and the provider that it goes to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from optimizer.api.relayed.places import Place, Wire
from optimizer.domain.client import Client
from optimizer.domain.result import UnknownObject
from optimizer.shared.unambiguous_json import unambiguous_json
from optimizer.wiring.services import Services
from providers.anthropic.client import AnthropicProvider
from providers.http.side_calls import SideAnswer, SideCall
from providers.http.wire import WireClient
from providers.openai.client import OpenAIProvider

_CLASSES: dict[Wire, type[WireClient]] = {
    "openai": OpenAIProvider, "anthropic": AnthropicProvider,
}  # fmt: skip
_USUAL: dict[Wire, str] = {"openai": "openai", "anthropic": "claude"}
# Ids become part of a path at the provider.
_SAFE_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.:-]{0,199}", re.ASCII)
_SENT_HEADERS = (
    "accept", "content-type", "anthropic-version", "anthropic-beta", "openai-beta",
    "idempotency-key",
)  # fmt: skip
_KEYS_IN_QUERIES = frozenset({"key", "api_key", "api-key", "apikey", "access_token", "token"})


class NoProvider(Exception):
    """No provider can take the request; the message says which are configured."""


@dataclass(slots=True)
class RelayedCall:
    """A request of a client for one provider; ``path`` is that of this service, below /v1."""

    services: Services
    client: Client
    request: HttpRequest
    place: Place
    wire: Wire
    path: str
    provider: WireClient

    @classmethod
    def of(
        cls, services: Services, client: Client, request: HttpRequest, place: Place,
        known_provider: str, ids: Mapping[str, str],
    ) -> RelayedCall:  # fmt: skip
        """Read the request. ``known_provider`` is the one that has the object, if it is known."""
        for value in ids.values():
            if not _SAFE_ID.fullmatch(value):
                raise UnknownObject(f"{place.kind.capitalize()} with id '{value}' not found.")
        path = re.sub(r"<str:(\w+)>", lambda match: ids[match[1]], place.path)
        wire = wire_of(request, place)
        wanted = request.headers.get("x-optimizer-provider", "") or known_provider
        return cls(services, client, request, place, wire, path, _provider(services, wire, wanted))

    def own_json(self) -> dict[str, Any]:
        """Return the JSON body. Raises :class:`ValueError` if it may be read in another way."""
        body = unambiguous_json(self.request.body)
        if not isinstance(body, dict):
            raise ValueError("it is no object of JSON")
        return body

    async def send(self, query: Mapping[str, str] | None = None) -> SideAnswer:
        """Pass the request on; ``query`` replaces its own. Raises ProviderError."""
        request = self.request
        asked = [
            (name, value)
            for name, values in request.GET.lists()
            for value in values
            if name.lower() not in _KEYS_IN_QUERIES
        ]
        headers = {
            name: request.headers[name]
            for name in _SENT_HEADERS
            if name in request.headers and (name != "content-type" or request.body)
        }
        method = "GET" if request.method == "HEAD" else request.method
        return await self.provider.pass_on(
            SideCall(
                method=method or "GET",
                path=f"/v1/{self.path}" if self.wire == "anthropic" else f"/{self.path}",
                query=asked if query is None else list(query.items()),
                headers=headers,
                content=request.body or None,
            )
        )


def wire_of(request: HttpRequest, place: Place) -> Wire:
    """Return whose API the client speaks where two have the same path."""
    if len(place.wires) == 1:
        return place.wires[0]
    speaks_anthropic = "anthropic-version" in request.headers or "anthropic-beta" in request.headers
    return "anthropic" if speaks_anthropic else "openai"


def _provider(services: Services, wire: Wire, wanted: str) -> WireClient:
    """Return the provider with this name, else the usual one of the wire."""
    kind = _CLASSES[wire]
    known = {
        name: provider
        for name, provider in services.registry.providers.items()
        if isinstance(provider, kind) and provider.relays_side_calls
    }
    provider = known.get(wanted or _USUAL[wire])
    if provider is None:
        names = ", ".join(sorted(known)) or "none"
        raise NoProvider(
            f"The provider '{wanted or _USUAL[wire]}' is not configured for this API. "
            f"Name another one in x-optimizer-provider; configured are: {names}."
        )
    return provider

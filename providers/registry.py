"""The configured providers of the process, over one pooled HTTP client."""

from __future__ import annotations

from collections.abc import Mapping

from providers.anthropic.client import AnthropicProvider
from providers.catalogue import Catalogue, ProviderSpec
from providers.completion import Provider
from providers.gemini.client import GeminiProvider
from providers.http.transport import ConnectionSettings, make_client
from providers.http.wire import WireClient
from providers.local.client import LocalProvider
from providers.openai.client import OpenAIOwnProvider, OpenAIProvider
from providers.openai.openrouter import OpenRouterProvider

_WIRES: dict[str, type[WireClient]] = {
    "anthropic": AnthropicProvider,
    "gemini": GeminiProvider,
    "openai": OpenAIProvider,
    "openai-own": OpenAIOwnProvider,
    "openrouter": OpenRouterProvider,
}


def features_of_wire(wire: str) -> frozenset[str]:
    """Return the features of a request that clients of ``wire`` support (not ``local``)."""
    return _WIRES[wire].features


def configured_key(spec: ProviderSpec, environment: Mapping[str, str]) -> str:
    """Return the provider's API key from the first variable that has one, else empty."""
    return next((environment[name] for name in spec.key_env if environment.get(name)), "")


def is_configured(spec: ProviderSpec, environment: Mapping[str, str]) -> bool:
    """Return whether ``environment`` has what a call of this provider over HTTP needs."""
    if spec.wire == "local":
        return False
    if not base_url(spec, environment):
        return False
    if not spec.key_env or spec.key_optional:
        return bool(environment.get(spec.base_url_env) or configured_key(spec, environment))
    return bool(configured_key(spec, environment))


def base_url(spec: ProviderSpec, environment: Mapping[str, str]) -> str:
    """Return the provider's base URL: the environment's override, or the catalogue's."""
    return environment.get(spec.base_url_env, "") or spec.base_url


class ProviderRegistry:
    """The configured providers by name. Keys and URLs are read from ``environment``."""

    def __init__(
        self,
        catalogue: Catalogue,
        environment: Mapping[str, str],
        settings: ConnectionSettings,
        *,
        local: bool = False,
    ) -> None:
        self._client = make_client(settings)
        self.providers: dict[str, Provider] = {}
        for name, spec in catalogue.providers.items():
            if spec.wire == "local":
                if local:
                    self.providers[name] = LocalProvider(
                        self._client, settings.timeout, settings.stream_timeout
                    )
            elif is_configured(spec, environment):
                provider = self.providers[name] = _WIRES[spec.wire](
                    name,
                    self._client,
                    base_url(spec, environment),
                    configured_key(spec, environment),
                    settings.timeout,
                    settings.stream_timeout,
                )
                if spec.dialect is not None and isinstance(provider, OpenAIProvider):
                    provider.dialect = spec.dialect

    async def aclose(self) -> None:
        """Close every provider and the pooled client."""
        for provider in self.providers.values():
            await provider.aclose()
        await self._client.aclose()

"""The configured providers of the process, over one pooled HTTP client."""

from __future__ import annotations

from collections.abc import Mapping

from providers.anthropic.client import AnthropicProvider
from providers.bedrock import client as bedrock
from providers.bedrock.client import BedrockClaudeProvider, BedrockProvider
from providers.catalogue import Catalogue, ProviderSpec
from providers.clouds import azure, vertex
from providers.clouds.azure import AzureClaudeProvider, AzureProvider
from providers.clouds.client import CloudClient
from providers.clouds.credentials import is_installed
from providers.clouds.vertex import VertexClaudeProvider, VertexProvider
from providers.completion import Provider
from providers.configured import ConfiguredProviders
from providers.gemini.client import GeminiProvider
from providers.http.key_pool import KeyPool
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
    "azure": AzureProvider,
    "azure-claude": AzureClaudeProvider,
    "vertex": VertexProvider,
    "vertex-claude": VertexClaudeProvider,
    "bedrock": BedrockProvider,
    "bedrock-claude": BedrockClaudeProvider,
}


def features_of_wire(wire: str) -> frozenset[str]:
    """Return the features of a request that clients of ``wire`` support (not ``local``)."""
    return _WIRES[wire].features


def configured_keys(spec: ProviderSpec, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the provider's API keys from the first variable that has any.

    Several keys are separated by commas, the one to be used first before the others.
    """
    text = next((environment[name] for name in spec.key_env if environment.get(name)), "")
    return tuple(dict.fromkeys(key for part in text.split(",") if (key := part.strip())))


def configured_key(spec: ProviderSpec, environment: Mapping[str, str]) -> str:
    """Return the first of the provider's API keys, else empty."""
    return next(iter(configured_keys(spec, environment)), "")


def is_configured(spec: ProviderSpec, environment: Mapping[str, str]) -> bool:
    """Return whether ``environment`` has what a call of this provider over HTTP needs."""
    if spec.wire == "local":
        return False
    if spec.needs:
        return all(environment.get(name) for name in spec.needs)
    if not base_url(spec, environment):
        return False
    if not spec.key_env or spec.key_optional:
        return bool(environment.get(spec.base_url_env) or configured_key(spec, environment))
    return bool(configured_key(spec, environment))


def base_url(spec: ProviderSpec, environment: Mapping[str, str]) -> str:
    """Return the provider's base URL: the environment's override, or the catalogue's."""
    return environment.get(spec.base_url_env, "") or spec.base_url


def cloud_settings(spec: ProviderSpec, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a cloud by name, "" for each whose variable is not set."""
    return {name: environment.get(env, "").strip() for name, env in spec.settings.items()}


def missing_package(spec: ProviderSpec, environment: Mapping[str, str]) -> str:
    """Return the module that calls of this provider need and that is not installed, else empty."""
    package = {"azure": azure.PACKAGE, "vertex": vertex.PACKAGE, "bedrock": bedrock.PACKAGE}.get(
        spec.wire.partition("-")[0], ""
    )
    if package == azure.PACKAGE and configured_key(spec, environment):
        return ""
    return "" if not package or is_installed(package) else package


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
        self._catalogue = catalogue
        self._settings = settings
        self._client = make_client(settings)
        self._built: dict[str, tuple[object, Provider]] = {}
        self._local: LocalProvider | None = None
        self.providers = ConfiguredProviders()
        self.configure(environment, local=local)

    def configure(self, environment: Mapping[str, str], *, local: bool) -> None:
        """Configure the providers as ``environment`` has them now; calls under way go on.

        A provider whose key, base URL and settings are as before keeps its client.
        """
        clients: dict[str, Provider] = {}
        for name, spec in self._catalogue.providers.items():
            if spec.wire == "local":
                if local:
                    clients[name] = self._local = self._local or LocalProvider(
                        self._client, self._settings.timeout, self._settings.stream_timeout
                    )
            elif is_configured(spec, environment):
                clients[name] = self._kept_or_built(spec, environment)
        self.providers.replace(clients)

    def _kept_or_built(self, spec: ProviderSpec, environment: Mapping[str, str]) -> Provider:
        url, keys = base_url(spec, environment), configured_keys(spec, environment)
        settings = cloud_settings(spec, environment)
        inputs = (url, keys, tuple(settings.items()))
        if (built := self._built.get(spec.name)) is not None and built[0] == inputs:
            return built[1]
        provider = _WIRES[spec.wire](
            spec.name,
            self._client,
            url,
            next(iter(keys), ""),
            self._settings.timeout,
            self._settings.stream_timeout,
        )
        if len(keys) > 1:
            provider.keys = KeyPool(spec.name, keys)
        if spec.dialect is not None and isinstance(provider, OpenAIProvider):
            provider.dialect = spec.dialect
        if isinstance(provider, CloudClient):
            provider.configure(settings)
        self._built[spec.name] = inputs, provider
        return provider

    def begin(self) -> None:
        """Fetch the credentials of clouds in the background, on the running event loop."""
        for provider in self.providers.values():
            if isinstance(provider, CloudClient):
                provider.begin()

    def key_pools(self) -> list[KeyPool]:
        """Return the key pools of the providers that have several API keys."""
        clients = (p for p in self.providers.values() if isinstance(p, WireClient))
        return [client.keys for client in clients if client.keys is not None]

    async def aclose(self) -> None:
        """Close every provider and the pooled client."""
        for _, provider in self._built.values():
            await provider.aclose()
        if self._local is not None:
            await self._local.aclose()
        await self._client.aclose()

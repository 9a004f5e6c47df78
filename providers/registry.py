"""The configured providers of the process, over one pooled HTTP client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from providers.anthropic.client import AnthropicProvider
from providers.bedrock import client as bedrock
from providers.bedrock.client import BedrockClaudeProvider, BedrockProvider
from providers.catalogue import Catalogue, CatalogueError, ProviderSpec
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
from providers.pools.member import Member
from providers.pools.pool import MemberPool
from providers.pools.spec import MemberSpec, PoolSpec

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


def configured_members(pool: PoolSpec, environment: Mapping[str, str]) -> list[MemberSpec]:
    """Return the members of a pool that ``environment`` configures, in their order."""
    return [member for member in pool.members if is_configured(member.provider, environment)]


def configured_names(catalogue: Catalogue, environment: Mapping[str, str]) -> list[str]:
    """Return the providers that ``environment`` configures, by their own keys or their pool's."""
    return [
        name
        for name, spec in catalogue.providers.items()
        if (
            configured_members(catalogue.pools[name], environment)
            if name in catalogue.pools
            else is_configured(spec, environment)
        )
    ]


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


def with_pools(catalogue: Catalogue) -> Catalogue:
    """Return the catalogue, in which providers with pools lack what any of their members lacks.

    Raises :class:`providers.catalogue.CatalogueError` if the members of a pool have other wires.
    """
    if not catalogue.pools:
        return catalogue
    specs = {**catalogue.providers}
    for name, pool in catalogue.pools.items():
        wires = [_WIRES[member.provider.wire] for member in pool.members]
        if len({wire.wire for wire in wires}) > 1:
            raise CatalogueError(f"The members of the pool {name} do not have one API.")
        first = wires[0].features
        missing = first - frozenset.intersection(*(wire.features for wire in wires))
        lacks = missing.union(*(member.provider.lacks for member in pool.members))
        specs[name] = replace(specs[name], lacks=specs[name].lacks | lacks)
    models = catalogue.all_models
    models = tuple(sorted(models, key=lambda model: model.rank))
    return Catalogue.of(specs, models, catalogue.price_rules, catalogue.of_file, catalogue.pools)


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
        self._pools: dict[str, tuple[object, MemberPool]] = {}
        self.pools: dict[str, MemberPool] = {}
        self.regions = {
            name: spec.regions
            for name, spec in catalogue.providers.items()
            if spec.regions and name not in catalogue.pools
        }
        self.providers = ConfiguredProviders()
        self.configure(environment, local=local)

    def configure(self, environment: Mapping[str, str], *, local: bool) -> None:
        """Configure the providers as ``environment`` has them now; calls under way go on.

        A provider whose key, base URL and settings are as before keeps its client.
        """
        clients: dict[str, Provider] = {}
        pools: dict[str, MemberPool] = {}
        for name, spec in self._catalogue.providers.items():
            if (pool := self._catalogue.pools.get(name)) is not None:
                if members := configured_members(pool, environment):
                    pools[name] = self._kept_or_built_pool(pool, members, environment)
                    # What is not a call of a model goes to the first member.
                    clients[name] = pools[name].members[0].client
            elif spec.wire == "local":
                if local:
                    clients[name] = self._local = self._local or LocalProvider(
                        self._client, self._settings.timeout, self._settings.stream_timeout
                    )
            elif is_configured(spec, environment):
                clients[name] = self._kept_or_built(spec, environment)
        self.providers.replace(clients)
        # In place, as callers hold them; a provider without its pool only lacks other members.
        self.regions.update({n: p.members[0].spec.regions for n, p in pools.items()})
        self.pools.update(pools)
        for name in self.pools.keys() - pools.keys():
            del self.pools[name]

    def _kept_or_built_pool(
        self, spec: PoolSpec, members: Sequence[MemberSpec], environment: Mapping[str, str]
    ) -> MemberPool:
        clients = [
            self._kept_or_built(m.provider, environment, f"{spec.provider}#{m.name}")
            for m in members
        ]
        if (kept := self._pools.get(spec.provider)) is not None and kept[0] == clients:
            return kept[1]
        built = []
        for member, client in zip(members, clients, strict=True):
            assert isinstance(client, WireClient)
            built.append(Member(member, client))
        pool = MemberPool(spec.provider, built, spec.choose)
        pool.listen()
        self._pools[spec.provider] = clients, pool
        return pool

    def _kept_or_built(
        self, spec: ProviderSpec, environment: Mapping[str, str], place: str = ""
    ) -> Provider:
        place = place or spec.name
        url, keys = base_url(spec, environment), configured_keys(spec, environment)
        settings = cloud_settings(spec, environment)
        inputs = (url, keys, tuple(settings.items()))
        if (built := self._built.get(place)) is not None and built[0] == inputs:
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
        self._built[place] = inputs, provider
        return provider

    def begin(self) -> None:
        """Fetch the credentials of clouds in the background, on the running event loop."""
        for provider in self._clients():
            if isinstance(provider, CloudClient):
                provider.begin()

    def _clients(self) -> list[Provider]:
        """Return the clients of the configured providers, and those of pools' members."""
        members = [member.client for pool in self.pools.values() for member in pool.members]
        pooled = self.pools.keys()
        return [*(c for name, c in self.providers.items() if name not in pooled), *members]

    def key_pools(self) -> list[KeyPool]:
        """Return the key pools of the providers that have several API keys."""
        clients = (p for p in self.providers.values() if isinstance(p, WireClient))
        # The members of a pool have one key each, or keys of which this worker alone knows.
        return [c.keys for c in clients if c.keys is not None and c.name not in self.pools]

    async def aclose(self) -> None:
        """Close every provider and the pooled client."""
        for _, provider in self._built.values():
            await provider.aclose()
        if self._local is not None:
            await self._local.aclose()
        await self._client.aclose()

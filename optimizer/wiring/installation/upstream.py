"""The providers of this installation, its catalogue, and how they are called."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from optimizer.domain.model_names import ModelNames
from optimizer.gateway.guardrails.configured import GuardSettings, configured_guard
from optimizer.gateway.guardrails.guard import GuardRails
from optimizer.shared.circuits import SharedCircuits
from optimizer.shared.pools.members import SharedMembers
from optimizer.shared.spared_keys import SharedKeys
from optimizer.wiring.operation.catalogue_models import ActiveCatalogue
from optimizer.wiring.operation.providers import ActiveProviders
from optimizer.wiring.product_settings import ProductSettings, product_settings
from optimizer.wiring.routing import routing_abilities
from providers.abilities import AbilityTable
from providers.catalogue import Catalogue, load_catalogue
from providers.clouds.placement import placed
from providers.http.proxies import Proxies, SocksProxy
from providers.http.transport import ConnectionSettings
from providers.known_models import KnownModels
from providers.local.client import local_available
from providers.pricing import PriceBook
from providers.registry import ProviderRegistry, configured_names, with_pools
from providers.resilience import ResiliencePolicy, ResilientCaller
from providers.silence import Silence
from providers.tier_attempts import TierLimits

logger = logging.getLogger(__name__)


def local_enabled(catalogue: Catalogue, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether the embedded model is used, with the keys that ``environment`` has.

    By default it is used only outside production and while no provider has a key: it exists
    so that the first request works, not to replace a real model.
    """
    product = product_settings()
    if product.local_provider == "off":
        return False
    configured = configured_names(catalogue, environment)
    if product.local_provider == "auto" and (product.production or configured):
        return False
    if not local_available():
        logger.warning("LOCAL_PROVIDER is on, but llama.cpp or its weights are not installed")
        return False
    return True


def installed_catalogue() -> Catalogue:
    """Return the catalogue, in which the operator's file overrides the shipped entries.

    Raises :class:`providers.catalogue.CatalogueError`.
    """
    product = product_settings()
    path = Path(product.catalogue_file) if product.catalogue_file else None
    return with_pools(placed(load_catalogue(path), os.environ))


def connection_settings(product: ProductSettings) -> ConnectionSettings:
    """Return the limits of connections; the read time-out that is set holds for all answers."""
    limits = ConnectionSettings(
        connect_timeout=product.provider_connect_timeout,
        # A whole answer is silent while the model writes, so it gets the request's time.
        read_timeout=product.request_deadline,
        max_connections=product.provider_max_connections or 0,
    )
    read = product.provider_read_timeout
    return limits if read is None else replace(limits, read_timeout=read, stream_read_timeout=read)


def _guard_settings(product: ProductSettings) -> GuardSettings:
    return GuardSettings(
        rails=product.guardrails,
        fail_open=product.guardrails_open,
        personal_data=product.guardrail_personal_data,
        restore=product.guardrail_restore,
        moderation_model=product.guardrail_moderation_model,
        moderation_thresholds=product.guardrail_moderation_thresholds,
        moderation_stages=product.guardrail_moderation_stages,
        moderation_streams=product.guardrail_moderation_streams,
        moderation_seconds=product.guardrail_moderation_seconds,
        deadline=product.request_deadline,
    )


@dataclass(frozen=True, slots=True)
class Upstream:
    """What calls providers, and what is known of their models."""

    catalogue: Catalogue
    known: KnownModels
    prices: PriceBook
    registry: ProviderRegistry
    caller: ResilientCaller
    guard: GuardRails | None
    names: ModelNames
    abilities: AbilityTable | None
    circuits: SharedCircuits
    keys: SharedKeys
    members: SharedMembers
    operation: ActiveProviders

    def circuit_states(self) -> dict[str, str]:
        """Return the state of each provider's circuit."""
        return {name: self.caller.circuit_state(name) for name in self.registry.providers}


def check_proxies() -> None:
    """Raise ``ImproperlyConfigured`` if the environment names a SOCKS proxy for calls."""
    try:
        Proxies.of(os.environ)
    except SocksProxy as error:
        raise ImproperlyConfigured(str(error)) from None


def build_upstream(product: ProductSettings) -> Upstream:
    """Build what calls providers, as the settings say.

    Raises :class:`providers.catalogue.CatalogueError`, and ``ImproperlyConfigured`` if the
    environment names a proxy of a kind that is not supported.
    """
    check_proxies()
    catalogue = installed_catalogue()
    known = KnownModels(catalogue)
    prices = PriceBook(catalogue, known)
    registry = ProviderRegistry(
        catalogue, os.environ, connection_settings(product), local=local_enabled(catalogue)
    )
    caller = _caller(product, registry, known)
    caller.guard = guard = configured_guard(_guard_settings(product), caller)
    names = ModelNames(catalogue, caller, known, pass_unknown=product.unknown_models == "pass")
    abilities = routing_abilities()
    keys = SharedKeys(registry.key_pools(), product.shared_store)
    members = SharedMembers(registry.pools, product.shared_store)
    active_catalogue = ActiveCatalogue(
        catalogue, (known.rebuild, names.rebuild, prices.forget, caller.count_change), abilities
    )
    operation = ActiveProviders(
        catalogue,
        os.environ,
        registry,
        caller,
        keys,
        members,
        partial(local_enabled, catalogue),
        active_catalogue,
    )
    return Upstream(
        catalogue=catalogue,
        known=known,
        prices=prices,
        registry=registry,
        caller=caller,
        guard=guard,
        names=names,
        abilities=abilities,
        circuits=SharedCircuits(caller.circuits, registry.providers, product.shared_store),
        keys=keys,
        members=members,
        operation=operation,
    )


def _caller(
    product: ProductSettings, registry: ProviderRegistry, known: KnownModels
) -> ResilientCaller:
    policy = ResiliencePolicy(
        retries=product.provider_retries,
        max_calls=product.max_upstream_calls,
        breaker_failures=product.breaker_failures,
        breaker_window=product.breaker_window,
        breaker_seconds=product.breaker_seconds,
        deadline=product.request_deadline,
        place_wait=product.queue_seconds,
    )
    # One provider that hangs leaves half of the places to the others.
    most_silent = product.max_concurrent_requests // 2
    return ResilientCaller(
        registry.providers,
        policy,
        known.lacks,
        pools=registry.pools,
        regions=registry.regions,
        silence=Silence(most_silent),
        tiers=TierLimits(silence=Silence(most_silent)),
    )

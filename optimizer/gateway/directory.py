"""What can be called: providers, models, prices, circuit states."""

from __future__ import annotations

from typing import Any

from providers.catalogue import Catalogue
from providers.pricing import PriceBook
from providers.resilience import ResilientCaller


def available_now(caller: ResilientCaller) -> list[str]:
    """Configured providers whose circuit is not open."""
    return sorted(name for name in caller.providers if caller.circuit_state(name) != "open")


def provider_directory(
    catalogue: Catalogue, prices: PriceBook, caller: ResilientCaller
) -> dict[str, Any]:
    """All models of the catalogue, enabled ones first. Prices are USD per million tokens."""
    models = []
    for spec in catalogue.models:
        rates = prices.rates(spec.provider, spec.id)
        enabled = spec.provider in caller.providers
        models.append(
            {
                "provider": spec.provider,
                "model": spec.id,
                "aliases": list(spec.aliases),
                "tier": spec.tier,
                "enabled": enabled,
                "input_price": rates.input.base if rates else None,
                "output_price": rates.output.base if rates else None,
                "cache_read_price": rates.cache_read.base if rates and rates.cache_read else None,
                "cache_write_price": rates.cache_write.base
                if rates and rates.cache_write
                else None,
                "capabilities": sorted(spec.capabilities),
                "context_window": spec.context_window,
                "circuit_state": caller.circuit_state(spec.provider) if enabled else None,
            }
        )
    models.sort(key=lambda model: not model["enabled"])
    return {"enabled_providers": sorted(caller.providers), "models": models}

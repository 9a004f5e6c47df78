"""Routing's view of the catalogue: prices as they will be charged."""

from __future__ import annotations

from optimizer.gateway.model_options import AvailableModels
from providers.catalogue import load_catalogue
from providers.completion import Usage
from providers.pricing import PriceBook
from providers.registry import ConnectionSettings, ProviderRegistry
from providers.resilience import ResiliencePolicy, ResilientCaller


def test_what_routing_expects_is_what_is_charged_whatever_the_size() -> None:
    catalogue = load_catalogue()
    prices = PriceBook(catalogue)
    keys = {name: "x" for spec in catalogue.providers.values() for name in spec.key_env}
    registry = ProviderRegistry(catalogue, keys, ConnectionSettings())
    caller = ResilientCaller(registry.providers, ResiliencePolicy())
    options = AvailableModels(catalogue, prices, caller).options()
    assert len(options) > 15
    for option in options:
        for size in (1000, 99_999, 150_001, 300_001, 900_000):
            usage = Usage(size, 700, cache_read_tokens=600)
            expected = option.expected_cost(size, 700, 600)
            assert expected is not None
            charged = prices.cost(option.provider, option.model, usage)
            if prices.rates(option.provider, option.model).cache_read is not None:
                assert expected.quantize(charged) == charged

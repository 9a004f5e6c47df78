"""Routing's view of the catalogue: prices as they will be charged."""

from __future__ import annotations

import pytest

from optimizer.gateway.model_options import AvailableModels
from optimizer.quality.model_places import place_of, places_by_effort
from providers.abilities import AbilityTable
from providers.ability_files import load_abilities
from providers.catalogue import ModelSpec, load_catalogue
from providers.completion import Usage
from providers.pricing import PriceBook
from providers.registry import ConnectionSettings, ProviderRegistry
from providers.resilience import ResiliencePolicy, ResilientCaller
from routing.models import ModelRef


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


def _available(abilities: AbilityTable | None) -> AvailableModels:
    catalogue = load_catalogue()
    keys = {name: "x" for spec in catalogue.providers.values() for name in spec.key_env}
    registry = ProviderRegistry(catalogue, keys, ConnectionSettings(), local=True)
    caller = ResilientCaller(registry.providers, ResiliencePolicy())
    return AvailableModels(catalogue, PriceBook(catalogue), caller, abilities=abilities)


def test_each_model_has_the_place_of_its_published_ability() -> None:
    options = {option.model: option for option in _available(load_abilities()).options()}
    names = ("openai/gpt-oss-20b", "claude-haiku-4-5", "claude-haiku-5-5", "claude-opus-5-5")

    places = [options[name].place or 0.0 for name in names]

    assert places == sorted(set(places))
    assert places[0] > 1
    assert all(0 < options[name].place_width < 0.5 for name in names)


def test_a_model_of_which_nothing_is_published_has_its_tiers_place_and_is_wide() -> None:
    nothing = ModelSpec("local", "nobody-knows", "simple", 0, 8192)

    assert place_of(nothing, load_abilities())[:2] == (0.0, 0.5)


@pytest.mark.parametrize(
    ("name", "tiny"),
    [
        ("qwen2.5:0.5b", True), ("gemma-270m-it", True), ("other-0.6b-2507", True),
        ("llama-3.2-1b", False), ("some-120b", False), ("some-30b-a3b", False),
        ("some-7b-instruct-1m", False), ("sonnet-1m", False), ("v3.2", False),
    ],
)  # fmt: skip
def test_a_tiny_model_is_not_taken_for_its_tiers_usual_one(name: str, tiny: bool) -> None:
    place = place_of(ModelSpec("local", name, "simple", 0, 8192), load_abilities())

    assert place[:2] == ((-0.5, 0.5) if tiny else (0.0, 0.5))


def test_the_embedded_model_is_below_the_weak_one_by_what_is_published() -> None:
    options = {option.model: option for option in _available(load_abilities()).options()}

    embedded = options["smollm2-135m-instruct"]

    assert embedded.place == pytest.approx(-0.88, abs=0.02)
    assert 0 < embedded.place_width < 0.5


def test_each_effort_with_results_has_its_own_place() -> None:
    abilities = load_abilities()
    spec = ModelSpec("groq", "openai/gpt-oss-120b", "moderate", 0, 8192)
    efforts = places_by_effort(spec, abilities)

    assert list(efforts) == ["low", "medium", "high"]
    assert efforts["low"][0] < efforts["medium"][0] < efforts["high"][0]
    assert place_of(spec, abilities, "high")[:2] == efforts["high"]
    usual, unknown = place_of(spec, abilities), place_of(spec, abilities, "max")
    assert unknown.at == usual.at
    assert unknown.width > usual.width


def test_a_dated_edition_has_the_place_of_its_model() -> None:
    available = _available(load_abilities())
    model, edition = (
        available.named(frozenset({ModelRef("claude", name)}))[0]
        for name in ("claude-haiku-4-5", "claude-haiku-4-5-20251001")
    )

    assert edition.place == pytest.approx(model.place)


def test_without_a_table_of_abilities_the_tier_decides() -> None:
    assert {option.place for option in _available(None).options()} == {None}

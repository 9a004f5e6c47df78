"""The best model, near-twins, and models that another one is cheaper than and not worse."""

from __future__ import annotations

from decimal import Decimal

from optimizer.quality.model_comparison import (
    ComparedModel,
    compared_models,
    comparison_lines,
    model_comparison,
)
from providers.ability_files import load_abilities
from providers.catalogue import ModelSpec, load_catalogue
from providers.pricing import PriceBook
from routing.learning.places import ModelPlace

TOOLS = frozenset({"tools"})


def model(
    name: str,
    at: float,
    price: str,
    *,
    width: float = 0.1,
    window: int = 1000,
    can: frozenset[str] = TOOLS,
) -> ComparedModel:
    spec = ModelSpec("p", name, "simple", 0, window, can)
    return ComparedModel(spec, ModelPlace(at, width), Decimal(price))


def names(pairs: tuple[tuple[ComparedModel, ComparedModel], ...]) -> list[tuple[str, str]]:
    return [(one.spec.id, other.spec.id) for one, other in pairs]


def test_the_best_is_the_most_able_and_among_equals_the_cheapest() -> None:
    models = [model("weak", 1.0, "1"), model("dear", 2.5, "9"), model("best", 2.5, "5")]

    best = model_comparison(models).best
    assert best is not None
    assert best.spec.id == "best"


def test_a_model_is_dominated_by_a_cheaper_one_that_is_not_worse() -> None:
    models = [model("old", 1.5, "2"), model("new", 2.3, "0.2"), model("top", 2.6, "8")]

    assert names(model_comparison(models).dominated) == [("old", "new")]


def test_a_model_that_can_do_more_is_not_dominated() -> None:
    seeing = model("seeing", 1.5, "2", can=frozenset({"tools", "vision"}))
    long = model("long", 1.5, "2", window=5000)
    cheap = model("cheap", 2.0, "1")

    assert model_comparison([seeing, long, cheap]).dominated == ()


def test_twins_are_as_able_within_the_error_at_a_similar_price() -> None:
    one, near = model("one", 2.0, "1.0"), model("near", 2.1, "1.2")
    abler, dearer = model("abler", 2.5, "1.1"), model("dearer", 2.0, "1.5")

    assert names(model_comparison([one, near, abler, dearer]).twins) == [
        ("one", "near"), ("near", "dearer")
    ]  # fmt: skip


def test_models_without_price_or_published_ability_are_not_compared() -> None:
    catalogue = load_catalogue()
    book = PriceBook(catalogue)
    compared = compared_models(catalogue.models, book.rates, load_abilities())

    refs = {m.spec.ref for m in compared}
    assert "claude/claude-opus-5-5" in refs
    nothing = ModelSpec("local", "nobody-knows", "simple", 0, 8192)
    priced = book.rates("claude", "claude-opus-5-5")
    assert compared_models([nothing], lambda *_: priced, load_abilities()) == []
    assert compared_models(catalogue.models, lambda *_: None, load_abilities()) == []


def test_the_sentences_name_the_models_of_the_catalogue() -> None:
    catalogue = load_catalogue()
    compared = compared_models(catalogue.models, PriceBook(catalogue).rates, load_abilities())

    text = " ".join(comparison_lines(model_comparison(compared)))

    assert "Best single model by published results: claude/claude-opus-5-5" in text
    assert "claude/claude-haiku-4-5 (" in text
    assert comparison_lines(model_comparison([])) == []

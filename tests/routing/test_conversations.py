"""Routing a conversation: what its last turn wants, and the model that already holds it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.analysis import analyze_conversation, analyze_prompt
from routing.models import CachedConversation, LongInputPrices, ModelOption, RoutingDecision
from tests.routing.catalogue import EASY, HARD, OPTIONS, Fixed, analysis, engine_over, option
from tests.routing.catalogue import context as context_of

texts = st.text(max_size=200)


def test_a_single_turn_is_read_as_a_prompt() -> None:
    assert analyze_conversation([HARD]) == analyze_prompt(HARD)


@given(st.lists(texts, max_size=5), texts, st.integers(0, 200), st.integers(0, 10**7))
def test_any_conversation_has_a_score(
    turns: list[str], system: str, tools: int, tokens: int
) -> None:
    found = analyze_conversation(turns, system=system, tools=tools, tokens=tokens)
    assert 0 <= found.complexity <= 1
    assert found == analyze_conversation(turns, system=system, tools=tools, tokens=tokens)


@given(st.lists(texts, min_size=1, max_size=4), st.integers(0, 50))
def test_burdens_never_make_it_easier(turns: list[str], tools: int) -> None:
    plain = analyze_conversation(turns, tokens=100).complexity
    assert analyze_conversation(turns, tools=tools, tokens=100).complexity >= plain
    assert analyze_conversation(turns, system=HARD, tokens=100).complexity >= plain
    assert analyze_conversation(turns, tokens=50_000).complexity >= plain


@pytest.mark.parametrize("turn", ["Go on.", "And in Rust?", "why?", "続けて"])
def test_a_turn_that_says_little_is_as_hard_as_what_it_goes_on_from(turn: str) -> None:
    assert analyze_conversation([turn]).tier == "simple"
    assert analyze_conversation([HARD, turn]).tier != "simple"
    assert analyze_conversation([HARD, "Thanks!", turn]).tier != "simple"


def test_an_easy_turn_after_a_hard_one_is_easy_again() -> None:
    turns = [HARD, "By the way, please tell me what the capital of France is, if you know it."]
    assert analyze_conversation(turns).tier == "simple"


BIG = option(
    "b", "big", "complex", 3, "10", cache_read_price=Decimal("0.1"),
    capabilities=frozenset({"tools", "vision"}),
)  # fmt: skip
WITH_CACHE = tuple(BIG if o.model == "big" else o for o in OPTIONS)


def decide(
    cached_conversation: CachedConversation | None,
    tokens: int,
    strategy: str = "complexity",
    options: tuple = WITH_CACHE,
) -> RoutingDecision:
    asked = replace(analysis("simple"), token_count=tokens)
    context = context_of(EASY, cached_conversation=cached_conversation, max_tokens=100)
    return engine_over(Fixed(options)).route(context, strategy=strategy, analysis=asked)


def test_it_stays_where_leaving_would_cost_more() -> None:
    # Read from the prompt cache big costs 0.1 a million, new to small all the same 0.1; the
    # hundred tokens of the answer decide for small, unless small is dearer to read.
    dear_small = tuple(
        option("a", "small", "simple", 0, "2") if str(o.ref) == "a/small" else o for o in WITH_CACHE
    )
    decision = decide(CachedConversation("b", "big", 50_000), 50_000, options=dear_small)
    assert (decision.provider, decision.model) == ("b", "big")
    assert decision.metadata["stayed"] is True
    assert decision.metadata["rejected_model"] == {"provider": "a", "model": "small"}
    assert "stays with b/big" in decision.reasoning
    chosen = [c for c in decision.metadata["candidates"] if c["chosen"]]
    assert [(c["provider"], c["model"]) for c in chosen] == [("b", "big")]
    expected = (Decimal("0.1") * 50_000 + Decimal(10) * 100) / 1_000_000
    assert decision.metadata["cost_estimate"] == expected


@pytest.mark.parametrize(
    ("cached_conversation", "tokens"),
    [
        (None, 50_000),
        (
            CachedConversation("b", "big", 50_000),
            50_000,
        ),  # small reads it anew for less than big's answer
        (CachedConversation("z", "gone", 50_000), 50_000),  # no longer there
    ],
)
def test_it_leaves_where_that_saves(
    cached_conversation: CachedConversation | None, tokens: int
) -> None:
    decision = decide(cached_conversation, tokens)
    assert (decision.provider, decision.model) == ("a", "small")
    assert "stayed" not in decision.metadata


def test_a_prompt_cache_is_no_reason_to_give_a_hard_turn_to_a_weak_model() -> None:
    small = option("a", "small", "simple", 0, "1", cache_read_price=Decimal("0.0001"))
    options = tuple(small if str(o.ref) == "a/small" else o for o in OPTIONS)
    context = context_of(
        HARD, cached_conversation=CachedConversation("a", "small", 90_000), max_tokens=100
    )
    decision = engine_over(Fixed(options)).route(context, analysis=analysis("complex"))
    assert decision.model == "big"


def test_a_model_that_was_named_is_the_one() -> None:
    context = context_of(
        only=frozenset({("a", "mid")}), cached_conversation=CachedConversation("b", "big", 90_000)
    )
    decision = engine_over(Fixed(WITH_CACHE)).route(context, strategy="named")
    assert (decision.model, decision.strategy_used) == ("mid", "named")
    assert [c["model"] for c in decision.metadata["candidates"]] == ["mid"]
    assert decision.metadata["fallback_chain"] == []


def test_cheapest_is_cheapest_and_best_is_best_and_each_falls_back_in_its_own_order() -> None:
    engine = engine_over(Fixed(OPTIONS))
    cheapest = engine.route(context_of(HARD), strategy="cheapest")
    best = engine.route(context_of(EASY), strategy="best")
    assert (cheapest.model, cheapest.provider) == ("small", "a")
    assert [ref["model"] for ref in cheapest.metadata["fallback_chain"]] == [
        "small", "mid", "big", "odd",
    ]  # fmt: skip
    assert best.model == "big"
    assert best.metadata["fallback_chain"][0]["model"] in {"mid", "odd"}
    for decision in (cheapest, best):
        assert {c["model"] for c in decision.metadata["candidates"]} == {o.model for o in OPTIONS}
        assert decision.metadata["baseline_chain"]


def test_cached_tokens_are_priced_as_read_from_the_prompt_cache() -> None:
    priced: ModelOption = BIG
    assert priced.expected_cost(1000, 100) == Decimal("0.011")
    assert (
        priced.expected_cost(1000, 100, 400)
        == (Decimal(10) * 600 + Decimal("0.1") * 400 + Decimal(10) * 100) / 1_000_000
    )
    longer = LongInputPrices(999, Decimal(20), Decimal(30), Decimal(2))
    long = replace(priced, long_input=(longer,))
    assert long.expected_cost(999, 100) == priced.expected_cost(999, 100)
    assert (
        long.expected_cost(1000, 100, 400)
        == (Decimal(20) * 600 + Decimal(2) * 400 + Decimal(30) * 100) / 1_000_000
    )
    # More cannot be read than there is, and without a price for it nothing is cheaper.
    assert priced.expected_cost(1000, 0, 5000) == Decimal("0.0001")
    assert OPTIONS[0].expected_cost(1000, 0, 400) == OPTIONS[0].expected_cost(1000, 0)

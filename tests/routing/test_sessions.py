"""A turn of a session is routed with the rest of the session in mind."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.models import ModelOption, RoutingDecision, SessionState, Tier
from tests.routing.catalogue import EASY, Fixed, analysis, engine_over, option
from tests.routing.catalogue import context as context_of

D = Decimal


def priced(name: str, tier: Tier, rank: int, price: str, **more: Any) -> ModelOption:
    """A model with Anthropic's ratios: output five times, cache read a tenth, write 1.25 times."""
    made = option(
        "a", name, tier, rank, price, cache_read_price=D(price) / 10,
        cache_write_price=D(price) * 5 / 4, context_window=more.pop("window", 200_000),
    )  # fmt: skip
    return replace(made, output_price=D(price) * 5, **more)


SMALL = priced("small", "simple", 0, "1")
MID = priced("mid", "moderate", 1, "3")
BIG = priced("big", "complex", 2, "5")
OPTIONS = (SMALL, MID, BIG)


def state(model: str = "big", **more: Any) -> SessionState:
    fields = {"tier": "simple", "cached_tokens": 50_000, "turn_input": 500, "turn_output": 200}
    return SessionState("a", model, **{**fields, **more})


def decide(
    session: SessionState, tier: Tier = "simple", tokens: int = 50_000,
    strategy: str = "complexity", turn: str = "tool_result",
    options: tuple[ModelOption, ...] = OPTIONS,
) -> RoutingDecision:  # fmt: skip
    asked = replace(analysis(tier), token_count=tokens)
    context = context_of(EASY, session=session, turn=turn, max_tokens=4000)
    return engine_over(Fixed(options)).route(context, strategy=strategy, analysis=asked)


def test_few_turns_do_not_pay_for_a_new_cache() -> None:
    decision = decide(state(expected_turns=0))
    assert decision.model == "big"
    assert "prompt cache" in decision.reasoning
    assert decision.metadata["stayed"] is True


def test_many_turns_do() -> None:
    decision = decide(state(expected_turns=30))
    assert decision.model == "small"


def test_an_expired_cache_holds_nothing_back() -> None:
    assert decide(state(expected_turns=0, cached_tokens=0)).model == "small"


@given(st.floats(0, 40), st.floats(0, 40), st.integers(0, 60_000), st.integers(1_000, 60_000))
def test_more_turns_to_come_never_speak_against_a_cheaper_model(
    one: float, other: float, cached: int, tokens: int
) -> None:
    fewer, more = sorted((one, other))
    switched = decide(state(expected_turns=fewer, cached_tokens=cached), tokens=tokens)
    if switched.model == "small":
        later = decide(state(expected_turns=more, cached_tokens=cached), tokens=tokens)
        assert later.model == "small"


@given(st.floats(0, 60), st.integers(0, 100_000), st.integers(1_000, 100_000))
def test_a_switch_never_costs_more_than_staying(turns: float, cached: int, tokens: int) -> None:
    session = state(expected_turns=turns, cached_tokens=cached)
    decision = decide(session, tokens=tokens)
    if decision.model == "big":
        return
    costs = {}
    for model, held in ((BIG, min(cached, tokens)), (SMALL, 0)):
        now = model.turn_cost(held, tokens - held, 120)
        later = model.turn_cost(tokens, session.turn_input, session.turn_output)
        assert now is not None
        assert later is not None
        costs[model.model] = now + later * D(str(round(turns, 3)))
    assert costs["small"] < costs["big"]


def test_reasoning_that_only_one_model_can_read_keeps_the_turn_there() -> None:
    decision = decide(state(expected_turns=40, cached_tokens=0, sealed=True))
    assert decision.model == "big"
    assert "only this model can read" in decision.reasoning
    assert decide(state("small", sealed=True, stalled=True), "complex").model == "small"


def test_a_harder_turn_does_not_go_to_a_weaker_model() -> None:
    session = state(expected_turns=40, cached_tokens=0, tier="simple")
    assert decide(session, "moderate").model == "big"
    assert decide(replace(session, tier="complex"), "moderate").model == "mid"


def test_a_hard_turn_goes_to_a_strong_model_whatever_is_cached() -> None:
    assert decide(state("small", expected_turns=0), "complex").model == "big"


def test_a_session_that_goes_round_in_circles_is_moved_up_once() -> None:
    moved = decide(state("small", stalled=True))
    assert moved.model == "mid"
    assert moved.metadata["moved_up"] is True
    assert "round in circles" in moved.reasoning
    again = decide(state("mid", stalled=True, moved_up=True, expected_turns=40, cached_tokens=0))
    assert again.model == "mid", "neither up again nor down"
    assert "moved_up" not in again.metadata
    assert decide(state("big", stalled=True, expected_turns=0)).model == "big"


def test_a_session_is_not_moved_where_moves_have_not_helped() -> None:
    stalled = state("small", stalled=True, expected_turns=0)
    unhelpful = frozenset({MID.ref})
    assert decide(replace(stalled, unhelpful=unhelpful)).model == "big"
    kept = decide(replace(stalled, unhelpful=unhelpful | {BIG.ref}))
    assert kept.model == "small"
    assert "moved_up" not in kept.metadata


def test_a_session_that_is_held_back_stays_and_says_so() -> None:
    kept = decide(state("small", stalled=True, held_back=True))
    assert kept.model == "small"
    assert kept.metadata["held_back"] is True
    alone = decide(state("big", stalled=True, held_back=True, expected_turns=0))
    assert alone.metadata["held_back"] is False, "there is no stronger model"


@pytest.mark.parametrize("strategy", ["cheapest", "best"])
def test_what_was_asked_for_by_name_stays(strategy: str) -> None:
    alone = engine_over(Fixed(OPTIONS)).route(
        context_of(EASY, max_tokens=4000), strategy=strategy,
        analysis=replace(analysis("simple"), token_count=50_000),
    )  # fmt: skip
    assert decide(state("mid", expected_turns=0), strategy=strategy).model == alone.model


def test_a_model_that_is_gone_is_left() -> None:
    assert decide(state("gone", sealed=True)).model == "small"


def test_a_compaction_goes_to_a_long_context() -> None:
    short = replace(SMALL, context_window=60_000)
    options = (short, MID, BIG)
    session = state("small", cached_tokens=0)
    decision = decide(session, turn="compaction", options=options)
    assert decision.model == "mid"
    assert "long context" in decision.reasoning
    assert decide(session, turn="human", options=options).model == "small"
    assert decide(session, turn="compaction", options=options, tokens=20_000).model == "small"


def test_a_learned_length_replaces_the_usual_one() -> None:
    asked = replace(analysis("simple"), token_count=100)

    def lengths(ref: object, tier: Tier) -> int | None:
        return 5_000 if str(ref) == "a/small" else None

    context = context_of(EASY, max_tokens=4000, output_tokens=lengths)
    decision = engine_over(Fixed(OPTIONS)).route(context, strategy="complexity", analysis=asked)
    # The client's limit bounds it.
    assert decision.metadata["cost_estimate"] == SMALL.expected_cost(100, 4000)
    cheapest = engine_over(Fixed(OPTIONS)).route(context, strategy="cheapest", analysis=asked)
    assert cheapest.model == "mid", "its usual 120 tokens cost less than 4000 of the cheap one"

"""A limit of an answer's latency, and what is known of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.answer_speed import AnswerSpeed
from routing.models import ModelRef
from tests.routing.catalogue import EASY, OPTIONS, Fixed, context, engine_over

speeds = st.dictionaries(
    st.sampled_from([option.ref for option in OPTIONS]),
    st.builds(AnswerSpeed, st.floats(0, 20), st.floats(0, 0.1)),
)
STRATEGIES = ("complexity", "learning", "hybrid", "cheapest", "best")


def decide(known: dict, limit: float | None, strategy: str = "complexity"):
    return engine_over(Fixed()).route(
        context(EASY, speed=known.get if known else None, max_latency=limit), strategy=strategy
    )


@given(speeds, st.floats(0, 30), st.sampled_from(STRATEGIES))
def test_what_is_known_to_be_too_slow_answers_only_where_nothing_is_faster(
    known, limit, strategy
) -> None:
    decision = decide(known, limit, strategy)
    candidates = {ModelRef(c["provider"], c["model"]): c for c in decision.metadata["candidates"]}
    assert candidates.keys() == {option.ref for option in OPTIONS}
    expected = {ref: c.get("expected_latency") for ref, c in candidates.items()}
    assert expected.keys() - {ref for ref, s in expected.items() if s is None} == known.keys()
    assert decision.metadata["max_latency"] == limit
    if not known:
        assert "is not checked" in decision.reasoning
        return
    chosen = expected[decision.ref]
    assert chosen is not None, "an unknown speed was taken for a fast one"
    fastest = min(s for s in expected.values() if s is not None)
    if fastest > limit:
        assert chosen == fastest
        assert "No model is expected to answer within" in decision.reasoning
    else:
        assert chosen <= limit
    fallbacks = {ModelRef(**f) for f in decision.metadata["fallback_chain"]}
    assert all(expected[ref] is not None and expected[ref] <= limit for ref in fallbacks)


def test_each_excluded_model_says_why() -> None:
    slow, fast = AnswerSpeed(1, 0.1), AnswerSpeed(0.5, 0.01)
    known = {ModelRef("a", "small"): slow, ModelRef("b", "small"): fast}
    decision = decide(known, 5)
    assert decision.ref == ("b", "small")
    why = {f"{c['provider']}/{c['model']}": c["reason"] for c in decision.metadata["candidates"]}
    assert why["a/small"] == "takes about 13.0 s, which is above the limit of 5 s"
    assert why["a/mid"] == "how long it takes is not known, so the limit of 5 s cannot be checked"


@pytest.mark.parametrize(
    ("seconds", "limit", "shown"),
    [(5.004, 5, "5.004 s"), (0.016, 0.01, "0.016 s"), (13, 5, "13.0 s"), (13.26, 5, "13.3 s")],
)
def test_a_latency_above_the_limit_is_not_rounded_to_it(seconds, limit, shown) -> None:
    known = {ModelRef("a", "small"): AnswerSpeed(seconds, 0)}
    assert f"with about {shown}." in decide(known, limit).reasoning
    known[ModelRef("b", "small")] = AnswerSpeed(limit / 2, 0)
    why = [c["reason"] for c in decide(known, limit).metadata["candidates"]]
    assert f"takes about {shown}, which is above the limit of {limit:g} s" in why


def test_without_a_limit_latency_is_shown_and_excludes_nothing() -> None:
    decision = decide({ModelRef("a", "small"): AnswerSpeed(100, 1)}, None)
    assert decision.ref == ("a", "small")
    shown = [c.get("expected_latency") for c in decision.metadata["candidates"]]
    assert shown == [220.0, None, None, None, None]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_learned_length_counts(strategy) -> None:
    known = {option.ref: AnswerSpeed(1, 0.01) for option in OPTIONS}
    long_winded = ModelRef("a", "small")
    decision = engine_over(Fixed()).route(
        context(
            EASY, speed=known.get, max_latency=5,
            output_tokens=lambda ref, _: 900 if ref == long_winded else 100,
        ),
        strategy=strategy,
    )  # fmt: skip
    assert decision.ref != long_winded

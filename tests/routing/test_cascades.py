"""What a cascade is expected to cost and to be worth, before and after some were recorded."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.cascades import (
    CHECK_POWER,
    NOTHING_LEARNED,
    Cascade,
    CascadeLearning,
    CascadeOutcome,
    Checking,
    CheckPower,
    Single,
    cascade_of,
    cascades,
    frontier,
)

SURE = st.floats(0.02, 0.98)


def single(name: str, quality: float, cost: str, **more: Any) -> Single:
    return Single("maker", name, quality, 0.02, Decimal(cost), **more)


CHEAP, STRONG = single("small", 0.7, "0.001"), single("large", 0.9, "0.020")
BY_JUDGE = Checking(("judge",), cost=Decimal("0.002"))


def expected(
    cheap: Single = CHEAP,
    strong: Single = STRONG,
    learned: CascadeLearning = NOTHING_LEARNED,
    checking: Checking = BY_JUDGE,
    pattern: str = "code",
) -> Cascade:
    return cascade_of(cheap, strong, learned, checking, pattern=pattern, tier="moderate")


def outcomes(passed: int, failed: int, score: float | None = None) -> list[CascadeOutcome]:
    cascade = expected()
    one = CascadeOutcome(
        "code", "moderate", CHEAP.ref, STRONG.ref, "judge", True,
        cascade.passes, cascade.kept, cascade.escalated, score,
    )  # fmt: skip
    return [one] * passed + [one._replace(passed=False)] * failed


@given(SURE, SURE)
def test_both_parts_are_what_two_models_with_shared_difficulty_make_of_them(
    one: float, other: float
) -> None:
    cheap, strong = single("small", min(one, other), "1"), single("large", max(one, other), "2")
    cascade = expected(cheap, strong)
    good, bad = CHECK_POWER["judge"]
    c, s = cheap.quality, strong.quality
    assert cascade.passes == pytest.approx(c * good + (1 - c) * bad, abs=0.002)
    assert cascade.kept >= c - 0.002  # a check that tells anything lets the better ones through
    assert cascade.escalated <= s + 0.002  # and leaves the harder prompts to the strong model
    both = cascade.passes * cascade.kept + (1 - cascade.passes) * cascade.escalated
    assert cascade.quality == pytest.approx(both)
    assert cascade.quality_low <= cascade.quality <= cascade.quality_high


def test_a_check_that_tells_nothing_gives_each_model_its_own_quality(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blind = {"judge": CheckPower(0.6, 0.6)}
    monkeypatch.setattr("routing.cascades.CHECK_POWER", blind)
    cascade = expected()
    assert cascade.passes == pytest.approx(0.6, abs=1e-3)
    assert cascade.kept == pytest.approx(CHEAP.quality, abs=1e-3)
    assert cascade.escalated == pytest.approx(STRONG.quality, abs=1e-3)


def test_the_cost_is_that_of_the_first_call_the_checks_and_the_second_one_as_often_as_needed() -> (
    None
):
    checking = Checking(("judge",), more_calls=1, cost=Decimal("0.002"), latency=1.0)
    cheap, strong = CHEAP._replace(latency=2.0), STRONG._replace(latency=10.0)
    cascade = expected(cheap, strong, checking=checking)
    escalates = 1 - cascade.passes
    assert float(cascade.cost) == pytest.approx(0.001 * 2 + 0.002 + 0.020 * escalates)
    assert cascade.latency == pytest.approx(3.0 + 10.0 * escalates)
    assert cascade.longest == 13.0
    assert expected(cheap, checking=checking).latency is None  # of one model it is not known


def test_what_was_recorded_outweighs_the_first_guess() -> None:
    before = expected()
    often = expected(learned=CascadeLearning.of(outcomes(passed=50, failed=0)))
    never = expected(learned=CascadeLearning.of(outcomes(passed=0, failed=50)))
    assert often.passes > 0.95 > before.passes > 0.1 > never.passes
    assert never.cost > STRONG.cost > often.cost
    bad = expected(learned=CascadeLearning.of(outcomes(passed=30, failed=0, score=0.1)))
    assert bad.kept < 0.3 < before.kept
    assert bad.escalated == before.escalated
    good = expected(learned=CascadeLearning.of(outcomes(passed=0, failed=30, score=1.0)))
    assert good.escalated > before.escalated
    assert good.kept == before.kept


@pytest.mark.parametrize(
    ("checking", "cheap", "pattern", "moves"),
    [
        (BY_JUDGE, CHEAP, "code", "all the way"),
        (BY_JUDGE, CHEAP, "analysis", "a little"),
        (Checking(("schema",)), CHEAP, "code", "not"),
        (BY_JUDGE, single("other", 0.7, "0.001"), "code", "not"),
    ],
    ids=["same kind", "another kind of prompt", "another check", "another model"],
)
def test_evidence_counts_for_its_own_check_and_model_and_less_for_other_prompts(
    checking: Checking, cheap: Single, pattern: str, moves: str
) -> None:
    learned = CascadeLearning.of(outcomes(passed=0, failed=40))
    before = expected(cheap, checking=checking, pattern=pattern).passes
    after = expected(cheap, learned=learned, checking=checking, pattern=pattern).passes
    assert (after == before) == (moves == "not")
    assert (after < 0.1) == (moves == "all the way")


def test_only_models_that_none_beats_are_paired_and_the_cheapest_comes_first() -> None:
    dull = single("dull", 0.6, "0.005")
    top = single("top", 0.95, "0.1")
    assert frontier([top, dull, STRONG, CHEAP]) == [CHEAP, STRONG, top]
    made = cascades(
        [top, dull, STRONG, CHEAP], NOTHING_LEARNED, BY_JUDGE, pattern="code", tier="simple"
    )
    pairs = [(one.cheap.model, one.strong.model) for one in made]
    assert sorted(pairs) == [("large", "top"), ("small", "large"), ("small", "top")]
    assert [one.cost for one in made] == sorted(one.cost for one in made)
    limited = cascades(
        [top, dull, STRONG, CHEAP], NOTHING_LEARNED, BY_JUDGE, pattern="code", tier="simple",
        cheap={dull.ref}, strong={top.ref, CHEAP.ref},
    )  # fmt: skip
    assert [(one.cheap, one.strong) for one in limited] == [(dull, top)]
    assert not cascades(
        [CHEAP, STRONG], NOTHING_LEARNED, Checking(()), pattern="code", tier="simple"
    )
    assert not cascades([CHEAP], NOTHING_LEARNED, BY_JUDGE, pattern="code", tier="simple")


def test_one_model_may_answer_first_with_little_effort_and_then_with_more() -> None:
    high = CHEAP._replace(effort="high", quality=0.8, cost=Decimal("0.003"))
    (made,) = cascades([CHEAP, high], NOTHING_LEARNED, BY_JUDGE, pattern="code", tier="simple")
    assert (made.cheap.effort, made.strong.effort) == ("", "high")

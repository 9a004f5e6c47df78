"""Quality beside savings: paired where it can be, by weighed ratings where not, never alone."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.ledger.savings import cost_savings
from analytics.models import Comparison, RequestRecord
from analytics.quality.means import MIN_VERDICTS, mean_of
from analytics.quality.report import judging_cost, quality_report
from analytics.reports.report import routing_report
from analytics.reports.report_formats import headline
from tests.factories import ComparisonFactory, FeedbackFactory, RoutingMetricFactory

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
scores = st.floats(0, 1)


@given(st.lists(scores, min_size=MIN_VERDICTS, max_size=200))
def test_an_interval_holds_its_mean_and_stays_within_bounds(values: list[float]) -> None:
    found = mean_of(len(values), sum(values), sum(v * v for v in values))
    assert 0 <= found.low <= found.high <= 1
    assert found.mean == pytest.approx(sum(values) / len(values), abs=1e-5)
    assert found.high - found.low > 0.001


def test_few_verdicts_have_no_interval() -> None:
    assert mean_of(MIN_VERDICTS - 1, 10.0, 8.0).low is None
    assert mean_of(0, 0.0, 0.0).mean is None


def test_equal_verdicts_are_no_certainty() -> None:
    assert mean_of(100, 100.0, 100.0).low < 0.98


def test_its_interval_holds_the_truth_as_often_as_it_says() -> None:
    chance = random.Random(5)
    held = 0
    for _ in range(400):
        values = [chance.random() < 0.85 for _ in range(80)]
        found = mean_of(80, sum(values), sum(values))
        held += found.low <= 0.85 <= found.high
    assert held / 400 > 0.93


@pytest.mark.django_db
class TestPaired:
    def compare(self, count: int, gain: float, **fields: object) -> None:
        chance = random.Random(3)
        for _ in range(count):
            reference = chance.uniform(0.4, 0.6)
            ComparisonFactory(score=reference + gain, reference_score=reference, **fields)

    def test_the_difference_is_the_mean_of_the_pairs(self) -> None:
        ComparisonFactory.create_batch(30, score=1.0, reference_score=0.5)
        ComparisonFactory.create_batch(30, score=0.0, reference_score=1.0)
        ComparisonFactory.create_batch(50, score=0.0, reference_score=1.0, served=False)
        found = quality_report(0.02, LONG_AGO)
        assert found["basis"] == "pairs"
        assert found["difference"]["mean"] == -0.25
        assert (found["routed"]["mean"], found["baseline"]["mean"]) == (0.5, 0.75)
        assert found["difference"]["count"] == 60

    @pytest.mark.parametrize(
        ("gain", "verdict"), [(0.0, "holds"), (-0.2, "falls short"), (-0.02, "not shown")]
    )
    def test_the_verdict_needs_the_whole_interval(self, gain: float, verdict: str) -> None:
        self.compare(400, gain)
        assert quality_report(0.05 if gain == 0 else 0.02, LONG_AGO)["verdict"] == verdict

    def test_a_handful_shows_nothing(self) -> None:
        self.compare(10, 0.0)
        found = quality_report(0.02, LONG_AGO)
        assert (found["basis"], found["verdict"]) == ("nothing", "not shown")

    def test_what_judging_cost_counts_against_the_savings(self) -> None:
        RoutingMetricFactory(request__cost=Decimal("0.3"), baseline_cost=Decimal("0.5"))
        ComparisonFactory(judge_cost=Decimal("0.01"), answer_cost=Decimal("0.02"))
        assert judging_cost(LONG_AGO) == Decimal("0.03")
        found = cost_savings(LONG_AGO)
        assert found["total_saved"] == Decimal("0.17")
        assert found["routing_saved"] - found["judging_cost"] == found["total_saved"]
        assert found["baseline_cost"] - found["intelligent_cost"] == found["total_saved"]

    def test_no_report_shows_a_saving_without_its_quality(self) -> None:
        RoutingMetricFactory()
        assert "NOT SHOWN" in dict(headline(routing_report(7)))["Quality"]
        self.compare(200, -0.3)
        assert "FALLS SHORT" in dict(headline(routing_report(7)))["Quality"]

    def test_pairs_of_one_user_count_together(self) -> None:
        chance = random.Random(4)
        for user in range(40):
            score = chance.choice([0.0, 1.0])
            for _ in range(5):
                ComparisonFactory(score=score, request__user_id=f"user {user}")
        together = quality_report(0.02, LONG_AGO)["difference"]
        RequestRecord.objects.update(user_id="")
        alone = quality_report(0.02, LONG_AGO)["difference"]
        assert 1.8 < (together["high"] - together["low"]) / (alone["high"] - alone["low"]) < 2.6

    def test_pairs_of_ten_sessions_show_nothing(self) -> None:
        for n in range(100):
            ComparisonFactory(score=1.0, request__session_id=f"loop {n // 10}")
        found = quality_report(0.02, LONG_AGO)
        assert (found["basis"], found["verdict"]) == ("pairs", "not shown")
        assert (found["difference"]["mean"], found["difference"]["low"]) == (0.5, None)

    def test_it_survives_its_request(self) -> None:
        comparison = ComparisonFactory()
        comparison.request.delete()
        assert Comparison.objects.get().request is None


@pytest.mark.django_db
class TestFromRatings:
    def rate(
        self, model: str, good: int, bad: int, *, propensity: float | None = None, **fields: Any
    ) -> None:
        """Rated answers of a model; ``propensity`` is that of the baseline's model, "big"."""
        chances = {} if propensity is None else {"big": propensity, "small": 1 - propensity}
        candidates = [
            {"provider": "claude", "model": name, "propensity": chance}
            for name, chance in chances.items()
        ]
        for score, count in ((1.0, good), (0.0, bad)):
            for _ in range(count):
                decision = RoutingMetricFactory(
                    request__model=model,
                    baseline_provider="claude",
                    baseline_model="big",
                    metadata={"candidates": candidates},
                    **{f"request__{name}": value for name, value in fields.items()},
                )
                FeedbackFactory(request=decision.request, score=score)

    def test_a_router_that_gives_hard_prompts_to_the_better_model_is_not_praised(self) -> None:
        # Easy and hard prompts of the same kind: the big model is better at both by 0.1.
        self.rate("small", 72, 8, propensity=0.2)
        self.rate("big", 20, 0, propensity=0.2)
        self.rate("small", 8, 12, propensity=0.8)
        self.rate("big", 40, 40, propensity=0.8)
        found = quality_report(0.02, LONG_AGO)
        assert found["basis"] == "ratings"
        # As it was: 140 of 200. With the big model alone: 1.0 for half, 0.5 for the other.
        assert found["difference"]["mean"] == pytest.approx(0.7 - 0.75)
        assert found["baseline"]["mean"] == pytest.approx(0.75)
        difference = found["difference"]
        assert difference["low"] < difference["mean"] < difference["high"]

    def test_ratings_without_propensities_show_nothing(self) -> None:
        self.rate("small", 40, 10)
        self.rate("big", 50, 0)
        found = quality_report(0.02, LONG_AGO)
        assert (found["basis"], found["verdict"]) == ("nothing", "not shown")
        assert found["difference"]["mean"] is None
        assert found["routed"]["count"] == 100

    def test_a_model_that_is_rated_more_often_does_not_count_more(self) -> None:
        self.rate("small", 40, 40, propensity=0.5)
        self.rate("big", 40, 0, propensity=0.5)
        for _ in range(40):  # answered as often, and rated half as often
            RoutingMetricFactory(
                request__model="big", baseline_provider="claude", baseline_model="big"
            )
        found = quality_report(0.02, LONG_AGO)
        assert found["difference"]["mean"] == pytest.approx(0.75 - 1.0)

    def test_a_few_users_who_rate_most_leave_no_verdict(self) -> None:
        for user in range(3):
            self.rate("small", 20, 0, propensity=0.5, user_id=f"u{user}")
            self.rate("big", 20, 0, propensity=0.5, user_id=f"u{user}")
        for user in range(3, 20):
            self.rate("small", 1, 0, propensity=0.5, user_id=f"u{user}")
        assert quality_report(0.02, LONG_AGO)["basis"] == "nothing"

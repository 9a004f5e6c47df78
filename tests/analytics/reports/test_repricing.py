"""Savings against other baselines, and with the baseline's own length of answers."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.ledger.savings import cost_savings
from analytics.reports.figures import no_figures
from analytics.reports.repricing import Baseline, RepricedSums, TariffStep
from analytics.reports.sum_sources import RECORDED
from analytics.reports.token_adjusted_savings import adjusted_savings
from analytics.reports.token_ratios import AnswerLengths
from tests.analytics.reports.test_reports import run
from tests.factories import RequestRecordFactory, RoutingMetricFactory

D = Decimal
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
SINCE = NOW - timedelta(days=10)
CHEAP_THEN_DEAR = (
    TariffStep(-1, D(1), D(2), D("0.1"), D("1.25")),
    TariffStep(200, D(10), D(20), D(1), D("12.5")),
)


def big(at: datetime) -> tuple[TariffStep, ...]:
    """Twice as dear from 5 March."""
    if at < datetime(2026, 3, 5, tzinfo=UTC):
        return CHEAP_THEN_DEAR
    return tuple(TariffStep(s.above, *(2 * price for price in s[1:])) for s in CHEAP_THEN_DEAR)


def always(tariff=big) -> RepricedSums:
    return RepricedSums(Baseline("always big", lambda _: ("p", "big"), lambda p, m, at: tariff(at)))


def priced(request, at: datetime) -> Decimal:
    """One request, priced by itself."""
    step = [s for s in big(at) if s.above < request.tokens_in][-1]
    fresh = request.tokens_in - request.cache_read_tokens - request.cache_write_tokens
    total = step.input * fresh + step.output * request.tokens_out
    total += step.cache_read * request.cache_read_tokens
    return (total + step.cache_write * request.cache_write_tokens) / 1_000_000


@pytest.mark.django_db
class TestAnAlwaysThisModelBaseline:
    @pytest.fixture(autouse=True)
    def _traffic(self) -> None:
        chance = random.Random(2)
        self.requests = []
        for number in range(60):
            hit = number % 5 == 0
            size = chance.randrange(50, 400)
            decision = RoutingMetricFactory(
                request__created_at=NOW - timedelta(days=chance.uniform(0, 9)),
                request__cost=D(0) if hit else D(chance.randrange(10**6)).scaleb(-10),
                request__cache_hit=hit,
                request__original_cost=D("0.0001") if hit else None,
                request__tokens_in=size,
                request__tokens_out=chance.randrange(300),
                request__cache_read_tokens=size // 3 if number % 3 == 0 else 0,
                request__cache_write_tokens=size // 4 if number % 7 == 0 else 0,
                request__requested_model="gpt-x" if number % 2 else "auto",
                request__user_id=chance.choice(["ann", "bob"]),
            )
            self.requests.append(decision.request)
        RequestRecordFactory(created_at=NOW - timedelta(hours=1), status="error", cost=D("0.5"))

    def direct(self, requests) -> Decimal:
        return sum(priced(r, r.created_at).quantize(D("1e-10")) for r in requests)

    def test_it_is_what_each_request_would_have_cost_on_its_day(self) -> None:
        found = cost_savings(SINCE, NOW, always())
        direct = self.direct(self.requests)
        assert abs(found["baseline_cost"] - direct) < D("1e-8")
        cost = sum(r.cost for r in self.requests)
        assert found["intelligent_cost"] == cost + D("0.5")
        assert found["total_saved"] == found["baseline_cost"] - cost - D("0.5")
        assert found["cache_saved"] == 12 * D("0.0001")
        assert found["routing_saved"] == found["total_saved"] + D("0.5") - found["cache_saved"]
        assert found["paired_requests"] == 60
        assert found["saved_low"] < found["total_saved"] < found["saved_high"]

    def test_every_breakdown_adds_up_to_it(self) -> None:
        total = cost_savings(SINCE, NOW, always())["baseline_cost"]
        for dimension in ("user", "model", "strategy", "answer"):
            sums = always().by(dimension, SINCE, NOW)
            assert abs(sum(f["baseline_cost"] for f in sums.values()) - total) < D("1e-8")
            assert sum(f["paired"] for f in sums.values()) == 60
        days = always().by_day(SINCE, NOW)
        assert abs(sum(f["baseline_cost"] for f in days.values()) - total) < D("1e-8")

    def test_only_requests_that_asked_for_a_model_are_compared_with_it(self) -> None:
        asked = RepricedSums(
            Baseline(
                "the model asked for",
                lambda name: ("p", "big") if name == "gpt-x" else None,
                lambda p, m, at: big(at),
            )
        )
        found = cost_savings(SINCE, NOW, asked)
        direct = self.direct(r for r in self.requests if r.requested_model == "gpt-x")
        assert abs(found["baseline_cost"] - direct) < D("1e-8")
        assert (found["paired_requests"], found["unpriced_requests"]) == (30, 30)

    def test_without_a_price_nothing_is_compared(self) -> None:
        found = cost_savings(SINCE, NOW, always(lambda at: None))
        assert found["paired_requests"] == 0
        assert found["total_saved"] == -D("0.5")


@pytest.mark.django_db
def test_the_command_compares_with_what_it_is_told_to() -> None:
    RoutingMetricFactory(
        request__requested_model="claude-haiku-5-5",
        request__cost=D("0.001"),
        request__tokens_in=1000,
        request__tokens_out=100,
    )
    for name, title in (
        ("requested", "the model asked for"),
        ("claude-sonnet-5-5", "always claude/claude-sonnet-5-5"),
    ):
        report = json.loads(run("routing_report", "--baseline", name, "--format", "json"))
        assert report["baseline"] == title
        assert report["savings"]["paired_requests"] == 1
        assert report["savings"]["baseline_cost"] != 0.0001
    with pytest.raises(Exception, match="nonsense.*complexity, requested"):
        run("routing_report", "--baseline", "nonsense")


def answers(kind: str, model: str, lengths: list[int], baseline: str = "p/big", output=0):
    figures = no_figures()
    figures["answers"] = len(lengths)
    figures["answer_tokens"] = sum(lengths)
    figures["answer_tokens_squared"] = sum(n * n for n in lengths)
    figures["baseline_cost"] = figures["baseline_output_cost"] = D(output)
    return {f"{kind}/{model}>{baseline}": figures}


class TestLengths:
    def test_like_is_compared_with_like(self) -> None:
        # The small model got the long prompts; at each kind the big one says twice as much.
        lengths = AnswerLengths(
            answers("code/complex", "p/small", [400] * 90)
            | answers("code/complex", "p/big", [800] * 10)
            | answers("factual/simple", "p/small", [10] * 10)
            | answers("factual/simple", "p/big", [20] * 90)
        )
        found = lengths.ratio("p/small", "p/big")
        assert found.known
        assert found.ratio == pytest.approx(2.0)
        assert lengths.ratio("p/big", "p/small").ratio == pytest.approx(0.5)

    def test_what_is_not_known_is_one_and_marked(self) -> None:
        few = AnswerLengths(
            answers("code/complex", "p/small", [10] * 29)
            | answers("code/complex", "p/big", [9] * 50)
        )
        assert few.ratio("p/small", "p/big") == few.ratio("p/small", "p/none")
        assert not few.ratio("p/small", "p/big").known
        assert few.ratio("p/small", "p/big").ratio == 1.0
        apart = AnswerLengths(
            answers("code/complex", "p/small", [10] * 99)
            | answers("code/simple", "p/small", [10] * 40)
            | answers("code/simple", "p/big", [9] * 50)
        )
        assert not apart.ratio("p/small", "p/big").known

    def test_its_interval_holds_the_truth(self) -> None:
        chance = random.Random(8)
        held = 0
        for _ in range(300):
            lengths = AnswerLengths(
                answers("a/simple", "p/s", [int(chance.expovariate(1 / 300)) for _ in range(60)])
                | answers("a/simple", "p/b", [int(chance.expovariate(1 / 450)) for _ in range(60)])
            )
            found = lengths.ratio("p/s", "p/b")
            held += found.low <= 1.5 <= found.high
        assert held / 300 > 0.91

    def test_savings_follow_it_with_its_doubt(self) -> None:
        savings = {
            "total_saved": D(10), "saved_low": D(9), "saved_high": D(11), "baseline_cost": D(30),
        }  # fmt: skip
        sums = (
            answers("a/simple", "p/small", [90, 110] * 30, output=8)
            | answers("a/simple", "p/big", [130, 170] * 30, output=4)
            | answers("a/simple", "p/odd", [90, 110], output=2)
        )
        found, rows = adjusted_savings(savings, sums)
        assert float(found["total_saved"]) == pytest.approx(10 + 8 * 0.5)
        assert float(found["baseline_cost"]) == pytest.approx(34)
        assert found["saved_low"] < D(13)
        assert found["saved_high"] > D(15)
        assert found["known_percent"] == pytest.approx(100 * 12 / 14, abs=0.01)
        assert [(row["model"], row["output_known"]) for row in rows] == [
            ("p/small", True),
            ("p/odd", False),
        ]

    def test_a_tokenizer_that_makes_more_of_the_same_text_costs_more(self) -> None:
        def read(model: str, density: int, input_cost: int):
            figures = no_figures()
            for estimate in (10, 20) * 20:
                figures["inputs"] += 1
                figures["input_tokens"] += density * estimate
                figures["input_estimate"] += estimate
                figures["input_tokens_squared"] += (density * estimate) ** 2
                figures["input_estimate_squared"] += estimate**2
                figures["input_product"] += density * estimate**2
            figures["baseline_cost"] = D(input_cost)
            return {f"a/simple/p/{model}>p/big": figures}

        savings = {"total_saved": D(0), "saved_low": None, "saved_high": None,
                   "baseline_cost": D(10)}  # fmt: skip
        sums = read("small", 2, 10) | read("big", 3, 0)
        lengths = AnswerLengths(sums)
        found = lengths.input_ratio("p/small", "p/big")
        assert (found.ratio, found.error) == (pytest.approx(1.5), pytest.approx(0, abs=1e-9))
        assert lengths.input_ratio("p/small", "p/none").known is False
        adjusted, rows = adjusted_savings(savings, sums)
        assert float(adjusted["total_saved"]) == pytest.approx(5)
        assert adjusted["known_percent"] == 100
        assert rows[0]["input_ratio"] == 1.5

    @given(st.lists(st.integers(1, 1000), min_size=30, max_size=60))
    def test_a_model_is_as_long_as_itself(self, lengths: list[int]) -> None:
        known = AnswerLengths(answers("a/simple", "p/one", lengths, "p/two"))
        assert known.ratio("p/one", "p/one").ratio == 1


@pytest.mark.django_db
def test_lengths_are_read_from_whole_answers_only() -> None:
    for fields in ({}, {"finish_reason": "length"}, {"usage_estimated": True}, {"cache_hit": True}):
        RoutingMetricFactory(**{f"request__{name}": value for name, value in fields.items()})
    total = no_figures()
    for figures in RECORDED.by("answer", datetime.now(UTC) - timedelta(days=1)).values():
        total["answers"] += figures["answers"]
    assert total["answers"] == 1

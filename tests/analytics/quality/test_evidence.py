"""What verdicts add up to: at once, completely, and again from scratch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, connections

from analytics.models import Feedback, LearnedEvidence
from analytics.quality.evidence import HALF_LIFE_DAYS, evidence_load, evidence_rebuild
from analytics.quality.feedback import feedback_record
from analytics.quality.import_outcomes import JudgedOutcome, outcomes_import
from tests.factories import FeedbackFactory, RequestRecordFactory

KEY = ("factual", "simple", "claude", "claude-haiku-5-5")


def judged(number: int, score: float = 1.0) -> JudgedOutcome:
    return JudgedOutcome(f"b:{number}", *KEY, score, 0.8)


@pytest.mark.django_db(transaction=True)
def test_concurrent_verdicts_on_one_kind_are_all_learned_from() -> None:
    ids = [RequestRecordFactory().pk for _ in range(30)]

    def rate(request_id: object) -> None:
        try:
            feedback_record(request_id=request_id, score=1.0, expect=lambda *_: 0.8)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(rate, ids))
    found = evidence_load()[KEY]
    assert found.count == 30
    remembered = sum(0.98**n for n in range(30))
    assert found.weight == pytest.approx(remembered, rel=1e-4)
    assert found.quality_sum == pytest.approx(remembered, rel=1e-4)
    assert found.expected_sum == pytest.approx(0.8 * remembered, rel=1e-4)


@pytest.mark.django_db
def test_what_was_expected_is_asked_with_the_prompt_and_kept() -> None:
    asked = []

    def expect(*about: str) -> float:
        asked.append(about)
        return 0.61

    request = RequestRecordFactory(prompt="What is it?", effort="high")
    feedback_record(request_id=request.pk, rating=1, expect=expect)
    assert asked == [("What is it?", "simple", "claude", "claude-haiku-5-5", "high")]
    assert Feedback.objects.get().expected == 0.61


@pytest.mark.django_db
def test_old_evidence_fades() -> None:
    outcomes_import([judged(n) for n in range(20)])
    now = datetime.now(UTC)
    today = evidence_load(now)[KEY]
    later = evidence_load(now + timedelta(days=HALF_LIFE_DAYS))[KEY]
    assert later.weight == pytest.approx(today.weight / 2, rel=1e-3)
    assert later.count == today.count == 20
    assert later.quality_sum / later.weight == pytest.approx(today.quality_sum / today.weight)


@pytest.mark.django_db
def test_rebuilding_gives_the_same_again() -> None:
    for number in range(12):
        request = RequestRecordFactory(pattern="code" if number % 3 else "factual")
        feedback_record(request_id=request.pk, score=number / 12, expect=lambda *_: 0.7)
    now = datetime.now(UTC)
    before = evidence_load(now)
    assert evidence_rebuild() == 12
    after = evidence_load(now)
    assert after.keys() == before.keys()
    for key, known in before.items():
        assert after[key].count == known.count
        assert after[key].weight == pytest.approx(known.weight, rel=0.02)
        assert after[key].quality_sum == pytest.approx(known.quality_sum, rel=0.02)


@pytest.mark.django_db
def test_verdicts_without_an_expectation_are_held_against_the_tier_s() -> None:
    FeedbackFactory(score=1.0)
    evidence_rebuild()
    found = LearnedEvidence.objects.get()
    assert found.expected_sum == 0.85


@pytest.mark.django_db
def test_an_imported_outcome_counts_once() -> None:
    assert outcomes_import([judged(1), judged(2), judged(1, 0.0)]) == 2
    assert outcomes_import([judged(2), judged(3)]) == 1
    assert evidence_load()[KEY].count == 3
    assert Feedback.objects.filter(source="import").count() == 3


@pytest.mark.django_db
def test_the_database_itself_refuses_a_second_outcome_of_one_id() -> None:
    FeedbackFactory(external_id="b:1")
    FeedbackFactory()
    FeedbackFactory()
    with pytest.raises(IntegrityError):
        FeedbackFactory(external_id="b:1")

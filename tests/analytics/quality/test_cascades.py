"""What is learned from recorded cascades and their ratings."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from analytics.models import LearnedEvidence, RequestRecord
from analytics.quality.cascades import cascade_outcomes
from analytics.quality.feedback import feedback_record
from routing.cascades import CascadeLearning
from routing.models import ModelRef
from tests.factories import ComparisonFactory, FeedbackFactory, RequestRecordFactory

pytestmark = pytest.mark.django_db
CHEAP, STRONG = ModelRef("gemini", "gemini-3.5-flash-lite"), ModelRef("claude", "claude-opus-5-5")


def a_cascade(escalated: bool | None = False, *, ref: ModelRef | None = None, **more: Any) -> Any:
    served = ref or (STRONG if escalated else CHEAP)
    trial = {
        "arm": "treated", "p": 0.95, "cheap": str(CHEAP), "strong": str(STRONG), "checked": "judge",
        "passes": 0.7, "kept": 0.8, "after": 0.85, **more.pop("trial", {}),
    }  # fmt: skip
    if escalated is not None:
        trial["escalated"] = escalated
    row: RequestRecord = RequestRecordFactory(
        provider=served.provider, model=served.model, levers={"cascade": trial}, pattern="code",
        tier="moderate", **more,
    )  # fmt: skip
    return row


def test_outcomes_are_read_with_the_mean_of_their_ratings_oldest_first() -> None:
    now = timezone.now()
    passed = a_cascade(created_at=now - timedelta(hours=2))
    failed = a_cascade(True, created_at=now - timedelta(hours=1))
    for score in (1.0, 0.0, 0.5):
        FeedbackFactory(request=passed, score=score)
    ComparisonFactory(request=failed, score=0.25, reference_score=0.5, served=True)
    one, other = cascade_outcomes()
    assert (one.cheap, one.strong, one.checks, one.passed, one.score) == (
        CHEAP, STRONG, "judge", True, 0.5,
    )  # fmt: skip
    assert (one.pattern, one.tier, one.passes, one.kept) == ("code", "moderate", 0.7, 0.8)
    assert (other.passed, other.score) == (False, pytest.approx(0.85 - 0.25))
    assert CascadeLearning.of([one, other]).trials == 2


def test_what_says_nothing_of_a_check_is_left_out() -> None:
    now = timezone.now()
    a_cascade(None)  # the cheap model did not answer
    a_cascade(trial={"arm": "control"})
    a_cascade(status="error")
    a_cascade(created_at=now - timedelta(days=100))
    RequestRecordFactory(levers={"effort": {"arm": "treated"}})
    RequestRecordFactory(levers=None)
    RequestRecordFactory(levers={"cascade": {"arm": "treated", "escalated": True}})
    assert cascade_outcomes() == []
    fallback = a_cascade(True, ref=ModelRef("openrouter", "z-ai/glm-5.3"))
    FeedbackFactory(request=fallback, score=1.0)
    (outcome,) = cascade_outcomes()
    assert outcome.score is None  # another model answered, yet the check failed


@pytest.mark.parametrize(("shift", "expected"), [(0.0, 0.7), (1.0, 0.8638), (-1.0, 0.4619)])
def test_a_rating_counts_against_what_was_expected_of_answers_that_a_check_selects(
    shift: float, expected: float
) -> None:
    row = a_cascade(trial={"shift": shift})
    feedback_record(request_id=row.pk, rating=1, expect=lambda *_: 0.7)
    evidence = LearnedEvidence.objects.get()
    assert evidence.expected_sum == pytest.approx(expected, abs=1e-4)
    assert (evidence.provider, evidence.model) == CHEAP

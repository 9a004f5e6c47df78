"""How fast models answer, from the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from analytics.models import RequestRecord
from analytics.reports.answer_speeds import AnswerSpeeds, timed_answers
from routing.models import ModelRef
from tests.factories import RequestRecordFactory

pytestmark = pytest.mark.django_db
HAIKU = ModelRef("claude", "claude-haiku-5-5")


def answered(count: int, seconds: float, **fields: object) -> None:
    fields = {"tokens_out": 100, "provider_ms": seconds * 1000, **fields}
    RequestRecordFactory.create_batch(count, **fields)


def speeds() -> AnswerSpeeds:
    return AnswerSpeeds(timed_answers())


def test_each_effort_has_its_own_speed_and_others_that_of_all_answers() -> None:
    answered(25, 1.0)
    answered(25, 9.0, effort="high")
    answered(5, 30.0, effort="max")
    learned = speeds()
    assert learned.of(HAIKU, "").seconds(100) == pytest.approx(1.0)
    assert learned.of(HAIKU, "high").seconds(100) == pytest.approx(9.0)
    assert learned.of(HAIKU, "max") == learned.of(HAIKU, "low")
    assert learned.of(HAIKU, "max") is not None


def test_only_whole_answers_of_one_call_count() -> None:
    answered(30, 50.0, cache_hit=True)
    answered(30, 50.0, replayed=True)
    answered(30, 50.0, status=RequestRecord.Status.PARTIAL)
    answered(30, 50.0, attempts=[{"provider": "claude", "model": "x", "error": "timeout"}])
    answered(30, 50.0, created_at=datetime.now(UTC) - timedelta(days=40))
    answered(19, 1.0)
    assert not speeds().any
    answered(1, 1.0)
    assert speeds().of(HAIKU).seconds(100) == pytest.approx(1.0)


def test_nothing_is_known_of_a_model_that_did_not_answer() -> None:
    answered(30, 1.0)
    assert speeds().of(ModelRef("openai", "gpt-6.1-terra")) is None


def test_the_latest_answers_of_each_kind_count_in_one_query(
    django_assert_num_queries,
) -> None:
    now = datetime.now(UTC)
    answered(30, 90.0, created_at=now - timedelta(days=1))
    answered(100, 2.0)
    with django_assert_num_queries(1):
        rows = timed_answers()
    assert len(rows) == 100
    assert {answer.seconds for _, _, answer in rows} == {2.0}

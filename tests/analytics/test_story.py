"""A decision's page tells what happened, from the question to its rating."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from analytics.candidate_chart import candidate_chart
from analytics.models import RoutingMetric
from analytics.story import complexity_parts, story_of
from routing.complexity import score_complexity
from tests.factories import (
    CachedResponseFactory,
    FeedbackFactory,
    RequestRecordFactory,
    RoutingMetricFactory,
)

pytestmark = pytest.mark.django_db
PROMPT = "Analyze and compare two distributed rate limiters, and explain why one of them fails."


def a_decision(**request: object) -> RoutingMetric:
    record = RequestRecordFactory(
        prompt=PROMPT, complexity=score_complexity(PROMPT).score, provider="claude",
        model="claude-haiku-5-5", cost=Decimal("0.002"), **request,
    )  # fmt: skip
    found: RoutingMetric = RoutingMetricFactory(
        request=record, complexity=record.complexity, provider="claude", model="claude-haiku-5-5",
        baseline_provider="claude", baseline_model="claude-opus-5-5",
        baseline_cost=Decimal("0.01"), routing_saved=Decimal("0.008"), cache_saved=Decimal(0),
    )  # fmt: skip
    return found


def page_of(decision: RoutingMetric, client: Client) -> str:
    url = reverse("admin:analytics_routingmetric_change", args=[decision.pk])
    return client.get(url).content.decode()


def test_the_headline_says_who_answered_for_how_much_and_what_it_saved() -> None:
    assert story_of(a_decision()).headline == (
        "Answered by claude/claude-haiku-5-5 for $0.002000. Complexity's choice, "
        "claude/claude-opus-5-5, would have cost $0.010000: $0.008000 (80 %) saved."
    )


def test_a_loss_is_not_called_a_saving() -> None:
    decision = a_decision()
    decision.baseline_cost, decision.routing_saved = Decimal("0.001"), Decimal("-0.001")
    assert story_of(decision).headline.endswith("$0.001000 (100 %) more.")


@pytest.mark.parametrize(
    ("request_fields", "told"),
    [
        ({"status": "error"}, "claude/claude-haiku-5-5 was chosen, and nobody answered."),
        ({"status": "partial"}, "but cut off"),
        ({"cache_hit": True, "original_cost": Decimal("0.5")}, "from the cache for nothing"),
    ],
)
def test_other_endings(request_fields: dict[str, object], told: str) -> None:
    assert told in story_of(a_decision(**request_fields)).headline


def test_a_fallback_says_who_was_chosen_first(admin_client: Client) -> None:
    failed = {"provider": "gemini", "model": "flash", "error": "rate_limited",
              "message": "gemini is busy", "status": 429, "cost": "0"}  # fmt: skip
    decision = a_decision(attempts=[failed])
    decision.provider, decision.model = "gemini", "flash"
    decision.save()
    page = page_of(decision, admin_client)
    assert "after gemini/flash was chosen and failed" in page
    assert "gemini is busy" in page


def test_the_parts_add_up_to_the_complexity() -> None:
    decision = a_decision()
    parts = story_of(decision).parts
    assert sum(part.value for part in parts) == pytest.approx(decision.complexity, abs=1e-3)
    assert parts[0].name == "demanding work"


def test_no_parts_where_the_prompt_alone_does_not_make_the_score() -> None:
    assert complexity_parts(PROMPT, score_complexity(PROMPT).score + 0.1) == []
    assert complexity_parts("", 0.0) == []


def test_the_page_shows_prompt_candidates_answer_and_ratings(admin_client: Client) -> None:
    decision = a_decision(cache_key="k" * 64)
    CachedResponseFactory(
        cache_key="k" * 64, response="One of them loses its clock.",
        created_at=decision.request.created_at,
    )  # fmt: skip
    FeedbackFactory(request=decision.request, score=0.75, comment="clear")
    page = page_of(decision, admin_client)
    for text in (PROMPT, "What makes it complex", "One of them loses its clock.", "0.75", "clear"):
        assert text in page


def test_an_answer_given_anew_since_is_not_shown(admin_client: Client) -> None:
    decision = a_decision(cache_key="k" * 64)
    later = decision.request.created_at + timedelta(seconds=1)
    CachedResponseFactory(cache_key="k" * 64, response="Another answer.", created_at=later)
    assert "Another answer." not in page_of(decision, admin_client)


def test_answers_are_for_those_who_may_see_them() -> None:
    decision = a_decision(cache_key="k" * 64)
    CachedResponseFactory(
        cache_key="k" * 64, response="Secret answer.", created_at=decision.request.created_at
    )
    person = User.objects.create_user("ann", is_staff=True)
    person.user_permissions.add(Permission.objects.get(codename="view_routingmetric"))
    client = Client()
    client.force_login(person)
    page = page_of(decision, client)
    assert PROMPT in page
    assert "Secret answer." not in page


def test_the_picture_is_a_file_for_those_who_may_see_decisions(admin_client: Client) -> None:
    decision = a_decision()
    url = reverse("admin:analytics_routingmetric_picture", args=[decision.pk])
    drawn = admin_client.get(url)
    assert drawn["Content-Type"] == "image/svg+xml"
    assert b"<svg" in drawn.content
    client = Client()
    client.force_login(User.objects.create_user("bob", is_staff=True))
    assert client.get(url).status_code == 403


def test_candidates_are_drawn_with_and_without_prices_and_qualities() -> None:
    one = {"provider": "p", "model": "m$", "tier": "simple", "expected_quality": None,
           "quality_low": None, "quality_high": None, "expected_cost": "0.001",
           "chosen": True}  # fmt: skip
    judged = one | {"model": "n", "expected_quality": 0.8, "quality_low": 0.7, "quality_high": 0.9}
    assert "m$" in candidate_chart([one])
    assert ">n<" in candidate_chart([judged, one | {"expected_cost": "0"}])
    assert "known price" in candidate_chart([one | {"expected_cost": None}])

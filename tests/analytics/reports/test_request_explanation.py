"""A decision's page tells what happened, from the question to its rating."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from analytics.models import RoutingMetric
from analytics.reports.plots import candidate_plot
from analytics.reports.request_explanation import complexity_parts, explain_request
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
    assert explain_request(a_decision()).headline == (
        "Answered by claude/claude-haiku-5-5 for $0.002000. Complexity's choice, "
        "claude/claude-opus-5-5, would have cost $0.010000: $0.008000 (80 %) saved."
    )


def test_a_baseline_that_a_client_named_is_not_called_complexity_s() -> None:
    decision = a_decision()
    cheap = {"provider": "claude", "model": "claude-haiku-5-5"}
    decision.metadata = {
        "baseline_chain": [cheap], "validation": "overridden", "rejected_model": cheap,
    }  # fmt: skip
    story = explain_request(decision)
    assert "The baseline, claude/claude-opus-5-5, would have cost" in story.headline
    assert story.decided[-1].endswith("Complexity decided in place of claude/claude-haiku-5-5.")


def test_a_loss_is_not_called_a_saving() -> None:
    decision = a_decision()
    decision.baseline_cost, decision.routing_saved = Decimal("0.001"), Decimal("-0.001")
    assert explain_request(decision).headline.endswith("$0.001000 (100 %) more.")


@pytest.mark.parametrize(
    ("request_fields", "told"),
    [
        ({"status": "error"}, "claude/claude-haiku-5-5 was chosen, but no model answered."),
        ({"status": "partial"}, "but cut off"),
        ({"cache_hit": True, "original_cost": Decimal("0.5")}, "from the cache at no cost"),
    ],
)
def test_other_endings(request_fields: dict[str, object], told: str) -> None:
    assert told in explain_request(a_decision(**request_fields)).headline


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
    parts = explain_request(decision).parts
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
    for text in (PROMPT, "Complexity by signal", "One of them loses its clock.", "0.75", "clear"):
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
    client = Client()

    def page(*permissions: str) -> str:
        person.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(person)
        return page_of(decision, client)

    figures = page("view_routingmetric", "view_cachedresponse")
    assert PROMPT not in figures
    assert "Secret answer." not in figures
    prompts = page("view_routingmetric", "view_prompts")
    assert PROMPT in prompts
    assert "Secret answer." not in prompts
    assert "Secret answer." in page("view_routingmetric", "view_prompts", "view_cachedresponse")


def test_the_page_has_the_candidates_to_be_drawn(admin_client: Client) -> None:
    decision = a_decision()
    candidates = [candidate("claude-haiku-5-5", chosen=True)]
    decision.metadata = {"candidates": candidates}
    decision.save()
    # A picture of one point would show nothing.
    assert "candidates-chart" not in page_of(decision, admin_client)
    candidates.append(candidate("claude-opus-5-5"))
    decision.save()
    page = page_of(decision, admin_client)
    (drawn,) = re.findall(r'<script type="application/json">(.*?)</script>', page)
    assert json.loads(drawn) == candidate_plot(
        decision.metadata["candidates"], ("claude", "claude-opus-5-5")
    )


def candidate(model: str, *, chosen: bool = False, **changes: object) -> dict[str, object]:
    return {
        "provider": "claude", "model": model, "tier": "moderate", "expected_quality": None,
        "quality_low": None, "quality_high": None, "expected_cost": "0.0010000001",
        "chosen": chosen, **changes,
    }  # fmt: skip


def test_candidates_stand_by_quality_or_by_tier_where_none_is_expected() -> None:
    plain = candidate("some/small", chosen=True)
    by_tier = candidate_plot([plain])
    assert by_tier["tiers"][by_tier["points"][0]["worth"]] == "moderate"
    assert by_tier["points"][0]["name"] == "small"
    judged = candidate("big", expected_quality=0.8, quality_low=0.7, quality_high=0.9)
    plot = candidate_plot([plain, judged, judged | {"expected_cost": None}], ("claude", "big"))
    (point,) = plot["points"]
    assert (point["role"], point["cost"], point["worth"]) == ("baseline", "0.0010000001", 0.8)
    assert plot["tiers"] is None
    assert candidate_plot([plain | {"expected_cost": None}])["points"] == []


def test_a_cascade_shows_its_checks_and_what_each_call_cost(admin_client: Client) -> None:
    attempt = {
        "provider": "gemini", "model": "gemini-3.5-flash-lite", "error": "check_failed",
        "message": "answered, and its check failed", "status": None, "cost": "0.0005",
    }  # fmt: skip
    decision = a_decision(attempts=[attempt], failed_cost=Decimal("0.0005"))
    decision.metadata = {
        "cascade": {
            "summary": "The check “schema” failed, so claude/claude-haiku-5-5 was asked.",
            "checks": [{"check": "schema", "result": "failed", "reason": "the answer is no JSON"}],
            "escalated": True,
        }
    }  # fmt: skip
    decision.save()
    story = explain_request(decision).cascade
    assert story is not None
    assert [(call.model, call.cost) for call in story.calls] == [
        ("gemini/gemini-3.5-flash-lite", Decimal("0.0005")),
        ("claude/claude-haiku-5-5", Decimal("0.0015")),
    ]
    assert "after a check failed" in story.calls[1].role
    page = page_of(decision, admin_client)
    for words in ("so claude/claude-haiku-5-5 was asked", "the answer is no JSON", "$0.0015"):
        assert words in page
    assert "Earlier calls that failed" not in page

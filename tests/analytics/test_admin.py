"""The admin: what an operator sees, and how little it costs."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin import site
from django.test import AsyncClient, Client
from django.urls import reverse

from analytics.admin.bounded_sort import BoundedChangeList
from analytics.database.large_tables import COUNTED_ROWS, CappedPaginator
from analytics.models import CachedResponse, RequestRecord, RoutingMetric
from analytics.quality.evidence import evidence_rebuild
from tests.factories import (
    CachedResponseFactory,
    DailyTotalFactory,
    FeedbackFactory,
    RequestRecordFactory,
    RoutingMetricFactory,
)

pytestmark = pytest.mark.django_db
LISTS = [
    "routingmetric", "requestrecord", "cachedresponse", "feedback", "dailytotal",
    "learnedevidence",
]  # fmt: skip


def url(model: str, page: str = "changelist", *args: object) -> str:
    return reverse(f"admin:analytics_{model}_{page}", args=args)


@pytest.fixture
def rows() -> list[RoutingMetric]:
    DailyTotalFactory(cost=Decimal("1.5"), routing_saved=Decimal("0.5"))
    entry = CachedResponseFactory()
    metrics = RoutingMetricFactory.create_batch(5, request__cache_key=entry.cache_key)
    FeedbackFactory.create_batch(3, request=metrics[0].request, cache_entry=entry, comment="good")
    return metrics


@pytest.mark.parametrize("model", LISTS)
def test_every_list_opens_with_few_queries(
    admin_client: Client, rows: list, model: str, django_assert_max_num_queries
) -> None:
    with django_assert_max_num_queries(15):
        assert admin_client.get(url(model)).status_code == 200


@pytest.mark.parametrize("model", LISTS[:4])
def test_more_rows_cost_no_more_queries(
    admin_client: Client, rows: list, model: str, django_assert_max_num_queries
) -> None:
    for _ in range(30):
        entry = CachedResponseFactory()
        metric = RoutingMetricFactory(request__cache_key=entry.cache_key)
        FeedbackFactory(request=metric.request, cache_entry=entry)
    with django_assert_max_num_queries(15):
        assert admin_client.get(url(model)).status_code == 200


def test_savings_stand_at_the_top_of_the_decisions(admin_client: Client, rows: list) -> None:
    page = admin_client.get(url("routingmetric")).content.decode()
    assert "savings-summary" in page
    assert "$0.50" in page
    assert "25.0 %" in page


def test_a_decision_s_page_shows_its_candidates_and_leads_to_its_relatives(
    admin_client: Client, rows: list
) -> None:
    page = admin_client.get(url("routingmetric", "change", rows[0].pk)).content.decode()
    assert '<table class="candidates" tabindex="0">' in page
    assert "0.82 (0.74" in page
    assert rows[0].request.prompt in page
    assert url("requestrecord", "change", rows[0].pk) in page
    assert f"{url('cachedresponse')}?q={rows[0].request.cache_key}" in page
    assert "1.00 by client: good" in page


def test_a_choice_made_to_learn_says_so_and_by_what_chance(admin_client: Client) -> None:
    decision = RoutingMetricFactory(
        metadata={"validation": "experimental", "explored": True, "propensity": 0.0125}
    )
    page = admin_client.get(url("routingmetric", "change", decision.pk)).content.decode()
    assert "Chosen at random to explore, with a probability of 1.2%." in page
    assert "experimental" in page


def test_what_was_learned_is_listed(admin_client: Client) -> None:
    FeedbackFactory(score=0.5)
    evidence_rebuild()
    page = admin_client.get(url("learnedevidence")).content.decode()
    for words in ("claude/claude-haiku-5-5", "0.50", "0.85", "1.0"):
        assert words in page


@pytest.mark.parametrize("model", LISTS)
def test_history_cannot_be_rewritten(admin_client: Client, rows: list, model: str) -> None:
    assert admin_client.get(url(model, "add")).status_code == 403
    row = {"routingmetric": rows[0].pk}.get(model)
    if row is not None:
        assert admin_client.post(url(model, "change", row), {"reasoning": "x"}).status_code == 403
        assert admin_client.post(url(model, "delete", row), {"post": "yes"}).status_code == 403
        assert RoutingMetric.objects.filter(pk=row).exists()


@pytest.mark.parametrize(
    "query",
    [
        "strategy_used__exact=complexity", "confidence__exact=high", "tier__exact=simple",
        "provider=claude", "model=claude-haiku-5-5", "fallback_used__exact=0",
    ],
)  # fmt: skip
def test_decisions_can_be_filtered(admin_client: Client, rows: list, query: str) -> None:
    RoutingMetricFactory(
        request__strategy="hybrid", request__confidence="low", request__tier="complex",
        request__provider="gemini", request__model="other", fallback_used=True,
    )  # fmt: skip
    found = admin_client.get(f"{url('routingmetric')}?{query}").context["cl"].result_count
    assert found == 5


def test_requests_are_sorted_among_the_latest_of_the_list(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [
        RequestRecordFactory(
            created_at=datetime.now(UTC) - timedelta(minutes=n), cost=Decimal(n) if n else None,
            latency_ms=10 - n, tokens_in=n % 3, user_id=f"u{n % 2}",
        )
        for n in range(6)
    ]  # fmt: skip
    numbers = {record.pk: n for n, record in enumerate(made)}

    def order(query: str) -> list[int]:
        page = admin_client.get(f"{url('requestrecord')}?{query}")
        return [numbers[row.pk] for row in page.context["cl"].result_list]

    assert order("o=2") == [5, 4, 3, 2, 1, 0]
    assert order("o=-2") == [0, 1, 2, 3, 4, 5]
    assert order("o=6") == [0, 1, 2, 3, 4, 5]
    monkeypatch.setattr(BoundedChangeList, "most_sorted", 2)
    assert order("o=2") == [1, 0]
    assert order("o=2&user_id=u1") == [3, 1]
    assert order("o=-1") == [0, 1, 2, 3, 4, 5]
    page = admin_client.get(f"{url('requestrecord')}?o=2").content.decode()
    assert "Sorted among the latest 2 rows of this list" in page


def test_an_address_sorts_only_by_columns_that_the_list_offers(admin_client: Client) -> None:
    """No index has a million decisions in the order of their confidence, latest first."""
    for n, confidence in enumerate(("medium", "high", "low")):
        RoutingMetricFactory(
            confidence=confidence, request__created_at=datetime.now(UTC) - timedelta(hours=n)
        )
    place = list(site._registry[RoutingMetric].list_display).index("confidence") + 1
    for query, expected in (
        (f"o={place}", ["medium", "high", "low"]),
        (f"o=-{place}", ["medium", "high", "low"]),
        ("o=1", ["low", "high", "medium"]),
    ):
        page = admin_client.get(f"{url('routingmetric')}?{query}")
        assert [row.confidence for row in page.context["cl"].result_list] == expected, query


def test_requests_are_filtered_by_the_code_of_their_error(admin_client: Client) -> None:
    ok = RequestRecordFactory()
    late, limited = (
        RequestRecordFactory(status="error", error_code=code) for code in ("timeout", "rate_limit")
    )
    page = admin_client.get(f"{url('requestrecord')}?error_code=timeout")
    assert [row.pk for row in page.context["cl"].result_list] == [late.pk]
    assert "?error_code=rate_limit" in page.content.decode()
    assert ok.pk != limited.pk


def test_a_request_tells_its_story(admin_client: Client, rows: list) -> None:
    request = rows[0].request
    request.attempts = [
        {"provider": "openai", "model": "gpt-5", "error": "timeout", "cost": "0.25"}
    ]
    request.cost, request.failed_cost = Decimal(1), Decimal("0.25")
    request.save()
    page = admin_client.get(url("requestrecord", "change", request.pk))
    calls = page.context["story"].calls
    assert [(call.model, call.cost) for call in calls] == [
        ("openai/gpt-5", Decimal("0.25")), (str(request.ref), Decimal("0.75")),
    ]  # fmt: skip
    assert "Everything recorded" in page.content.decode()
    refused = RequestRecordFactory(status="refused", error_code="budget_exceeded", http_status=402)
    page = admin_client.get(url("requestrecord", "change", refused.pk)).content.decode()
    assert "Refused before any model was asked: budget_exceeded (402)" in page


def test_search_finds_by_id_key_and_words(admin_client: Client, rows: list) -> None:
    other = RoutingMetricFactory(request__prompt="Tell me about zebras")
    for term, expected in (
        (str(other.pk), {other.pk}),
        (rows[0].request.cache_key, {r.pk for r in rows}),
        ("zebra", {other.pk}),
        ("no such words", set()),
    ):
        found = admin_client.get(url("routingmetric"), {"q": term}).context["cl"].result_list
        assert {row.pk for row in found} == expected


def test_words_are_looked_for_in_the_latest_prompts(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text of prompts has no index: a million rows would take seconds."""
    monkeypatch.setattr("analytics.admin.history.MOST_SEARCHED", 2)
    now = datetime.now(UTC)
    for n in range(4):
        RoutingMetricFactory(
            request__prompt=f"Zebra {n}", request__created_at=now - timedelta(hours=n)
        )
    page = admin_client.get(url("requestrecord"), {"q": "zebra"})
    assert [row.prompt for row in page.context["cl"].result_list] == ["Zebra 0", "Zebra 1"]
    assert "in the prompts of the latest 2 rows" in page.content.decode()
    older = {"q": "zebra", "created_at__lt": (now - timedelta(hours=1.5)).isoformat()}
    page = admin_client.get(url("requestrecord"), older)
    assert [row.prompt for row in page.context["cl"].result_list] == ["Zebra 2", "Zebra 3"]
    assert "in the prompts of the latest" not in page.content.decode()


def test_a_cache_key_leads_to_its_answer_s_requests_of_any_age(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others with the key are looked for among the latest, as not all keys have an index."""
    monkeypatch.setattr("analytics.admin.history.MOST_SEARCHED", 2)
    entry = CachedResponseFactory(created_at=datetime.now(UTC) - timedelta(days=90))
    latest, made, hit, replaced = (
        RoutingMetricFactory(
            request__cache_key=entry.cache_key, request__cache_hit=cache_hit,
            request__created_at=entry.created_at + timedelta(days=days),
        )
        for days, cache_hit in ((90, False), (0, False), (1, True), (-5, False))
    )  # fmt: skip
    RoutingMetricFactory(request__created_at=entry.created_at + timedelta(days=80))
    assert replaced.pk
    for table in ("routingmetric", "requestrecord"):
        rows = admin_client.get(url(table), {"q": entry.cache_key}).context["cl"].result_list
        assert {row.pk for row in rows} == {latest.pk, made.pk, hit.pk}


def test_words_are_looked_for_with_few_queries(
    admin_client: Client, rows: list, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(15):
        admin_client.get(url("routingmetric"), {"q": "no such words"})


@pytest.mark.parametrize("few", [1, 100])
def test_words_of_few_and_of_many_prompts_are_found(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr("analytics.admin.history._FEW", few)
    now = datetime.now(UTC)
    for n in range(4):
        RoutingMetricFactory(
            request__prompt=f"{'Zebra' if n else 'Lion'} {n}",
            request__created_at=now - timedelta(hours=n),
        )
    for table in ("routingmetric", "requestrecord"):
        rows = admin_client.get(url(table), {"q": "zebra"}).context["cl"].result_list
        assert [getattr(row, "request", row).prompt for row in rows] == [
            "Zebra 1", "Zebra 2", "Zebra 3",
        ]  # fmt: skip
        assert len(admin_client.get(url(table), {"q": "lion"}).context["cl"].result_list) == 1


def test_search_finds_by_ids_that_clients_know(admin_client: Client, rows: list) -> None:
    one = RoutingMetricFactory(
        request__session_id="run-7", request__user_id="ann", request__response_id="resp_of_them"
    )
    for table in ("routingmetric", "requestrecord"):
        for term in (
            f"chatcmpl-{one.pk}", f"cmpl-{one.pk}", f"resp_{one.pk}", f"msg_{one.pk}", "run-7",
            "ann", "resp_of_them",
        ):  # fmt: skip
            found = admin_client.get(url(table), {"q": term}).context["cl"].result_list
            assert {row.pk for row in found} == {one.pk}, (table, term)


def test_answers_without_a_price_are_a_filter_that_leaves_failures_out(
    admin_client: Client, rows: list
) -> None:
    unpriced = RoutingMetricFactory(routing_saved=None, actual_cost=None)
    RoutingMetricFactory(request__status="error", routing_saved=None, actual_cost=None)
    found = admin_client.get(url("routingmetric"), {"unpriced": "1"}).context["cl"].result_list
    assert [row.pk for row in found] == [unpriced.pk]


def test_a_row_shows_values_as_people_read_them(admin_client: Client) -> None:
    row = RequestRecordFactory(
        complexity=0.123456789, tags=["docs", "support"], streamed=False,
        failed_cost=Decimal("0.0000120000"), latency_ms=2345.6789,
        billed_units={"web_searches": 2},
    )  # fmt: skip
    page = admin_client.get(reverse("admin:analytics_requestrecord_change", args=[row.pk]))
    text = page.content.decode()
    for shown in ("0.1235", "docs, support", "$0.000012", "&quot;web_searches&quot;: 2"):
        assert shown in text
    assert "0.123456789" not in text
    assert "icon-no" not in text


def test_the_date_hierarchy_jumps_along_the_index(admin_client: Client) -> None:
    for month in (1, 3, 11):
        for day in (2, 20):
            RequestRecordFactory(created_at=datetime(2026, month, day, 23, 30, tzinfo=UTC))
    rows = RequestRecord.objects.all()
    assert [m.month for m in rows.datetimes("created_at", "month")] == [1, 3, 11]
    assert [d.day for d in rows.datetimes("created_at", "day", order="DESC")][:2] == [20, 2]
    page = admin_client.get(f"{url('requestrecord')}?created_at__year=2026&created_at__month=3")
    assert page.context["cl"].result_count == 2


def test_lists_are_never_counted_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analytics.database.large_tables.COUNTED_ROWS", 3)
    RequestRecordFactory.create_batch(5)
    assert COUNTED_ROWS == 10_000
    assert CappedPaginator(RequestRecord.objects.order_by("-created_at"), 2).count == 3


@pytest.mark.django_db(transaction=True)
async def test_a_list_exports_as_it_is_filtered(async_client: AsyncClient, admin_user) -> None:
    from asgiref.sync import sync_to_async

    await sync_to_async(RoutingMetricFactory.create_batch)(3)
    await sync_to_async(RoutingMetricFactory)(request__provider="=cmd()", request__model="x")
    await async_client.aforce_login(admin_user)
    response = await async_client.get(url("routingmetric", "export"))
    assert response["Content-Disposition"] == 'attachment; filename="routing_metrics.csv"'
    text = b"".join([chunk async for chunk in response.streaming_content]).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 4
    assert {row["actual_cost"] for row in rows} == {"0.0000450000"}
    assert {row["cache_saved"] for row in rows} == {"0.0000000000"}
    assert "'=cmd()" in {row["provider"] for row in rows}
    filtered = await async_client.get(f"{url('routingmetric', 'export')}?q=nothing-like-it")
    assert len(b"".join([c async for c in filtered.streaming_content]).splitlines()) == 1


def test_cached_answers_can_be_invalidated_by_hand(admin_client: Client) -> None:
    entry = CachedResponseFactory()
    admin_client.post(
        url("cachedresponse"), {"action": "invalidate", "_selected_action": [entry.pk]}
    )
    entry.refresh_from_db()
    assert entry.invalidated_at is not None
    assert entry.invalidation_reason == "by admin"
    assert CachedResponse.objects.count() == 1


def test_strangers_are_sent_to_the_login() -> None:
    for page in ("changelist", "export"):
        response = Client().get(url("routingmetric", page))
        assert response.status_code == 302
        assert "/admin/login/" in response["Location"]


def test_the_admin_s_pages_are_guarded_against_framing_and_forgery(admin_user) -> None:
    browser = Client(enforce_csrf_checks=True)
    response = browser.get("/admin/login/")
    assert response["X-Frame-Options"] == "DENY"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response.cookies["csrftoken"]["samesite"] == "Lax"
    forged = browser.post("/admin/login/", {"username": "admin", "password": "password"})
    assert forged.status_code == 403


def test_production_asks_for_tls(settings) -> None:
    settings.SECURE_SSL_REDIRECT, settings.SECURE_HSTS_SECONDS = True, 60
    assert Client().get("/admin/login/")["Location"].startswith("https://")
    secure = Client().get("/admin/login/", secure=True)
    assert secure["Strict-Transport-Security"].startswith("max-age=60")


def test_old_days_can_be_reached(admin_client: Client) -> None:
    RoutingMetricFactory(request__created_at=datetime.now(UTC) - timedelta(days=400))
    assert admin_client.get(url("routingmetric")).context["cl"].result_count == 1


def test_a_request_s_page_says_what_was_asked_for_and_how_it_came(admin_client: Client) -> None:
    record = RequestRecordFactory(
        endpoint="messages", requested_model="auto", streamed=True, ttft_ms=123.4, tags=["docs"],
        status=RequestRecord.Status.PARTIAL, error_code="client_disconnected",
    )  # fmt: skip
    page = admin_client.get(url("requestrecord", "change", record.pk)).content.decode()
    for told in ("auto (messages)", "123 ms", "docs", "cut off", "client_disconnected"):
        assert told in page
    others = RequestRecordFactory()
    found = admin_client.get(url("requestrecord"), {"endpoint__exact": "messages"})
    assert [row.pk for row in found.context["cl"].result_list] == [record.pk] != [others.pk]

"""The role finance sees figures, and no word that a client or a model has written."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from analytics.access.roles import FINANCE, VIEWER, roles_make
from analytics.ledger.ledger import LedgerEntry, write_entries
from analytics.models import AgentSession, RequestRecord, RoutingMetric
from tests.factories import (
    CachedResponseFactory,
    FeedbackFactory,
    RequestRecordFactory,
    RoutingMetricFactory,
)

WORD = "zanzibar"
LISTS = ("requestrecord", "routingmetric")


def browser(role: str) -> Client:
    roles_make()
    person = User.objects.create_user(role, is_staff=True)
    person.groups.set([Group.objects.get(name=role)])
    client = Client(raise_request_exception=False)
    client.force_login(person)
    return client


async def _streamed(answer: Any) -> bytes:
    return b"".join([chunk async for chunk in answer.streaming_content])


def content(answer: Any) -> str:
    body = async_to_sync(_streamed)(answer) if answer.streaming else answer.content
    return str(body.decode())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("role", [FINANCE, VIEWER])
@pytest.mark.parametrize("path", ["/admin/", "/admin/start/"])
def test_no_link_of_a_first_page_is_refused(role: str, path: str) -> None:
    client = browser(role)
    home = content(client.get(path))
    links = {link.replace("&amp;", "&") for link in re.findall(r' href="(/admin/[^"#]*)"', home)}
    assert len(links) > 20
    pages = {link for link in links if not link.startswith(("/admin/logout", "/admin/live/"))}
    assert {link for link in pages if client.get(link).status_code == 403} == set()


@pytest.fixture
def decision(db: None) -> RoutingMetric:
    request = RequestRecordFactory(
        prompt=f"Buy {WORD}?", status="error", error_detail=WORD, cost=Decimal("0.7654"),
        attempts=[{"provider": "claude", "model": "m", "error": "x", "message": WORD}],
    )  # fmt: skip
    entry = CachedResponseFactory(prompt=WORD, response=WORD, cache_key=request.cache_key)
    FeedbackFactory(request=request, cache_entry=entry, comment=WORD)
    made: RoutingMetric = RoutingMetricFactory(request=request, metadata={"note": WORD})
    return made


@pytest.fixture
def session(db: None) -> AgentSession:
    """A run of an agent in which every text has the word."""
    for answer in (
        {"cost": Decimal("0.43")},
        {"cost": Decimal(0), "status": "error", "error_code": "timeout", "error_detail": WORD},
    ):
        request = RequestRecordFactory.build(
            prompt=WORD, session_id="run-1", agent="claude-code", turn="human", **answer,
            attempts=[{"provider": "claude", "model": "m", "error": "x", "message": WORD,
                       "cost": 0}],
        )  # fmt: skip
        metric = RoutingMetricFactory.build(request=request, metadata={"note": WORD})
        write_entries([LedgerEntry(request, metric)])
    return AgentSession.objects.get()


def pages(decision: RoutingMetric) -> list[str]:
    """Every page of the admin that needs no input."""
    found = [reverse("admin:index"), "/admin/whatif/"]
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        found.append(reverse(f"{name}_changelist"))
        found += [reverse(f"{name}_change", args=[row.pk]) for row in model._default_manager.all()]
        if hasattr(admin.site._registry[model], "export_view"):
            found.append(reverse(f"{name}_export"))
    names = ("charts", "whose", "live", "playground", "models", "invoices", "start")
    return found + [reverse(f"admin:{name}") for name in names]


def test_no_page_shows_a_word_of_it(decision: RoutingMetric, session: AgentSession) -> None:
    finance = browser(FINANCE)
    opened = 0
    for page in pages(decision):
        answer = finance.get(page)
        assert answer.status_code in {200, 302, 403}, page
        opened += answer.status_code == 200
        assert WORD not in content(answer), page
        assert decision.request.cache_key not in content(answer), page
    assert opened > 10


def test_sessions_and_invoices_show_figures_alone(session: AgentSession) -> None:
    finance = browser(FINANCE)
    page = reverse("admin:analytics_agentsession_change", args=[session.pk])
    for place in (
        page,
        reverse("admin:analytics_agentsession_changelist"),
        reverse("admin:analytics_agentsession_export"),
        reverse("admin:analytics_requestrecord_changelist") + f"?session_id={session.session_id}",
        reverse("admin:invoices"),
    ):
        answer = finance.get(place)
        assert answer.status_code == 200, place
        assert WORD not in content(answer), place
    assert "0.43" in content(finance.get(page))
    stop = reverse("admin:analytics_agentsession_stop", args=[session.pk])
    assert finance.post(stop).status_code == 403
    listed = reverse("admin:analytics_agentsession_export")
    assert session.session_id not in content(finance.get(listed, {"q": WORD}))


def test_the_figures_are_there(decision: RoutingMetric) -> None:
    finance = browser(FINANCE)
    for table in LISTS:
        assert finance.get(reverse(f"admin:analytics_{table}_changelist")).status_code == 200
    listed = content(finance.get(reverse("admin:analytics_requestrecord_export")))
    assert "0.7654" in listed
    page = content(finance.get(reverse("admin:analytics_routingmetric_change", args=[decision.pk])))
    assert "not shown to your role" in page


@pytest.mark.parametrize("table", LISTS)
def test_searches_and_filters_look_into_no_text(decision: RoutingMetric, table: str) -> None:
    finance, viewer = browser(FINANCE), browser(VIEWER)
    page = reverse(f"admin:analytics_{table}_changelist")
    export = reverse(f"admin:analytics_{table}_export")
    key = decision.request.cache_key
    pk = str(decision.pk)
    for term in (WORD, "nothing like it", key):
        assert pk not in content(finance.get(export, {"q": term})), term
    assert pk in content(viewer.get(export, {"q": WORD}))
    assert pk in content(finance.get(export, {"q": pk}))
    before = "request__" if table == "routingmetric" else ""
    for lookup in ("prompt__icontains", "error_detail__contains", "cache_key", "prompt_hash"):
        answer = finance.get(page, {before + lookup: WORD})
        assert (answer.status_code == 400) or "e=1" in answer.get("location", ""), lookup


def test_autocompletion_finds_no_text(decision: RoutingMetric) -> None:
    sent = {"app_label": "analytics", "model_name": "feedback", "field_name": "request"}
    answer = browser(FINANCE).get(reverse("admin:autocomplete"), {**sent, "term": WORD})
    found = json.loads(answer.content)["results"] if answer.status_code == 200 else []
    assert found == []


def test_the_playground_is_closed(decision: RoutingMetric) -> None:
    finance = browser(FINANCE)
    turns = {"turns": [{"role": "user", "text": "Hi"}]}
    for name, body in (("choices", turns), ("run", turns), ("rate", {"rating": 1})):
        answer = finance.post(
            reverse(f"admin:playground_{name}"), json.dumps(body), content_type="application/json"
        )
        assert answer.status_code == 403, name


def test_it_changes_nothing_by_its_permissions(db: None) -> None:
    roles_make()
    verbs = Group.objects.get(name=FINANCE).permissions.values_list("codename", flat=True)
    assert {verb.split("_")[0] for verb in verbs} == {"view"}
    assert "view_prompts" not in verbs
    assert "view_prompts" in Group.objects.get(name=VIEWER).permissions.values_list(
        "codename", flat=True
    )
    assert RequestRecord._meta.permissions

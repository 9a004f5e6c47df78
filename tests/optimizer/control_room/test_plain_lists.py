"""Lists and pages of the admin show JSON as words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from analytics.access.keys import key_make
from analytics.alerts.notice import Notice, Section
from analytics.models import (
    ApiKey,
    Digest,
    DigestIssue,
    KeyTemplate,
    Project,
    RoutingRule,
    RuleChange,
)

pytestmark = pytest.mark.django_db
_RAW = tuple(map(escape, ('["', "['", '{"', "{'")))


@pytest.fixture
def rows() -> list[object]:
    key = key_make(ApiKey(name="bot", model_names=["claude-*", "gpt-*"])).key
    project = Project.objects.create(name="search", tags=["batch", "night"])
    rule = RoutingRule.objects.create(name="cheap", tags=["batch", "night"], action="force")
    change = RuleChange.objects.create(
        rule="cheap", before={"tags": []}, after={"tags": ["batch", "night"]}, who="ann"
    )
    template = KeyTemplate.objects.create(name="all", model_names=["claude-*"])
    digest = Digest.objects.create(name="Weekly")
    notice = Notice("The week", "It cost $5.", [("Spent", "$5")], [Section("Models", ["haiku"])])
    issue = DigestIssue.objects.create(
        digest=digest, period_start=datetime(2026, 11, 23, tzinfo=UTC), content=notice.as_json()
    )
    return [key, project, rule, change, template, issue]


def test_no_list_and_no_page_shows_json(rows: list[object]) -> None:
    viewer = User.objects.create_user("vera", is_staff=True)
    viewer.user_permissions.add(*Permission.objects.filter(codename__startswith="view_"))
    client = Client()
    client.force_login(viewer)
    texts = {}
    for row in rows:
        name = f"admin:analytics_{row._meta.model_name}"  # type: ignore[attr-defined]
        pages = (reverse(f"{name}_changelist"), reverse(f"{name}_change", args=[row.pk]))  # type: ignore[attr-defined]
        for address in pages:
            answer = client.get(address)
            assert answer.status_code == 200, address
            text = answer.content.decode()
            text = text[text.index('id="content"') :]
            assert not [raw for raw in _RAW if raw in text], address
            texts[address] = text
    assert "complete, feedback" in texts[reverse("admin:analytics_apikey_changelist")]
    assert "batch, night" in texts[reverse("admin:analytics_project_changelist")]
    assert "tags: – → batch, night" in texts[reverse("admin:analytics_rulechange_changelist")]


def test_whoever_may_change_gets_the_form(rows: list[object], admin_client: Client) -> None:
    key = ApiKey.objects.get()
    page = admin_client.get(reverse("admin:analytics_apikey_change", args=[key.pk]))
    assert 'name="model_names"' in page.content.decode()

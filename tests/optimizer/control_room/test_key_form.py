"""A key with its budget in one form, shown once with what each client needs; and a key's page."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from analytics.access.developers import developer_add
from analytics.access.keys import key_make
from analytics.access.own_keys import own_key_make
from analytics.access.roles import roles_make
from analytics.models import ApiKey, Budget, Developer, KeyTemplate, Team
from tests.factories import RequestRecordFactory

pytestmark = pytest.mark.django_db
ADD = "admin:analytics_apikey_add"


def form(**fields: Any) -> dict[str, Any]:
    return {
        "name": "ann's laptop", "user": "ann", "scopes": ["complete", "feedback"],
        "model_names": "claude/*", "addresses": "", "expires_at": "2031-05-06T07:08",
        "budget_limit": "5", "budget_period": "day", "budget_at_limit": "refuse", **fields,
    }  # fmt: skip


def post(client: Client, **fields: Any) -> str:
    answer = client.post(reverse(ADD), form(**fields), headers={"host": "localhost"})
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_key_with_five_dollars_a_day_is_one_form(admin_client: Client) -> None:
    text = post(admin_client, team=Team.objects.create(name="red").pk)
    secret = re.search(r"aco_[\w-]{43}", text)
    assert secret is not None
    key, budget = ApiKey.objects.get(), Budget.objects.get()
    assert (key.user, str(key.team), key.model_names) == ("ann", "red", ["claude/*"])
    assert key.expires_at == datetime(2031, 5, 6, 7, 8, tzinfo=UTC)
    assert (budget.scope, budget.subject, budget.limit, budget.period) == (
        "key", key.prefix, 5, "day",
    )  # fmt: skip
    for client in (
        "curl", "OpenAI", "Anthropic", "Gemini", "Claude Code", "Codex", "Gemini CLI", "opencode",
    ):  # fmt: skip
        assert f"<summary>{client}</summary>" in text
    assert text.count(secret.group()) > 8
    assert "http://localhost/v1" in text
    assert secret.group() not in admin_client.get(
        reverse("admin:analytics_apikey_change", args=[key.pk])
    ).content.decode()  # fmt: skip


def test_what_is_wrong_makes_neither_key_nor_budget(admin_client: Client) -> None:
    for wrong in (
        {"budget_limit": "-1"}, {"budget_limit": "much"}, {"expires_at": "soon"}, {"name": ""},
        {"budget_period": "minute"}, {"addresses": "nowhere"}, {"budget_limit": "NaN"},
    ):  # fmt: skip
        assert "errorlist" in post(admin_client, **wrong), wrong
    Budget.objects.create(name="ann's laptop: $5.00 a day", limit=1)
    assert "choose another name" in post(admin_client)
    assert not ApiKey.objects.exists()


def test_every_field_has_a_label(admin_client: Client) -> None:
    text = admin_client.get(reverse(ADD)).content.decode()
    for field in ("name", "user", "team", "project", "budget_limit", "model_names", "expires_at"):
        assert f'for="id_{field}"' in text
        assert f'id="id_{field}"' in text


def test_names_are_completed_and_any_name_is_taken(admin_client: Client) -> None:
    developer_add(Developer(name="annabel"))
    key_make(ApiKey(name="other", user="hannah"))
    key_make(ApiKey(name="nobody's"))
    names = admin_client.get(reverse("admin:analytics_apikey_users"), {"term": "ann"}).json()
    assert [one["text"] for one in names["results"]] == ["annabel", "hannah"]
    post(admin_client, user="somebody new", budget_limit="")
    made = ApiKey.objects.get(user="somebody new")
    assert made.developer is None
    assert not Budget.objects.exists()
    page = admin_client.get(reverse("admin:analytics_apikey_change", args=[made.pk]))
    assert '<option value="somebody new" selected>' in page.content.decode()


def test_a_developer_s_name_makes_the_key_theirs(admin_client: Client) -> None:
    developer = developer_add(Developer(name="ann"))
    post(admin_client)
    key = ApiKey.objects.get()
    assert key.developer == developer
    page = reverse("admin:analytics_apikey_change", args=[key.pk])
    admin_client.post(page, form(user="bea"))
    key.refresh_from_db()
    assert (key.user, key.developer) == ("bea", None)
    admin_client.post(page, form(user="ann"))
    key.refresh_from_db()
    assert key.developer == developer


def test_whoever_may_make_no_budgets_gets_none_with_a_key() -> None:
    roles_make()
    group = Group.objects.create(name="key makers")
    permissions = Group.objects.get(name="operator").permissions
    group.permissions.set(permissions.filter(codename__in=["add_apikey", "view_apikey"]))
    maker = User.objects.create_user("maker", is_staff=True)
    maker.groups.add(group)
    client = Client()
    client.force_login(maker)
    assert "budget_limit" not in client.get(reverse(ADD)).content.decode()
    post(client)
    assert ApiKey.objects.exists()
    assert not Budget.objects.exists()


def test_the_key_s_page_shows_what_it_spent(
    admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    post(admin_client)
    key = ApiKey.objects.get()
    for name, cost in ((key.prefix, "0.75"), ("aco_another", "9.75")):
        RequestRecordFactory(
            api_key=name, tenant=f"key:{name}", cost=Decimal(cost), created_at=datetime.now(UTC)
        )
    with django_assert_max_num_queries(15):
        page = admin_client.get(reverse("admin:analytics_apikey_change", args=[key.pk]))
    text = page.content.decode()
    assert "$0.75" in text
    assert "9.75" not in text
    assert text.count('class="chart burn-down"') == text.count('class="chart spend"') == 1
    link = f"{reverse('admin:analytics_requestrecord_changelist')}?api_key={key.prefix}"
    assert link in text
    assert "1 request" in admin_client.get(link).content.decode()


def test_an_operator_adds_a_developer_and_gets_the_link_once() -> None:
    roles_make()
    operator = User.objects.create_user("op", is_staff=True)
    operator.groups.add(Group.objects.get(name="operator"))
    client = Client()
    client.force_login(operator)
    add = reverse("admin:analytics_developer_add")
    assert 'name="account"' not in client.get(add).content.decode()
    template = KeyTemplate.objects.create(name="red")
    page = client.post(add, {"name": "eve", "template": template.pk, "account": operator.pk})
    link = re.search(r"http://testserver(/me/invitation/[\w-]+/)", page.content.decode())
    assert link is not None
    developer = Developer.objects.get()
    assert (developer.account, developer.template) == (None, template)
    assert Client().get(link.group(1)).status_code == 200
    listed = reverse("admin:analytics_developer_changelist")
    assert link.group(1) not in client.get(listed).content.decode()
    chosen = {"_selected_action": [developer.pk]}
    again = client.post(listed, {**chosen, "action": "invite_selected"})
    assert "/me/invitation/" in again.content.decode()
    assert Client().get(link.group(1)).status_code == 404
    client.post(listed, {**chosen, "action": "end_selected"})
    developer.refresh_from_db()
    assert not developer.active
    for name in ("root", "sso:7", ""):
        User.objects.get_or_create(username="root", is_superuser=True, is_staff=True)
        answer = client.post(add, {"name": name, "template": ""}, follow=True)
        assert "/me/invitation/" not in answer.content.decode()


def test_a_template_s_page_changes_the_budgets_of_its_developers(admin_client: Client) -> None:
    template = KeyTemplate.objects.create(name="red", budget=Decimal(5))
    own_key_make(developer_add(Developer(name="eve", template=template)), label="one")
    page = reverse("admin:analytics_keytemplate_change", args=[template.pk])
    values = {
        "name": "red", "enabled": "on", "budget": "2.5", "period": "day", "at_limit": "refuse",
        "model_names": "", "most_keys": "3", "until": "2031-01-01T00:00",
    }  # fmt: skip
    assert admin_client.post(page, values).status_code == 302
    assert Budget.objects.get().limit == Decimal("2.5")
    assert 'value="2.5"' in admin_client.get(page).content.decode()

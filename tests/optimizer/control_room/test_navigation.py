"""Navigation, command palette and the page at the root: each user is led to what they may open."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from analytics.access.developers import developer_disable
from analytics.access.keys import key_make
from analytics.models import ApiKey, Developer, KeyTemplate, Team
from tests.factories import BudgetFactory, RequestRecordFactory

pytestmark = pytest.mark.django_db
HOME = reverse("admin:index")


def client_with(*permissions: str) -> Client:
    user = User.objects.create_user("vera", is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def groups_of(client: Client, page: str = HOME) -> dict[str, list[str]]:
    navigation = client.get(page).context["navigation"]
    return {group.name: [link.label for link in group.links] for group in navigation}


def hits(client: Client, query: str) -> dict[str, list[dict[str, Any]]]:
    found = client.get(reverse("admin:palette"), {"q": query})
    assert found.status_code == 200
    return {group["name"]: group["items"] for group in found.json()["groups"]}


def test_every_page_and_table_is_in_one_of_six_groups(admin_client: Client) -> None:
    groups = groups_of(admin_client)
    assert list(groups) == ["Traffic", "Routing", "Quality", "Costs", "Alerts", "Access"]
    assert groups["Traffic"][:3] == ["Explore", "Live", "Requests"]
    labels = [label for group in groups.values() for label in group]
    assert len(labels) == len(set(labels)) > 35
    for group in admin_client.get(HOME).context["navigation"]:
        for link in group.links:
            assert admin_client.get(link.url).status_code == 200, link


def test_the_page_that_is_open_is_marked(admin_client: Client) -> None:
    budget = BudgetFactory()
    page = reverse("admin:analytics_budget_change", args=[budget.pk])
    current = [
        link.label
        for group in admin_client.get(page).context["navigation"]
        for link in group.links
        if link.current
    ]
    assert current == ["Budgets"]


def test_a_user_sees_the_pages_that_they_may_open() -> None:
    client = client_with("view_budget")
    assert groups_of(client) == {"Costs": ["Budgets"]}
    finance = User.objects.create_user("finn", is_staff=True)
    finance.groups.add(Group.objects.get(name="finance"))
    client.force_login(finance)
    labels = {label for group in groups_of(client).values() for label in group}
    assert "Explore" in labels
    assert "Playground" not in labels
    for group in client.get(HOME).context["navigation"]:
        for link in group.links:
            assert client.get(link.url).status_code == 200, link


class TestPalette:
    def test_it_finds_a_request_by_the_id_that_a_client_has(self, admin_client: Client) -> None:
        record = RequestRecordFactory(provider="claude", model="claude-haiku-5-5")
        for written in (str(record.pk), record.pk.hex, f"chatcmpl-{record.pk}"):
            (hit,) = hits(admin_client, written)["Requests"]
            assert str(record.pk) in hit["text"]
            assert "claude/claude-haiku-5-5" in hit["note"]
            assert admin_client.get(hit["url"]).status_code == 200

    def test_it_finds_models_keys_and_budgets_by_parts_of_names(self, admin_client: Client) -> None:
        key_make(ApiKey(name="night batch"))
        BudgetFactory(name="Night")
        found = hits(admin_client, "night")
        assert found["API keys"][0]["text"].startswith("night batch")
        assert [hit["text"] for hit in found["Budgets"]] == ["Night"]
        (model, *_) = hits(admin_client, "claude haiku")["Models"]
        assert admin_client.get(model["url"]).status_code == 200

    def test_it_finds_developers_and_people(self, admin_client: Client) -> None:
        account = User.objects.create_user("sso:1", "ann@example.com", first_name="Annabel")
        template = KeyTemplate.objects.create(name="Anns keys")
        ann = Developer.objects.create(name="ann", account=account, template=template)
        key_make(ApiKey(name="bot", user="ann-bot"))
        found = hits(admin_client, "ann")
        assert [hit["text"] for hit in found["People"]] == ["ann", "ann-bot"]
        assert [hit["text"] for hit in found["Developers"]] == ["ann"]
        assert [hit["text"] for hit in found["Key templates"]] == ["Anns keys"]
        assert found["Users"][0]["note"] == "Annabel"
        for group in ("People", "Developers", "Key templates", "Users"):
            assert admin_client.get(found[group][0]["url"]).status_code == 200, group
        assert hits(admin_client, "Annabel")["Developers"][0]["text"] == "ann"
        developer_disable(ann)
        assert hits(admin_client, "ann")["Developers"][0]["note"] == "access has ended"
        assert set(hits(client_with("view_developer"), "ann")) == {"Developers"}

    def test_all_tables_are_searched_by_one_query(
        self, admin_client: Client, django_assert_max_num_queries: Any
    ) -> None:
        for number in range(7):
            BudgetFactory(name=f"Night {number}")
            Team.objects.create(name=f"night {number}")
        record = RequestRecordFactory()
        with django_assert_max_num_queries(6):
            assert list(hits(admin_client, str(record.pk))) == ["Requests", "Search"]
        with django_assert_max_num_queries(8):
            found = hits(admin_client, "night")
        assert [hit["text"] for hit in found["Budgets"]] == [f"Night {n}" for n in range(5)]
        assert [hit["text"] for hit in found["Teams"]] == [f"night {n}" for n in range(5)]

    def test_words_lead_to_the_search_of_requests(self, admin_client: Client) -> None:
        first, *_ = hits(admin_client, "rate limiter & more")["Search"]
        assert "rate limiter & more" in first["text"]
        assert admin_client.get(first["url"]).status_code == 200

    def test_it_finds_nothing_that_the_user_may_not_see(self) -> None:
        key_make(ApiKey(name="night batch"))
        BudgetFactory(name="Night")
        record = RequestRecordFactory()
        client = client_with("view_budget")
        assert set(hits(client, "night")) == {"Budgets"}
        assert hits(client, str(record.pk)) == {}
        assert hits(client, "claude") == {}

    def test_strangers_are_sent_to_the_login(self) -> None:
        assert Client().get(reverse("admin:palette"), {"q": "night"}).status_code == 302


class TestRoot:
    def test_a_browser_gets_a_page_that_leads_on(self) -> None:
        accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        page = Client().get("/", headers={"accept": accept})
        assert page["content-type"].startswith("text/html")
        assert "script" not in page["content-security-policy"]
        text = page.content.decode()
        assert f'href="{HOME}"' in text
        assert 'href="/api/v1/docs"' in text or 'href="/docs"' in text

    @pytest.mark.parametrize("accept", ["application/json", "*/*", ""])
    def test_an_api_client_gets_json(self, accept: str) -> None:
        answer = Client().get("/", headers={"accept": accept} if accept else {})
        assert answer.json()["service"] == "ai-cost-optimizer"

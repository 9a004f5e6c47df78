"""Roles in the admin: each may what it is for, and nobody may rewrite history."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from analytics.access.roles import ANALYST, OPERATOR, VIEWER, roles_make
from tests.factories import BudgetFactory, RoutingMetricFactory

pytestmark = pytest.mark.django_db
SEEN = (
    "requestrecord", "routingmetric", "cachedresponse", "dailytotal", "feedback", "budget",
    "apikey", "alert", "routingrule", "experiment", "comparison",
)  # fmt: skip
ADDED = {
    VIEWER: set(),
    ANALYST: {"experiment"},
    OPERATOR: {"experiment", "routingrule", "budget", "apikey", "team", "project", "alertrule"},
}


@pytest.fixture
def person() -> User:
    roles_make()
    return User.objects.create_user("ann", password="x", is_staff=True)


def as_role(person: User, role: str) -> Client:
    person.groups.set(Group.objects.filter(name=role))
    client = Client()
    client.force_login(person)
    return client


def status(client: Client, page: str, model: str, *args: object) -> int:
    return client.get(reverse(f"admin:analytics_{model}_{page}", args=args)).status_code


@pytest.mark.parametrize("role", [VIEWER, ANALYST, OPERATOR])
def test_each_role_sees_everything_and_adds_what_it_is_for(person: User, role: str) -> None:
    client = as_role(person, role)
    assert {status(client, "changelist", model) for model in SEEN} == {200}
    models = {*SEEN, "team", "project", "alertrule"}
    assert {model for model in models if status(client, "add", model) == 200} == ADDED[role]
    assert client.get(reverse("admin:auth_user_changelist")).status_code == 403


@pytest.mark.parametrize("role", [VIEWER, ANALYST, OPERATOR])
def test_no_role_changes_or_deletes_what_was_recorded(person: User, role: str) -> None:
    client = as_role(person, role)
    request = RoutingMetricFactory().request
    for model in ("requestrecord", "routingmetric"):
        for verb in ("change", "delete"):
            page = reverse(f"admin:analytics_{model}_{verb}", args=[request.pk])
            assert client.post(page, {"post": "yes"}).status_code == 403
    request.refresh_from_db()


def test_a_viewer_reads_a_budget_and_cannot_change_it(person: User) -> None:
    budget = BudgetFactory()
    client = as_role(person, VIEWER)
    page = reverse("admin:analytics_budget_change", args=[budget.pk])
    assert client.get(page).status_code == 200
    assert client.post(page, {"name": "other"}).status_code == 403


def test_what_was_added_to_a_role_by_hand_stays() -> None:
    roles_make()
    group = Group.objects.get(name=VIEWER)
    before = group.permissions.count()
    group.permissions.add(Group.objects.get(name=OPERATOR).permissions.exclude(
        pk__in=group.permissions.values("pk")).first())  # fmt: skip
    roles_make()
    assert group.permissions.count() == before + 1

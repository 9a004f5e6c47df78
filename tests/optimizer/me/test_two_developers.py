"""Every path, walked by one developer after another of the same team has asked: nothing shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from analytics.models import ApiKey
from tests.factories import BudgetFactory, RequestRecordFactory
from tests.optimizer.access.test_two_tenants import ALL_PATHS
from tests.optimizer.me.conftest import Person, person
from tests.optimizer.me.test_sign_in import by_key

pytestmark = pytest.mark.django_db
OF_BOB = ("bob", "7.75", "8.00")
"""The name, what it cost, and the sum of both."""
OPEN_PAGES = {"admin/login/", "admin/jsi18n/", "admin/password_change/", "admin/logout/"}


def pages(prefix: str) -> list[str]:
    """The paths of pages that need no id."""
    without_id = [path for path in ALL_PATHS if not re.search(r"[<(]", path)]
    # GET /me/usage is of the API, behind the gatekeeper.
    return [path for path in without_id if path.startswith(prefix) and path != "me/usage"]


def of_bob(bob: Person) -> tuple[str, ...]:
    return (*OF_BOB, bob.secret, bob.key.prefix, str(bob.request.pk))


def assert_clean(text: str, bob: Person, where: str) -> None:
    assert [word for word in of_bob(bob) if word in text] == [], where


@pytest.fixture(params=["account", "key"])
def annas(request: Any, ann: Person, bob: Person) -> Client:
    """Ann's browser, once with her account and once with her key."""
    return ann.browser if request.param == "account" else by_key(ann.secret)


def test_her_pages_show_her_rows_alone(annas: Client, ann: Person, bob: Person) -> None:
    seen = 0
    for path in pages("me/"):
        answer = annas.get(f"/{path}", {"id": "shared-run"})
        assert_clean(answer.content.decode(), bob, path)
        seen += answer.status_code == 200
    assert seen >= 5
    # Both used the same id for a session: hers has her calls and her costs.
    session = annas.get(reverse("me:session"), {"id": "shared-run"}).content.decode()
    assert "$0.25" in session
    assert str(ann.request.pk) in session


def test_guessed_ids_are_answered_like_unknown_ones(
    annas: Client, ann: Person, bob: Person
) -> None:
    mine = annas.get(reverse("me:request", args=[ann.request.pk]))
    assert "A secret of ann" in mine.content.decode()
    assert "Told ann" in mine.content.decode()
    theirs = annas.get(reverse("me:request", args=[bob.request.pk]))
    unknown = annas.get(reverse("me:request", args=["01a228c9-0000-7ef2-964c-7a623d9f83f7"]))
    assert theirs.status_code == unknown.status_code == 404
    assert theirs.content == unknown.content
    assert annas.get(reverse("me:session"), {"id": "bob-alone"}).status_code == 404
    assert annas.get(reverse("me:session")).status_code == 404
    # What is after another's request is what there is without it.
    for before in (bob.request.pk, "nonsense", ""):
        listed = annas.get(reverse("me:requests"), {"before": before}).content.decode()
        assert str(ann.request.pk) in listed
        assert_clean(listed, bob, "requests")


def test_another_s_keys_cannot_be_touched(ann: Person, bob: Person) -> None:
    browser = ann.browser
    for name in ("key_rotate", "key_revoke"):
        answer = browser.post(reverse(f"me:{name}", args=[bob.key.pk]), follow=True)
        assert "no valid key of this id" in answer.content.decode()
        assert_clean(answer.content.decode(), bob, name)
        unknown = browser.post(reverse(f"me:{name}", args=[bob.key.pk + 999]), follow=True)
        tokens = re.compile(rb'value="[A-Za-z0-9]{64}"')
        assert tokens.sub(b"", answer.content) == tokens.sub(b"", unknown.content)
    bob.key.refresh_from_db()
    assert bob.key.revoked_at is None
    assert ApiKey.objects.count() == 2


def test_no_page_of_the_admin_opens(annas: Client, ann: Person, bob: Person) -> None:
    """Lists, Explore, charts and exports of the admin are closed to developers altogether."""
    tried = 0
    for path in pages("admin/"):
        answer = annas.get(f"/{path}")
        assert path in OPEN_PAGES or answer.status_code in {301, 302, 401, 403, 404, 405}, path
        assert_clean(answer.content.decode(), bob, path)
        tried += 1
    assert tried > 60
    for name, pk in (
        ("requestrecord", bob.request.pk), ("apikey", bob.key.pk), ("developer", bob.developer.pk),
    ):  # fmt: skip
        page = reverse(f"admin:analytics_{name}_change", args=[pk])
        assert annas.get(page).status_code == 302
    users = annas.get(reverse("admin:analytics_apikey_users"), {"term": "b"})
    assert users.status_code == 302


def test_the_unknown_are_sent_to_the_sign_in(ann: Person, bob: Person) -> None:
    def answers() -> Iterator[Any]:
        for path in pages("me/"):
            yield path, Client().get(f"/{path}")
        yield "request", Client().get(reverse("me:request", args=[bob.request.pk]))

    for path, answer in answers():
        assert answer.status_code in {302, 405} or path == "me/", path
        assert_clean(answer.content.decode(), bob, path)


def test_a_team_s_burn_down_is_no_one_s_own(ann: Person) -> None:
    BudgetFactory(name="The whole team", scope="team", subject="red")
    text = ann.browser.get("/me/").content.decode()
    assert "The whole team" in text
    assert text.count('class="chart burn-down"') == 1


def test_many_keys_and_rows_need_no_more_queries(
    ann: Person, django_assert_max_num_queries: Any
) -> None:
    browser = ann.browser
    for name in ("cat", "dog"):
        person(name)
    for name in ("home", "requests", "sessions", "keys"):
        with django_assert_max_num_queries(15):
            browser.get(reverse(f"me:{name}"))
    with django_assert_max_num_queries(15):
        browser.get(reverse("me:request", args=[ann.request.pk]))


def test_of_very_many_requests_the_latest_are_summed_and_the_page_says_so(
    ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics.reports.own_usage.MOST_REQUESTS", 2)
    now = datetime.now(UTC)
    for n in range(1, 4):
        RequestRecordFactory(
            api_key=ann.key.prefix, tenant="team:red", user_id="ann", cost=Decimal(n),
            created_at=now + timedelta(seconds=n),
        )  # fmt: skip
    text = ann.browser.get("/me/").content.decode()
    assert "Only the latest" in text
    assert "$5.00" in text  # 2 + 3, and 5 a day is the budget
    assert "$6.25" not in text
    assert "Only the latest" not in person("cat").browser.get("/me/").content.decode()


@pytest.mark.parametrize("path", ["/me/session/?id=a%00b", "/me/requests/?before=%00"])
def test_nul_in_a_query_is_a_bad_request(ann: Person, path: str) -> None:
    assert ann.browser.get(path).status_code == 400

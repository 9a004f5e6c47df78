"""The page Explore: what it answers, its address, views, CSV, and how little it reads."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from analytics.models import RequestRecord, SavedView
from analytics.reports.exploration.dimensions import DIMENSIONS
from analytics.reports.exploration.question import MEASURES
from optimizer.control_room.pages.explore.address import GROUPS, ExploreAddress
from tests.factories import DailyTotalFactory, RequestRecordFactory, RoutingMetricFactory

EXPLORE, HOME = reverse("admin:explore"), reverse("admin:index")
NOW = datetime.now(UTC)
YESTERDAY = NOW.replace(hour=12, minute=0) - timedelta(days=1)


def ask(at: datetime, count: int = 1, **fields: Any) -> RequestRecord:
    made = RequestRecordFactory.create_batch(count, created_at=at, **fields)
    for request in made:
        RoutingMetricFactory(request=request)
    return made[0]  # type: ignore[no-any-return]


@pytest.fixture
def rise(db: None) -> RequestRecord:
    """Yesterday a dearer model answered; the day before, and today, a cheap one."""
    for day in range(3):
        ask(YESTERDAY - timedelta(days=1 - day), 4, cost=Decimal("0.5"), user_id="ann")
    return ask(YESTERDAY, model="claude-opus-5", cost=Decimal(9), user_id="=bob", prompt="Dear!")


def test_yesterday_s_rise_and_its_cause_are_one_click_from_home(
    admin_client: Client, rise: RequestRecord
) -> None:
    for at, cost in ((YESTERDAY, 11), (YESTERDAY - timedelta(days=1), 2)):
        DailyTotalFactory(date=at.date(), cost=Decimal(cost))
    room = admin_client.get(HOME).context["room"]
    why = next(way for way in room["ways"] if "Why?" in way.text)
    assert why.text == "Yesterday: $11.00, +450 % on the day before. Why?"
    page = admin_client.get(f"{EXPLORE}?{why.query}")
    assert page.context["sentence"] == (
        "Spending rose by $9.00 (+450.0 %), mostly because of a larger share of dearer models."
    )
    effects = [line.effect for line in page.context["causes"]]
    assert sum(effects) == 9
    dearest = next(way for way in room["ways"] if "dearest" in way.text)
    listed = admin_client.get(f"{reverse(f'admin:{dearest.page}')}?{dearest.query}")
    assert listed.context["cl"].result_list[0].pk == rise.pk
    assert page.context["movers"][0][0] == "claude/claude-opus-5"


def test_a_filter_is_added_and_taken_away(admin_client: Client, rise: RequestRecord) -> None:
    moved = admin_client.get(f"{EXPLORE}?days=30&by=model&then=&add=user&value=ann")
    page = admin_client.get(moved["Location"])
    assert page.context["chips"][0][:2] == ("User", "ann")
    assert "claude-opus-5" not in page.content.decode()
    without = admin_client.get(f"{EXPLORE}?{page.context['chips'][0][2]}")
    assert "claude-opus-5" in without.content.decode()


QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "days": st.sampled_from(["1", "7", "30"]),
        "as_of": st.just("2026-11-29T15:30Z"),
        "by": st.sampled_from([*GROUPS, "all"]),
        "then": st.sampled_from(list(GROUPS)),
        "measure": st.sampled_from(list(MEASURES)),
        "sort": st.sampled_from([*MEASURES, *(f"-{name}" for name in MEASURES)]),
        **{name: st.text(min_size=1, max_size=20) for name in DIMENSIONS},
    },
)


@given(QUERIES)
def test_an_address_says_all_that_was_asked(query: dict[str, str]) -> None:
    asked = ExploreAddress.from_query(query)
    again = ExploreAddress.from_query(dict(parse_qsl(asked.query(), keep_blank_values=True)))
    assert asked.errors == ()
    assert again.query() == asked.query()
    for part in ("by", "filters", "measure", "sort", "as_of"):
        assert getattr(again, part) == getattr(asked, part)


def test_a_fixed_link_shows_the_same_later(admin_client: Client, rise: RequestRecord) -> None:
    page = admin_client.get(f"{EXPLORE}?days=7&by=user")
    fixed = f"{EXPLORE}?{page.context['fixed_query']}"
    ask(datetime.now(UTC) + timedelta(minutes=2), cost=Decimal(100), user_id="later")
    assert "later" not in admin_client.get(fixed).content.decode()


@pytest.mark.usefixtures("rise")
@pytest.mark.parametrize(
    "query",
    ["", "days=90&by=user", "by=time&then=kind&measure=quality", "by=team&then=model&tag=a",
     "by=all&agent=codex", "by=session&then=turn&measure=latency&sort=-errors"],
)  # fmt: skip
def test_every_question_takes_few_queries(
    admin_client: Client, query: str, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(15):
        assert admin_client.get(f"{EXPLORE}?{query}").status_code == 200


@pytest.mark.parametrize(
    ("query", "words"),
    [("by=colour", "by: there is no dimension"), ("measure=joy", "measure: there is no measure"),
     ("from=x", "Give both dates"), ("days=7&as_of=now", "as_of: give a time")],
)  # fmt: skip
def test_what_cannot_be_read_is_named(admin_client: Client, query: str, words: str) -> None:
    assert words in admin_client.get(f"{EXPLORE}?{query}").content.decode()


def test_a_day_that_is_not_over_is_compared_with_as_much_of_the_day_before() -> None:
    noon = datetime(2026, 11, 29, 12, tzinfo=UTC)
    day = {"from": "2026-11-29", "to": "2026-11-29"}
    asked = ExploreAddress.from_query(day).question(noon)
    assert asked.until == noon
    assert asked.previous == (noon - timedelta(days=1, hours=12), noon - timedelta(days=1))
    over = ExploreAddress.from_query(day).question(noon + timedelta(days=1))
    assert over.previous == (over.before, over.since)


def test_csv_has_exact_figures_and_no_formula(admin_client: Client, rise: RequestRecord) -> None:
    answer = admin_client.get(f"{reverse('admin:explore_export')}?days=7&by=user&sort=spend")
    heading, first, *_ = csv.reader(io.StringIO(answer.content.decode()))
    row = dict(zip(heading, first, strict=True))
    assert row["User"] == "'=bob"
    assert Decimal(row["Spent (USD)"]) == 9
    assert Decimal(row["Spent (USD), period before"]) == 0


def test_views_belong_to_their_user(admin_client: Client, rise: RequestRecord) -> None:
    save, forget = reverse("admin:explore_save"), reverse("admin:explore_forget")
    for name in ("Ann ", "Ann", ""):
        saved = admin_client.post(save, {"name": name, "query": "days=30&by=user&user=ann"})
        assert urlsplit(saved["Location"]).path == EXPLORE
    (view,) = SavedView.objects.all()
    assert (view.name, view.query) == ("Ann", "days=30&by=user&user=ann")
    assert view in admin_client.get(EXPLORE).context["views"]
    other = Client()
    user = User.objects.create_user("eve", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_requestrecord"))
    other.force_login(user)
    assert other.get(EXPLORE).context["views"] == []
    other.post(forget, {"view": view.pk, "query": ""})
    assert SavedView.objects.exists()
    admin_client.post(forget, {"view": view.pk, "query": ""})
    assert not SavedView.objects.exists()


@pytest.mark.django_db
def test_nobody_explores_without_the_right_to() -> None:
    client = Client()
    client.force_login(User.objects.create_user("guest", is_staff=True))
    for name in ("explore", "explore_export"):
        assert client.get(reverse(f"admin:{name}")).status_code == 403
    assert client.post(reverse("admin:explore_save"), {"name": "x"}).status_code == 403


def test_a_recorded_prompt_is_asked_again(admin_client: Client, rise: RequestRecord) -> None:
    story = admin_client.get(reverse("admin:analytics_requestrecord_change", args=[rise.pk]))
    again = story.context["asked_again"]
    assert again["request"] == rise.pk
    assert "auto" in again["models"]
    page = admin_client.get(f"{reverse('admin:playground')}?request={rise.pk}&model=auto")
    assert page.context["again"].prompt == "Dear!"
    assert page.context["picked"] == "auto"
    assert admin_client.get(f"{reverse('admin:playground')}?request=x").context["again"] is None

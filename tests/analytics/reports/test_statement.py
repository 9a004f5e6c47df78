"""Monthly statements: by user or tag, of one of them, in every format."""

from __future__ import annotations

import csv
import io
import json
import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from analytics.ledger.rollups import totals_update
from analytics.models import DailyRollup, HourlyRollup, RequestRecord
from analytics.reports.rollup_cache import ROLLUP_CACHE
from analytics.reports.statement import last_month, month_of, statement
from optimizer.wiring.build import get_services
from tests.factories import RequestRecordFactory, RoutingMetricFactory

pytestmark = pytest.mark.django_db
D = Decimal


def run(*arguments: object) -> str:
    out = io.StringIO()
    call_command("statement", *map(str, arguments), stdout=out, stderr=io.StringIO())
    return out.getvalue()


@pytest.fixture(autouse=True)
def _october() -> None:
    for user, tags, day, cost in (
        ("ann", ["a"], datetime(2026, 10, 1, 0, 0, tzinfo=UTC), "0.1"),
        ("ann", ["A", "b"], datetime(2026, 10, 31, 23, 59, tzinfo=UTC), "0.2"),
        ("<b>", [], datetime(2026, 10, 15, tzinfo=UTC), "0.4"),
        ("", ["é"], datetime(2026, 10, 15, tzinfo=UTC), "0.3"),
        ("ann", ["a"], datetime(2026, 9, 30, 23, 59, tzinfo=UTC), "5"),
        ("ann", ["a"], datetime(2026, 11, 1, tzinfo=UTC), "5"),
    ):
        RoutingMetricFactory(
            request__user_id=user,
            request__tags=tags,
            request__created_at=day,
            request__cost=D(cost),
            baseline_cost=D(1),
        )


def test_months_begin_and_end_where_they_do() -> None:
    assert month_of("2026-12")[1] == datetime(2027, 1, 1, tzinfo=UTC)
    assert last_month(datetime(2027, 1, 31, tzinfo=UTC)) == "2026-12"
    assert last_month(datetime(2026, 3, 31, tzinfo=UTC)) == "2026-02"


def test_every_user_s_month() -> None:
    found = json.loads(run("--month", "2026-10", "--format", "json"))
    rows = {row["name"]: (row["requests"], row["cost"], row["saved"]) for row in found["rows"]}
    assert rows == {
        "<b>": (1, 0.4, 0.6),
        "ann": (2, 0.3, 1.7),
        "(none)": (1, 0.3, 0.7),
    }


@pytest.mark.parametrize(
    ("by", "name", "cost"),
    [("user", "ann", 0.3), ("user", "(none)", 0.3), ("tag", "a", 0.1), ("tag", "A", 0.2),
     ("tag", "é", 0.3), ("tag", "(none)", 0.4)],
)  # fmt: skip
def test_one_of_them_by_model_and_day(by: str, name: str, cost: float) -> None:
    found = json.loads(run("--month", "2026-10", "--by", by, "--name", name, "--format", "json"))
    assert found["total"]["cost"] == cost
    assert sum(row["cost"] for row in found["models"]) == pytest.approx(cost)
    assert sum(row["cost"] for row in found["days"]) == pytest.approx(cost)
    assert not found["pruned"]


@pytest.mark.parametrize(
    ("by", "name"),
    [
        ("session", "s-1"),
        ("agent", "codex"),
        ("key", "aco_1"),
        ("team", "web"),
        ("project", "shop"),
    ],
)
def test_whatever_a_report_breaks_down_by_has_a_statement(by: str, name: str) -> None:
    RoutingMetricFactory(
        request__session_id="s-1",
        request__agent="codex",
        request__api_key="aco_1",
        request__tenant="team:web",
        request__project="shop",
        request__created_at=datetime(2026, 10, 7, tzinfo=UTC),
        request__cost=D("0.7"),
        baseline_cost=D(1),
    )
    options = ("--month", "2026-10", "--by", by, "--format", "json")
    rows = {row["name"]: row["cost"] for row in json.loads(run(*options))["rows"]}
    assert rows == {name: 0.7, "(none)": pytest.approx(1.0)}
    for one, cost in ((name, 0.7), ("(none)", 1.0)):
        month = json.loads(run(*options, "--name", one))
        assert month["total"]["cost"] == pytest.approx(cost)
        assert sum(row["cost"] for row in month["days"]) == pytest.approx(cost)


class TestSumsByModel:
    """A team's month over a million requests is read from sums, and says the same to the last."""

    OWNERS = (("team", "web"), ("project", "shop"), ("key", "aco_1"), ("agent", "codex"))

    @pytest.fixture(autouse=True)
    def _requests(self) -> None:
        chance = random.Random(3)
        for _ in range(80):
            RoutingMetricFactory(
                request__agent=chance.choice(["codex", "chat", ""]),
                request__api_key=chance.choice(["aco_1", "ACO_1", "aco_10"]),
                request__tenant=chance.choice(["team:web", "team:Web", "team:", "user:web"]),
                request__project=chance.choice(["shop", "shopping", ""]),
                request__model=chance.choice(["claude-haiku-5-5", "some/model"]),
                request__status=chance.choice(["ok", "error"]),
                request__created_at=datetime(
                    2026, 10, chance.randint(1, 31), chance.randint(0, 23), tzinfo=UTC
                ),
                request__cost=D(chance.randrange(10**9)) / 10**10,
                baseline_cost=D(chance.randrange(10**9)) / 10**10,
            )
        for day in (3, 11, 12, 29):  # no model answered
            RequestRecordFactory(
                agent="codex", api_key="aco_1", tenant="team:web", project="shop", user_id="ann",
                provider="", model="", status="error", cost=D("0.01"),
                created_at=datetime(2026, 10, day, tzinfo=UTC),
            )  # fmt: skip

    def statements(self) -> list[dict[str, Any]]:
        return [
            statement("2026-10", by, one, picked)
            for by, name in (*self.OWNERS, ("user", "ann"), ("tag", "a"))
            for one in (name, "(none)")
            for picked in (None, get_services().compared_with("requested"))
        ]

    def test_they_say_what_the_requests_say(self) -> None:
        from_requests = self.statements()
        assert all(month["total"]["requests"] for month in from_requests)
        for until in (datetime(2026, 10, 12, 7, tzinfo=UTC), datetime.now(UTC)):
            for _ in totals_update(until):
                pass
            assert self.statements() == from_requests

    def test_a_month_that_is_summed_is_not_read_from_the_requests(self) -> None:
        for _ in totals_update():
            pass
        for by, name in self.OWNERS:
            with CaptureQueriesContext(connection) as queries:
                statement("2026-10", by, name)
            assert not any('FROM "requests"' in query["sql"] for query in queries)

    def test_days_that_were_summed_before_are_read_from_the_requests(self) -> None:
        from_requests = self.statements()
        for _ in totals_update():
            pass
        without = {"dimension__endswith": "_mix"}
        HourlyRollup.objects.filter(**without, hour__day__lt=12).delete()
        DailyRollup.objects.filter(**without, day__day__lt=12).delete()
        ROLLUP_CACHE.clear()
        assert self.statements() == from_requests
        RequestRecord.objects.filter(created_at__day__lt=12).delete()
        assert statement("2026-10", "team", "web")["pruned"]

    def test_what_was_pruned_is_still_summed(self) -> None:
        before = [statement("2026-10", by, name) for by, name in self.OWNERS]
        for _ in totals_update():
            pass
        RequestRecord.objects.all().delete()
        assert [statement("2026-10", by, name) for by, name in self.OWNERS] == before
        picked = get_services().compared_with("requested")
        assert all(statement("2026-10", *owner, picked)["pruned"] for owner in self.OWNERS)


@pytest.mark.parametrize("kind", ["table", "html"])
def test_people_s_formats(kind: str) -> None:
    text = run("--month", "2026-10", "--name", "ann", "--format", kind)
    assert "Statement of 2026-10, user ann" in text
    assert "2026-10-31" in text
    assert "$0.300000" in text
    page = run("--month", "2026-10", "--format", "html")
    assert "&lt;b&gt;" in page
    assert "<b>" not in page


def test_the_csv_is_like_the_report_s() -> None:
    rows = list(csv.DictReader(io.StringIO(run("--month", "2026-10", "--format", "csv"))))
    figures = {(r["section"], r["name"], r["figure"]): r["value"] for r in rows}
    assert D(figures["user", "ann", "cost"]) == D("0.3")
    one = run("--month", "2026-10", "--name", "ann", "--format", "csv")
    assert "day,2026-10-01,cost,0.1000000000" in one


def test_what_was_pruned_is_said() -> None:
    for _ in totals_update():
        pass
    RequestRecord.objects.filter(user_id="ann", tags=["a"]).delete()
    assert "this statement is incomplete" in run("--month", "2026-10", "--name", "ann")


def test_it_writes_to_a_file(tmp_path) -> None:
    run("--month", "2026-10", "--format", "html", "--output", tmp_path / "s.html")
    assert "<!doctype html>" in (tmp_path / "s.html").read_text()
    with pytest.raises(CommandError, match="Cannot write"):
        run("--month", "2026-10", "--output", tmp_path / "no" / "s.html")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--month", "October"), "a year and a month"),
        (("--month", "2020-01"), "no requests in 2020-01"),
        (("--month", "2026-10", "--name", "zoe"), "no requests of user zoe"),
    ],
)
def test_what_cannot_be_is_said(arguments: tuple[str, ...], error: str) -> None:
    with pytest.raises(CommandError, match=error):
        run(*arguments)

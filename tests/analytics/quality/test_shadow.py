"""What shadow evaluation shows, and the rules that it makes."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from analytics.access.roles import roles_make
from analytics.models import Comparison, RoutingRule, RuleChange, ShadowAnswer, ShadowMove
from analytics.quality.report import judging_cost
from analytics.quality.shadow import shadow_counts_add, shadow_report
from analytics.quality.shadow_moves import movable, shadow_move, shadow_undo
from analytics.reports.report import routing_report
from analytics.reports.report_formats import headline
from tests.factories import ComparisonFactory, RequestRecordFactory

pytestmark = pytest.mark.django_db
NAMED = "claude-opus-5-5[1m]"


def pairs(scores: list[float], *, pattern: str = "factual", cheaper: bool = True) -> None:
    """Judged pairs of one kind, each of a session of its own."""
    for number, score in enumerate(scores):
        request = RequestRecordFactory(pattern=pattern, session_id=f"{pattern}{number}")
        comparison = ComparisonFactory(
            request=request, source=Comparison.Source.SHADOW, score=score, served=False,
            judge_cost=Decimal("0.002"), answer_cost=Decimal("0.001"),
        )  # fmt: skip
        ShadowAnswer.objects.create(
            comparison=comparison, requested_model=NAMED, turn="human", agent="chat",
            served_cost=Decimal("0.01"), shadow_cost=Decimal("0.001" if cheaper else "0.02"),
        )  # fmt: skip


def since() -> datetime:
    return datetime.now(UTC) - timedelta(days=7)


def report(**changes: Any) -> dict[str, Any]:
    return shadow_report(**{"margin": 0.05, "since": since(), **changes})


def run(*args: str) -> str:
    out = io.StringIO()
    call_command("shadow", *args, stdout=out)
    return out.getvalue()


GOOD, BAD, UNSURE = [0.5, 0.75, 0.5, 0.25] * 30, [0.0, 0.25] * 40, [0.0, 1.0] * 20


@pytest.mark.parametrize(
    ("scores", "cheaper", "verdict"),
    [
        (GOOD, True, "moves"), (GOOD, False, "not cheaper"), (BAD, True, "worse"),
        (UNSURE, True, "not shown"), ([1.0] * 20, True, "too few pairs"),
    ],
)  # fmt: skip
def test_only_a_kind_whose_bound_holds_and_that_costs_less_moves(
    scores: list[float], cheaper: bool, verdict: str
) -> None:
    pairs(scores, cheaper=cheaper)
    (kind,) = report()["kinds"]
    assert kind["verdict"] == verdict
    assert bool(movable(report())) == (verdict == "moves")


def test_the_figures_of_a_kind() -> None:
    pairs(GOOD)
    shadow_counts_add({"named": 500, "eligible": 300, "tools, images or state": 200})
    shadow_counts_add({"named": 1, "sampled": 130, "judged": 120})
    found = report()
    overall = found["overall"]
    assert (overall["wins"], overall["ties"], overall["losses"]) == (30, 60, 30)
    assert overall["score"]["mean"] == 0.5
    assert overall["score"]["low"] < 0.5 < overall["score"]["high"]
    assert overall["saved_percent"] == 90.0
    assert overall["saved"] == pytest.approx(0.009)
    assert [row["pairs"] for row in found["by"]["agent"]] == [120]
    assert found["funnel"] == {
        "named": 501, "eligible": 300, "sampled": 130, "judged": 120,
        "tools, images or state": 200,
    }  # fmt: skip
    assert found["cost"] == {"judging": Decimal("0.24"), "answers": Decimal("0.12")}
    # What it cost counts against the savings, as all judging does.
    assert judging_cost(since()) == Decimal("0.36")
    shown = dict(headline(routing_report(7)))
    assert shown["Named models, answered by routing too"].startswith("120 pairs")
    assert shown["  cost saved"] == "90 %"


def test_pairs_of_few_sessions_show_nothing() -> None:
    pairs(GOOD)
    for number, row in enumerate(Comparison.objects.select_related("request")):
        row.request.session_id = f"s{number % 3}"
        row.request.save()
    assert report()["kinds"][0]["verdict"] == "too few pairs"


def test_one_move_makes_rules_and_one_undo_deletes_them() -> None:
    pairs(GOOD)
    pairs(BAD, pattern="code")
    move = shadow_move(movable(report()), 0.05, who="ann")
    (rule,) = RoutingRule.objects.all()
    assert move.rules == [rule.name] == [f"shadow: {NAMED}, factual, simple"]
    assert (rule.action, rule.enabled, rule.only_text) == ("route", True, True)
    # A bracket in a name is no wildcard.
    assert rule.requested_models == ["claude-opus-5-5[[]1m]"]
    assert movable(report()) == []
    assert shadow_undo(who="bob").pk == move.pk
    assert not RoutingRule.objects.exists()
    assert [change.who for change in RuleChange.objects.order_by("pk")] == ["ann", "bob"]
    assert len(movable(report())) == 1


def test_the_command_previews_moves_and_undoes() -> None:
    pairs(GOOD)
    assert "1 kind can be moved" in run()
    assert json.loads(run("--json"))["overall"]["pairs"] == 120
    assert NAMED in run("--preview")
    assert not RoutingRule.objects.exists()
    assert "Left to routing" in run("--move")
    assert RoutingRule.objects.filter(enabled=True).count() == 1
    assert "No kind of requests can be moved" in run("--move")
    assert "deleted the rule" in run("--undo")
    with pytest.raises(CommandError, match="No move is in force"):
        run("--undo")


def test_the_page_moves_and_undoes(admin_client: Client) -> None:
    pairs(GOOD)
    page = admin_client.get(reverse("admin:shadow")).content.decode()
    assert "Move 1 kind" in page
    assert admin_client.get(reverse("admin:shadow_move")).status_code == 405
    moved = admin_client.post(reverse("admin:shadow_move"), {"days": "7"}, follow=True)
    assert "Left to routing" in moved.content.decode()
    assert ShadowMove.objects.get().who == "admin"
    undone = admin_client.post(reverse("admin:shadow_undo"), follow=True)
    assert "Undone" in undone.content.decode()
    assert not RoutingRule.objects.exists()


def test_the_trail_says_the_same_whoever_moves(admin_client: Client) -> None:
    pairs(GOOD)
    run("--move")
    run("--undo")
    admin_client.post(reverse("admin:shadow_move"), {"days": "7"})
    admin_client.post(reverse("admin:shadow_undo"))
    entries = LogEntry.objects.filter(content_type__model="shadowmove").order_by("pk")
    rule = f"shadow: {NAMED}"
    assert [entry.action_flag for entry in entries] == [ADDITION, CHANGE] * 2
    for entry, what in zip(entries, ["moved", "undone"] * 2, strict=True):
        assert entry.change_message.startswith(f"{what}: {rule}"), entry.change_message
    assert [entry.user.username for entry in entries] == ["manage.py"] * 2 + ["admin"] * 2
    by_command, by_page = ShadowMove.objects.order_by("pk")
    assert by_command.who.startswith("manage.py (by ")
    assert by_page.who == "admin"


@pytest.mark.parametrize("name", ["shadow_move", "shadow_undo"])
def test_a_viewer_sees_and_changes_nothing(django_user_model: Any, name: str) -> None:
    roles_make()
    client = Client()
    person = django_user_model.objects.create_user("vic", is_staff=True)
    person.groups.add(Group.objects.get(name="viewer"))
    client.force_login(person)
    assert client.get(reverse("admin:shadow")).status_code == 200
    assert client.post(reverse(f"admin:{name}")).status_code == 403

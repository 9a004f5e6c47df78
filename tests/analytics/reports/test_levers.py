"""What levers saved, from the ledger's rows to the results, the report, the page and the proof."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from io import StringIO
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from analytics.access.roles import OPERATOR, VIEWER, roles_make
from analytics.levers import lever_save
from analytics.models import Comparison, Feedback, Lever, LeverChange, LeverResult, RequestRecord
from analytics.proof import verify
from analytics.quality.lever_harm import WATCHER, HarmWatch
from analytics.reports.lever_rows import read_trials
from analytics.reports.levers import (
    LEVER_PERIODS,
    TOGETHER,
    lever_lines,
    lever_method,
    proof_figures,
    results_update,
)
from optimizer.domain.levers import LEVERS
from optimizer.presentation.levers import together_lines
from optimizer.wiring.build import get_services
from optimizer.wiring.levers import TRIAL_READING, LeverTasks
from tests.factories import ComparisonFactory, FeedbackFactory, RequestRecordFactory

pytestmark = pytest.mark.django_db
PAGE = reverse("admin:levers")
NOW = datetime.now(UTC)


def traffic(n: int = 400, *, harm: float = 0.0, share: float = 0.5, rated: bool = True) -> None:
    """Requests whose cost compression lowers by 40 %, and their ratings."""
    rng = np.random.default_rng(1)
    rows, scores = [], []
    for at in range(n):
        treated, joint = bool(rng.random() >= share), at % 20 == 0
        treated = treated and not joint
        expected = float(rng.lognormal(-4, 0.5))
        trial: dict[str, Any] = {"arm": "treated" if treated else "control", "p": 1 - share}
        trial |= {"x": f"{expected:.8f}"} | ({"joint": True} if joint else {})
        trials = {"compression": trial}
        if at % 3 == 0:
            trials["effort"] = {"arm": "control" if joint else "treated", "p": 0.95,
                                **({"joint": True} if joint else {})}  # fmt: skip
        cost = expected * float(rng.lognormal(0, 0.2)) * (0.6 if treated else 1)
        rows.append(RequestRecordFactory.build(
            cost=Decimal(f"{cost:.10f}"), levers=trials, session_id=f"s{at // 2}" if at % 4 else "",
            created_at=NOW - timedelta(minutes=n - at, days=3 * (at % 2)),
        ))  # fmt: skip
        scores.append(float(np.clip(0.8 - harm * treated + rng.normal(0, 0.1), 0, 1)))
    RequestRecord.objects.bulk_create(rows)
    if rated:
        Feedback.objects.bulk_create(
            FeedbackFactory.build(request=row, cache_entry=None, score=score)
            for row, score in zip(rows, scores, strict=True)
        )


def test_rows_become_arrays_and_units_are_sessions_or_requests() -> None:
    alike = {"tenant": "acme", "session_id": "one"}
    both = {"semantic_cache": {"arm": "control", "p": 0.9}, "effort": {"arm": "treated", "p": 1.0}}
    one = RequestRecordFactory(levers=both, cost=None, **alike)
    two = RequestRecordFactory(levers=both, **alike)
    joint = {"effort": {"arm": "control", "p": 0.9, "x": "0.5", "joint": True}}
    RequestRecordFactory(levers=joint, session_id="one", tenant="other")
    RequestRecordFactory(levers=joint, replayed=True)
    RequestRecordFactory()
    FeedbackFactory(request=one, score=0.2)
    FeedbackFactory(request=one, score=0.4)
    ComparisonFactory(request=one, score=0.9, reference_score=0.9)
    ComparisonFactory(request=two, score=0.7, reference_score=0.9)
    since = NOW - timedelta(days=1)
    log = read_trials(since, None, TRIAL_READING)
    assert log.names == ["effort", "semantic_cache"]
    effort, semantic, together = (
        log.of("effort", since),
        log.of("semantic_cache", since),
        (log.together(since)),
    )
    assert len(set(effort.unit)) == 2
    assert len(set(semantic.unit)) == 2
    assert len(semantic.cost) == 2
    assert np.isnan(effort.cost).sum() == 1
    assert sorted(effort.score[~np.isnan(effort.score)]) == pytest.approx([0.3, 0.7])
    assert effort.joint.sum() == (~together.treated).sum() == 1
    assert np.nanmin(effort.expected) == 0.5


def test_results_are_kept_for_each_period_and_the_report_has_them() -> None:
    traffic()
    results_update(TRIAL_READING)
    results_update(TRIAL_READING)
    assert LeverResult.objects.count() == len(LEVER_PERIODS) * 3
    week, day = (LeverResult.objects.get(lever="compression", days=days) for days in (7, 1))
    assert week.figures["eligible"] > day.figures["eligible"] > 0
    assert week.figures["verdict"] == "saves"
    assert week.figures["share_saved"][1] < 0.4 < week.figures["share_saved"][2]
    assert week.figures["quality_verdict"] == "not shown"
    lines = {line["lever"]: line for line in lever_lines(7)}
    assert list(lines) == ["compression", "effort", "sum", "remainder", "total"]
    total = lines["sum"]["saved"] + lines["remainder"]["saved"]
    assert abs(lines["total"]["saved"] - total) < Decimal("1e-8")
    out = StringIO()
    call_command("routing_report", "--days", "7", stdout=out)
    assert "beyond the sum" in out.getvalue()
    assert lever_lines(8) == []
    RequestRecord.objects.update(levers=None)
    results_update(TRIAL_READING)
    assert not LeverResult.objects.exists()


def deferred(cost: str | None, part_of: Any = None, **fields: Any) -> RequestRecord:
    trial = {"arm": "treated", "p": 0.9, "x": "0.5"}
    if part_of is not None:
        trial["part_of"] = str(part_of)
    amount = None if cost is None else Decimal(cost)
    return RequestRecordFactory(levers={"batch": trial}, cost=amount, **fields)


def test_what_a_batch_s_unusable_answer_cost_counts_with_its_request() -> None:
    own = deferred("0.3")
    deferred("0.2", own.pk)
    unknown = deferred("0.3")
    deferred(None, unknown.pk)
    missing = uuid4()
    called = [deferred("0.1", missing), deferred("0.4", missing)]
    FeedbackFactory(request=max(called, key=lambda row: row.pk), score=0.7)
    since = NOW - timedelta(days=1)
    rows = read_trials(since, None, TRIAL_READING).of("batch", since)
    assert sorted(rows.cost[~np.isnan(rows.cost)]) == pytest.approx([0.5, 0.5])
    assert len(rows.cost) == 3
    assert rows.score[~np.isnan(rows.score)] == pytest.approx([0.7])


def test_the_verifier_computes_the_same_from_the_rows_of_a_bundle() -> None:
    traffic(300, rated=False)
    for row in RequestRecord.objects.order_by("created_at")[:40]:
        deferred("0.0021", row.pk, created_at=row.created_at)
        deferred("0.0011", uuid4(), created_at=row.created_at)
    stated = proof_figures(TRIAL_READING, NOW - timedelta(days=30), NOW)
    names = ("id", "cost", "levers", "session_id", "tenant", "replayed")
    rows = [{**row, "id": str(row["id"])} for row in RequestRecord.objects.values(*names)]
    computed = verify.pretended_arms_of_requests(lever_method(TRIAL_READING), rows)
    assert set(stated) == {"batch", "compression", "effort", TOGETHER}
    assert stated["compression"]["saved"] is not None
    assert list(verify.differences(stated, computed, "levers")) == []
    rows[0]["cost"] += 1
    changed = verify.pretended_arms_of_requests(lever_method(TRIAL_READING), rows)
    assert list(verify.differences(stated, changed, "levers"))


def prove(name: str = "compression", **fields: Any) -> Lever:
    row = Lever(name=name, mode="prove", **fields)
    lever_save(row, who="ann")
    row.started_at = NOW - timedelta(days=20)
    row.save()
    return row


def test_a_harmful_lever_is_stopped_and_stays_off_whatever_the_environment_says() -> None:
    traffic(600, harm=0.3)
    prove()
    watch = HarmWatch(frozenset())
    assert watch.stop_harmful([("compression", 0.5)]) == ["compression"]
    row = Lever.objects.get()
    assert row.mode == "off"
    assert row.stopped_at is not None
    assert "each answer is worse by" in row.stop_reason
    assert LeverChange.objects.first().who == WATCHER  # type: ignore[union-attr]
    assert watch.stop_harmful([("compression", 0.5)]) == []
    levers = get_services().levers
    levers._fixed = {"compression": "prove"}
    levers.refresh()
    assert levers.mode("compression") == "off"
    lever_save(replace_mode(row), who="ann")
    levers.refresh()
    assert levers.mode("compression") == "prove"


def replace_mode(row: Lever) -> Lever:
    row.mode = "prove"
    return row


def test_a_harmless_lever_goes_on_and_ends_its_ramp() -> None:
    traffic(1200)
    prove(ramping=True, harm_budget=2000)
    levers = get_services().levers
    levers.refresh()
    assert levers.states["compression"].control_share == 0.5
    LeverTasks(levers).stop_harmful()
    row = Lever.objects.get()
    assert (row.mode, row.ramping) == ("prove", False)
    levers.refresh()
    assert levers.states["compression"].control_share == 0.05
    LeverTasks(levers).measure()
    harm = LeverResult.objects.get(lever="compression", days=7).figures["harm"]
    assert harm["low"] < 0.02 < harm["high"] + 0.2
    assert harm["scored"] > 500


def test_a_ramp_that_cannot_be_insured_is_stopped_and_pairs_count() -> None:
    traffic(400, rated=False)
    prove(ramping=True, harm_budget=20)
    assert HarmWatch(frozenset()).stop_harmful([("compression", 0.5)])
    assert "not ruled out" in Lever.objects.get().stop_reason
    Comparison.objects.bulk_create(
        ComparisonFactory.build(
            request=None, strategy="effort", score=0.4 + at % 5 / 50, reference_score=0.8,
            pattern="code", tier="simple", provider="claude", model="claude-haiku-5-5",
        )
        for at in range(60)
    )  # fmt: skip
    prove("effort")
    assert HarmWatch(frozenset()).stop_harmful([("effort", 0.05)]) == ["effort"]


@pytest.fixture
def operator() -> Client:
    client = Client()
    roles_make()
    user = User.objects.create_user("olga", password="x", is_staff=True)
    user.groups.add(Group.objects.get(name=OPERATOR))
    client.force_login(user)
    return client


def test_the_page_shows_results_and_switches_a_lever(
    operator: Client, django_assert_max_num_queries: Any
) -> None:
    traffic()
    LeverTasks(get_services().levers).measure()
    with django_assert_max_num_queries(15):
        page = unescape(operator.get(PAGE).content.decode())
    assert "It saves money." in page
    assert "What they save together beyond that" in page
    assert all(what in page for what in LEVERS.values())
    sent = {
        "lever": "compression", "compression-mode": "prove", "compression-control_share": "0.1",
        "compression-harm_budget": "80", "compression-options": '{"min_tokens": 300}',
    }  # fmt: skip
    assert operator.post(PAGE, sent).status_code == 302
    row = Lever.objects.get()
    assert (row.mode, row.control_share, row.harm_budget) == ("prove", 0.1, 80)
    assert row.options == {"min_tokens": 300}
    assert row.started_at is not None
    page = unescape(operator.get(PAGE).content.decode())
    assert "olga" in page
    assert "being proven" in page
    wrong = operator.post(PAGE, {**sent, "compression-options": "[1]"})
    assert "Write a JSON object" in wrong.content.decode()
    wrong = operator.post(PAGE, {**sent, "compression-options": '{"min_token": 300}'})
    assert "min_token: there is no such option" in wrong.content.decode()
    assert operator.post(PAGE, {**sent, "lever": "warp"}).status_code == 404


def test_viewers_see_the_page_and_change_nothing() -> None:
    client = Client()
    roles_make()
    user = User.objects.create_user("vera", password="x", is_staff=True)
    client.force_login(user)
    assert client.get(PAGE).status_code == 403
    user.groups.add(Group.objects.get(name=VIEWER))
    assert client.get(PAGE).status_code == 200
    assert client.post(PAGE, {"lever": "effort", "effort-mode": "on"}).status_code == 403


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("levers", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def test_the_sum_of_no_measured_lever_is_not_shown_as_zero() -> None:
    nothing = {"sum": [0.0, 0.0, 0.0], "total": None}
    assert together_lines(nothing) == [("Sum of the levers", "not known yet")]


def test_the_command_lists_switches_and_shows_results() -> None:
    assert "Sends long tool" in run()
    assert "No lever could act" in run("results")
    assert "compression is being proven: 20%" in run(
        "prove",
        "compression",
        "--control",
        "0.2",
        "--budget",
        "90",
        "--options",
        '{"min_tokens": 200}',
    )
    row = Lever.objects.get()
    assert (row.mode, row.control_share, row.harm_budget) == ("prove", 0.2, 90)
    assert "compression is off" in run("off", "compression")
    traffic()
    assert "It saves money." in run("results")
    figures = json.loads(run("results", "--days", "30", "--json"))
    assert figures["levers"]["compression"]["saving"][0] > 0
    for arguments, about in (
        (("prove", "effort", "--control", "2"), "control_share"),
        (("prove", "effort", "--options", "{"), "no JSON"),
        (("results", "--days", "0"), "between 1 and 365"),
    ):
        with pytest.raises(CommandError, match=about):
            run(*arguments)

"""The course of the autopilot: what it notices, and the steps that its evidence calls for."""

from __future__ import annotations

import io
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from analytics.alerts.raising import alerts_raise
from analytics.autopilot.course import AutopilotPolicy, autopilot_run, points_at_risk, usd_spent
from analytics.autopilot.noticing import PricedModel
from analytics.autopilot.pairs import pair_record, unit_of
from analytics.autopilot.steps import State, autopilot_switch, trial_advance
from analytics.autopilot.uses import uses_allow, uses_take, uses_taken
from analytics.models import (
    AlertRule,
    AutopilotPair,
    AutopilotStep,
    AutopilotTrial,
    Comparison,
)
from analytics.quality.comparisons import Judgement, ScoredAnswer
from routing.models import ModelRef
from tests.factories import ComparisonFactory, RequestRecordFactory

pytestmark = pytest.mark.django_db
D = Decimal
POLICY = AutopilotPolicy(on=True)
OLD = PricedModel(ModelRef("claude", "claude-opus-5-5"), D(5), D(25))
NEW = PricedModel(ModelRef("gemini", "gemini-9-flash"), D(1), D(4))
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def run(*models: PricedModel, at: datetime = NOW, policy: AutopilotPolicy = POLICY) -> None:
    autopilot_run(policy, models or (OLD, NEW), at)


def noticed() -> AutopilotTrial:
    """The new model's trial for simple requests, under way."""
    run(OLD)
    run()
    return AutopilotTrial.objects.get(tier="simple")


def pairs(
    trial: AutopilotTrial, values: list[float], *, saved: float = 0.01, at: datetime = NOW
) -> None:
    first = AutopilotPair.objects.count()
    comparisons = [
        Comparison(
            source="autopilot", created_at=at, provider="p", model="m", served=False, score=0.5,
            reference_score=0.5, reference_provider="p", reference_model="n", pattern="code",
            tier=trial.tier, judge_cost=D("0.0001"),
        )
        for _ in values
    ]  # fmt: skip
    rows = Comparison.objects.bulk_create(comparisons)
    noise = np.random.default_rng(first).standard_normal(len(values))
    AutopilotPair.objects.bulk_create(
        AutopilotPair(
            comparison=row, trial=trial, unit=f"{first + n}", score=value, at=at,
            saved=saved * (1 + 0.1 * noise[n]),
        )
        for n, (row, value) in enumerate(zip(rows, values, strict=True))
    )  # fmt: skip


EVEN = [0.25, 0.5, 0.75]
STATES = "noticed", "shadow", "live", "moved"


def states(trial: AutopilotTrial) -> list[str]:
    steps = AutopilotStep.objects.filter(trial=trial).order_by("pk")
    return [step.after for step in steps]


def test_what_there_was_before_is_not_tried_and_what_comes_is() -> None:
    run(OLD)
    assert not AutopilotTrial.objects.exists()
    run()
    trials = AutopilotTrial.objects.order_by("pk")
    assert [(trial.ref, trial.tier, trial.state, trial.held) for trial in trials] == [
        (NEW.ref, tier, "shadow", True) for tier in ("simple", "moderate", "complex")
    ]
    run()
    assert AutopilotTrial.objects.count() == 3
    assert "it is new" in AutopilotStep.objects.order_by("pk").first().reason


def test_a_lower_price_is_a_reason_to_try_and_a_higher_one_to_take_back() -> None:
    run()
    # It is known already where routing chose it at the old price.
    RequestRecordFactory(
        tier="complex", strategy="hybrid", provider=OLD.ref.provider, model=OLD.ref.model,
        created_at=NOW,
    )  # fmt: skip
    run(OLD._replace(input=D(3)), NEW)
    assert {t.tier for t in AutopilotTrial.objects.all()} == {"simple", "moderate"}
    trial = AutopilotTrial.objects.get(tier="simple")
    assert (trial.ref, trial.held) == (OLD.ref, True)
    AutopilotTrial.objects.filter(pk=trial.pk).update(state="moved", moved_at=NOW)
    run(OLD._replace(input=D(6)), NEW)
    trial.refresh_from_db()
    assert trial.state == "reverted"
    assert "its price changed from" in AutopilotStep.objects.filter(after="reverted").get().reason
    # It is tried again, at the price that it has now.
    again = AutopilotTrial.objects.get(tier="simple", state="shadow")
    assert again.pk != trial.pk


def test_a_good_model_goes_all_the_way() -> None:
    trial = noticed()
    pairs(trial, EVEN * 50)
    run()
    trial.refresh_from_db()
    assert trial.state == "live"
    use = trial.uses.get()
    assert use.allowed > 0
    taken = sum(uses_take(trial.pk, NOW.date()) for _ in range(200))
    assert taken <= use.allowed
    pairs(trial, EVEN * 700)
    run()
    trial.refresh_from_db()
    assert states(trial) == list(STATES)
    evidence = AutopilotStep.objects.filter(after="moved").get().evidence
    assert evidence["loss_high"] <= POLICY.terms.margin
    assert evidence["saving_low"] > 0
    assert evidence["live"] == taken >= POLICY.terms.fewest_live
    # And back, when it turns bad.
    pairs(trial, [0.0] * 60, at=NOW + timedelta(hours=1))
    run(at=NOW + timedelta(hours=1))
    trial.refresh_from_db()
    assert trial.state == "reverted"


@pytest.mark.parametrize(
    ("values", "saved", "reason"),
    [([0.0, 0.25] * 60, 0.01, "surely loses more"), (EVEN * 60, -0.01, "surely costs no less")],
)
def test_a_bad_model_is_rejected(values: list[float], saved: float, reason: str) -> None:
    trial = noticed()
    pairs(trial, values, saved=saved)
    run()
    trial.refresh_from_db()
    assert trial.state == "rejected"
    assert reason in trial.steps.first().reason


def test_a_trial_without_a_decision_ends_and_the_next_begins() -> None:
    trial = noticed()
    other = NEW._replace(ref=ModelRef("gemini", "gemini-9-pro"))
    run(OLD, NEW, other)
    waiting = AutopilotTrial.objects.get(model="gemini-9-pro", tier="simple")
    assert waiting.state == "noticed"
    run(OLD, NEW, other, at=NOW + timedelta(days=31))
    trial.refresh_from_db()
    assert trial.state == "rejected"
    run(OLD, NEW, other, at=NOW + timedelta(days=31))
    waiting.refresh_from_db()
    assert waiting.state == "shadow"


def test_a_model_that_is_gone_is_given_up() -> None:
    trial = noticed()
    AutopilotTrial.objects.filter(pk=trial.pk).update(state="moved")
    run(OLD)
    ends = AutopilotTrial.objects.order_by("pk").values_list("state", flat=True)
    assert list(ends) == ["reverted", "rejected", "rejected"]


def test_a_step_is_taken_by_one_worker() -> None:
    trial = noticed()
    same = AutopilotTrial.objects.get(pk=trial.pk)
    assert trial_advance(trial, State.LIVE, "one") is not None
    assert trial_advance(same, State.REJECTED, "other") is None
    assert AutopilotStep.objects.filter(trial=trial, before="shadow").count() == 1


def test_a_move_replaces_the_one_before_and_its_end_restores_it() -> None:
    first = noticed()
    trial_advance(first, State.MOVED, "proven")
    second = AutopilotTrial.objects.create(provider="p", model="m", tier="simple", state="live")
    trial_advance(second, State.MOVED, "proven")
    first.refresh_from_db()
    assert first.state == "replaced"
    trial_advance(second, State.REVERTED, "harm")
    first.refresh_from_db()
    assert first.state == "moved"


def test_money_and_points_that_are_used_up_stop_the_clients_answers() -> None:
    trial = noticed()
    pairs(trial, EVEN * 50)
    run(policy=replace(POLICY, daily_points=0.0))
    trial.refresh_from_db()
    assert (trial.state, trial.uses.get().allowed) == ("live", 0)
    run()
    allowed = trial.uses.get().allowed
    assert allowed > 0
    uses_allow(trial, NOW.date(), 40)
    while uses_take(trial.pk, NOW.date()):
        pass
    assert uses_taken(trial) == 40
    today = NOW.replace(hour=0)
    at_risk = points_at_risk(POLICY.terms, today)
    assert 0 < at_risk <= POLICY.daily_points
    run(policy=replace(POLICY, daily_points=at_risk))
    assert trial.uses.get().allowed == 40
    run(policy=replace(POLICY, daily_usd=D("0.001")))
    assert usd_spent(today) == D("0.015")
    assert trial.uses.get().allowed == 40


def test_nothing_happens_while_it_is_off() -> None:
    off = replace(POLICY, on=False)
    run(policy=off)
    run(OLD, policy=off)
    assert not AutopilotStep.objects.exists()
    autopilot_switch(on=True, who="ann")
    run(OLD, policy=off)
    run(policy=off)
    assert AutopilotTrial.objects.count() == 3
    assert AutopilotStep.objects.order_by("pk").first().who == "ann"


def test_a_session_counts_once_and_what_it_cost_always() -> None:
    trial = noticed()
    unit = unit_of("", "s1", uuid.uuid4())
    for live, saved in ((False, 0.5), (True, -0.5)):
        record = RequestRecordFactory(session_id="s1")
        pair_record(
            trial.pk, unit, record.pk, ScoredAnswer("p", "m", 0.75), ScoredAnswer("p", "n", 0.5),
            live=live, saved=saved, judged=Judgement("judge", D("0.01"), D("0.02")),
        )  # fmt: skip
    pair = AutopilotPair.objects.get()
    assert (pair.score, pair.live, pair.saved) == (0.75, False, 0.5)
    assert usd_spent(datetime.now(UTC) - timedelta(hours=1)) == D("0.06")


def test_each_decision_raises_an_alert_once() -> None:
    AlertRule.objects.create(
        name="autopilot", metric="autopilot", limit=0, webhook="https://x.test/hook"
    )
    trial = noticed()
    assert alerts_raise() == []
    trial_advance(trial, State.REJECTED, "it surely loses more than the margin")
    (alert,) = alerts_raise()
    assert "rejected, as it surely loses more" in alert.text
    assert alerts_raise() == []


def command(*args: str) -> str:
    out = io.StringIO()
    call_command("autopilot", *args, stdout=out)
    return out.getvalue()


def test_the_command_switches_shows_and_reverts(settings: Any) -> None:
    settings.JUDGE_MODEL = ""
    with pytest.raises(CommandError, match="JUDGE_MODEL"):
        command("on")
    settings.JUDGE_MODEL = "claude-opus-5-5"
    assert "is on" in command("on")
    trial = noticed()
    assert "gemini-9-flash" in command("status")
    assert "an operator ended it" in command("revert", str(trial.pk))
    with pytest.raises(CommandError, match="ended already"):
        command("revert", str(trial.pk))
    assert "lets routing choose it" in command("release", str(trial.pk))
    with pytest.raises(CommandError, match="not held back"):
        command("release", str(trial.pk))
    assert "it is new" in command("log")
    assert "is off" in command("off")


def test_the_page_shows_steps_and_switches(admin_client: Client, settings: Any) -> None:
    settings.JUDGE_MODEL = "claude-opus-5-5"
    trial = noticed()
    pairs(trial, [0.0] * 100)
    run()
    page = admin_client.get(reverse("admin:autopilot")).content.decode()
    assert "it surely loses more than the margin" in page
    assert "100 pairs" in page
    admin_client.post(reverse("admin:autopilot_switch"), {"on": "1"})
    assert "The autopilot is on" in admin_client.get(reverse("admin:autopilot")).content.decode()
    other = AutopilotTrial.objects.get(tier="moderate")
    admin_client.post(reverse("admin:autopilot_revert", args=[other.pk]))
    other.refresh_from_db()
    assert other.state == "rejected"


def test_other_comparisons_are_not_its_money() -> None:
    ComparisonFactory(judge_cost=D(1))
    assert usd_spent(NOW - timedelta(days=9)) == 0

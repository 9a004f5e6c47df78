"""Experiments: split for good, kept apart, compared at any time, ended where they do harm."""

from __future__ import annotations

import io
import random
from collections import Counter
from decimal import Decimal

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from analytics.experiments import (
    ExperimentError,
    experiment_results,
    experiment_start,
    experiment_stop,
    harm_reason,
    stop_on_harm,
)
from analytics.models import Experiment, RequestRecord, RoutingMetric
from optimizer.policies.experiments import arm_of
from optimizer.presentation.experiments import verdict
from optimizer.wiring.build import get_services
from tests.conftest import Start
from tests.factories import FeedbackFactory, RequestRecordFactory
from tests.fakes.server import FakeProvider, Reply

SMALL, BIG = "claude-haiku-5-5", "claude-sonnet-5-5"


@given(st.text(min_size=1), st.floats(0.01, 0.99))
def test_a_unit_has_its_arm_for_good(unit: str, share: float) -> None:
    assert arm_of("x", unit, share) == arm_of("x", unit, share)


def test_arms_get_their_share_and_experiments_are_independent() -> None:
    users = [f"user-{n}" for n in range(20_000)]
    one = [arm_of("one", user, 0.3) == "treatment" for user in users]
    other = [arm_of("other", user, 0.3) == "treatment" for user in users]
    assert sum(one) / len(users) == pytest.approx(0.3, abs=0.015)
    both = sum(a and b for a, b in zip(one, other, strict=True)) / len(users)
    assert both == pytest.approx(0.09, abs=0.01)


async def running(**fields: object) -> Experiment:
    values = {"name": "try", "control": SMALL, "treatment": BIG, "status": "running", **fields}
    return await Experiment.objects.acreate(**values)


async def ask(client: httpx.AsyncClient, user: str = "", **body: object) -> dict:
    response = await client.post(
        "/v1/chat/completions",
        json={
            "messages": [{"role": "user", "content": "What is the capital of France?"}],
            "model": "auto",
            **({"user": user} if user else {}),
            **body,
        },
    )
    assert response.status_code == 200, response.text
    return response.json()


async def recorded() -> list[RequestRecord]:
    return [r async for r in RequestRecord.objects.order_by("created_at")]


class TestRequests:
    async def test_users_are_split_and_stay_where_they_are(
        self, transactional_db: None, fakes: dict[str, FakeProvider], start: Start
    ) -> None:
        await running()
        client = await start()
        for user in ("ann", "bob", "cid", "dan") * 2:
            await ask(client, user)
        seen = {(r.user_id, r.arm, r.model) for r in await recorded()}
        assert len(seen) == 4
        expected = {"control": SMALL, "treatment": BIG}
        for user, arm, model in seen:
            assert arm == arm_of("try", user, 0.5)
            assert model == expected[arm]
        assert {r.experiment for r in await recorded()} == {"try"}

    async def test_what_an_arm_saves_is_against_complexity_s_free_choice(
        self, transactional_db: None, fakes: dict[str, FakeProvider], start: Start
    ) -> None:
        await running(share=0.99)
        client = await start()
        await ask(client, next(u for u in "abcdef" if arm_of("try", u, 0.99) == "treatment"))
        decision = await RoutingMetric.objects.aget()
        assert decision.model == BIG
        assert decision.baseline_model != BIG
        assert decision.routing_saved == decision.baseline_cost - decision.actual_cost < 0
        assert {c["model"] for c in decision.metadata["baseline_chain"]} > {BIG, SMALL}
        assert SMALL in {c["model"] for c in decision.metadata["fallback_chain"]}

    async def test_an_arm_that_cannot_serve_costs_nobody_an_answer(
        self, transactional_db: None, fakes: dict[str, FakeProvider], start: Start
    ) -> None:
        await running(share=0.99)
        client = await start()
        user = next(u for u in "abcdef" if arm_of("try", u, 0.99) == "treatment")
        answered = fakes["claude"].wire
        fakes["claude"].wire = lambda asked: (
            Reply({"error": {}}, 400) if asked.body["model"] == BIG else answered(asked)
        )
        await ask(client, user)
        (record,) = await recorded()
        assert (record.arm, record.status) == ("treatment", "ok")
        assert record.model != BIG

    async def test_arms_share_no_cached_answers(
        self, transactional_db: None, fakes: dict[str, FakeProvider], start: Start
    ) -> None:
        await running()
        client = await start()
        users = [f"u{n}" for n in range(12)]
        for user in users:
            await ask(client, user)
        hits = Counter(r.arm for r in await recorded() if r.cache_hit)
        arms = Counter(arm_of("try", user, 0.5) for user in users)
        assert hits == {arm: count - 1 for arm, count in arms.items()}
        keys = {(r.arm, r.cache_key) for r in await recorded()}
        assert len(keys) == len({key for _, key in keys}) == 2

    async def test_who_names_a_model_or_no_user_takes_no_part(
        self, transactional_db: None, fakes: dict[str, FakeProvider], start: Start
    ) -> None:
        await running(treatment=BIG, share=0.99)
        client = await start()
        await ask(client, "ann", model=SMALL)
        await ask(client)
        assert [(r.experiment, r.model == BIG) for r in await recorded()] == [("", False)] * 2

    async def test_complete_takes_part_by_request(
        self, transactional_db: None, fakes: dict[str, FakeProvider], start: Start
    ) -> None:
        await running(unit="request", share=0.99)
        client = await start()
        answer = await client.post("/complete", json={"prompt": "Hello there, how are you?"})
        (record,) = await recorded()
        assert record.arm == arm_of("try", answer.json()["request_id"], 0.99)

    async def test_an_ended_one_splits_nobody(
        self, transactional_db: None, fakes: dict[str, FakeProvider], start: Start
    ) -> None:
        experiment = await running(share=0.99)
        client = await start()
        await ask(client, "ann")
        await sync_to_async(experiment_stop)(experiment, "Enough.")
        await sync_to_async(get_services().experiments.refresh)()
        await ask(client, "ann")
        assert [r.experiment for r in await recorded()] == ["try", ""]

    async def test_one_that_cannot_be_read_is_said_once_and_left_out(
        self, transactional_db: None, fakes: dict[str, FakeProvider], start: Start, caplog
    ) -> None:
        await running(treatment="a-model-that-is-gone")
        client = await start()
        await sync_to_async(get_services().experiments.refresh)()
        await ask(client, "ann")
        assert [r.experiment for r in await recorded()] == [""]
        assert caplog.text.count("is left out") == 1

    async def test_explaining_a_decision_assigns_nobody(
        self, transactional_db: None, fakes: dict[str, FakeProvider], start: Start
    ) -> None:
        await running(unit="request", share=0.99)
        client = await start()
        found = (await client.get("/recommendation", params={"prompt": "Hello"})).json()
        assert found["model"] != BIG


def take_part(
    arm: str, users: int, *, cost: str, good: float = 0.8, failing: float = 0.0, seed: int = 1
) -> None:
    chance = random.Random(f"{arm}{seed}")
    for number in range(users):
        for _ in range(chance.randrange(1, 4)):
            failed = chance.random() < failing
            request = RequestRecordFactory(
                experiment="try",
                arm=arm,
                user_id=f"{arm}-{number}",
                cost=Decimal(cost) * chance.randrange(80, 120) / 100,
                status="error" if failed else "ok",
            )
            if not failed:
                FeedbackFactory(request=request, score=float(chance.random() < good))


@pytest.mark.django_db
class TestResults:
    @pytest.fixture
    def experiment(self) -> Experiment:
        return Experiment.objects.create(name="try", status="running", planned_units=400)

    def test_what_costs_less_at_equal_quality_is_shown(self, experiment: Experiment) -> None:
        take_part("control", 150, cost="0.01")
        take_part("treatment", 150, cost="0.005")
        found = experiment_results(experiment)
        assert found.units == {"control": 150, "treatment": 150}
        assert sum(found.requests.values()) == RequestRecord.objects.count()
        assert found.cost.control == pytest.approx(0.01, rel=0.03)
        assert found.cost.high < 0
        assert found.quality.low < 0 < found.quality.high
        assert "hybrid is cheaper than complexity" in verdict(experiment, found)
        assert harm_reason(experiment, found) == ""
        assert stop_on_harm() is None

    def test_it_ends_by_itself_where_quality_falls(self, experiment: Experiment) -> None:
        take_part("control", 150, cost="0.01", good=0.95)
        take_part("treatment", 150, cost="0.005", good=0.3)
        assert stop_on_harm() == experiment
        experiment.refresh_from_db()
        assert experiment.status == "stopped"
        assert "quality is significantly lower" in experiment.end_reason
        assert stop_on_harm() is None

    def test_or_where_it_fails(self, experiment: Experiment) -> None:
        take_part("control", 150, cost="0.01")
        take_part("treatment", 150, cost="0.01", failing=0.5)
        assert "fails more often" in stop_on_harm().end_reason

    def test_a_few_users_say_nothing(self, experiment: Experiment) -> None:
        take_part("control", 30, cost="0.01", good=1.0)
        take_part("treatment", 30, cost="0.01", good=0.0)
        found = experiment_results(experiment)
        assert found.quality.low is None
        assert "before both arms have 50 users" in verdict(experiment, found)
        assert stop_on_harm() is None

    def test_one_runs_at_a_time_and_none_twice(self, experiment: Experiment) -> None:
        other = Experiment.objects.create(name="other")
        with pytest.raises(ExperimentError, match="Another experiment is running"):
            experiment_start(other)
        assert experiment_stop(experiment, "Done.")
        assert not experiment_stop(experiment, "Again.")
        experiment_start(other)
        experiment_stop(other, "Done.")
        with pytest.raises(ExperimentError, match="has begun before"):
            experiment_start(other)


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("experiments", *arguments, stdout=out, stderr=io.StringIO())
    return " ".join(out.getvalue().split())


@pytest.mark.django_db
class TestTheCommand:
    def test_from_the_plan_to_the_end(self) -> None:
        assert "No experiments" in run()
        assert "Created" in run("create", "try", "--unit", "user", "--planned", "400")
        assert "not started" in run("list")
        assert "Started" in run("start", "try")
        take_part("control", 120, cost="0.01")
        take_part("treatment", 120, cost="0.004")
        shown = run("show", "try")
        assert "hybrid is cheaper than complexity" in shown
        assert "240 users of 400 planned" in shown
        planned = run("plan", "--metric", "cost", "--effect", "0.1")
        assert "users, about" in planned
        assert "--planned" in planned
        assert "points" not in planned
        assert run("plan", "--metric", "quality", "--effect", "0.05")
        assert "Ended" in run("stop", "try")
        assert "Ended by hand." in run("list")

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            (("show", "none"), "no experiment 'none'"),
            (("create", "a b"), "name: Letters"),
            (("create", "x", "--share", "2"), "share:"),
            (("create", "x", "--treatment", "nonsense"), "no policy"),
            (("create", "x", "--treatment", "x.toml"), "not files"),
            (("plan", "--effect", "0"), "above 0"),
            (("plan", "--effect", "0.1"), "too little to plan from"),
        ],
    )
    def test_what_cannot_be_is_said(self, arguments: tuple[str, ...], error: str) -> None:
        with pytest.raises(CommandError, match=error):
            run(*arguments)


@pytest.mark.django_db
class TestTheAdmin:
    form = {
        "name": "try", "note": "", "control": "complexity", "treatment": "hybrid", "unit": "user",
        "share": "0.5", "planned_units": "400", "quality_harm": "0.05", "failure_harm": "0.02",
    }  # fmt: skip
    changes = "admin:analytics_experiment_changelist"

    def test_it_is_written_begun_looked_at_and_ended(self, admin_client: Client) -> None:
        add = reverse("admin:analytics_experiment_add")
        wrong = admin_client.post(add, {**self.form, "treatment": "nonsense"})
        assert "There is no policy" in wrong.content.decode()
        assert admin_client.post(add, self.form).status_code == 302
        experiment = Experiment.objects.get()

        def act(action: str) -> str:
            done = {"action": action, "_selected_action": [experiment.pk]}
            return admin_client.post(reverse(self.changes), done, follow=True).content.decode()

        assert "has begun" in act("start_selected")
        assert "has begun before" in act("start_selected")
        take_part("control", 60, cost="0.01")
        take_part("treatment", 60, cost="0.004")
        change = reverse("admin:analytics_experiment_change", args=[experiment.pk])
        page = admin_client.get(change).content.decode()
        assert "cheaper than complexity" in page
        assert "95 % at any time" in page
        assert 'name="treatment"' not in page
        assert admin_client.post(
            reverse("admin:analytics_experiment_delete", args=[experiment.pk]), {"post": "yes"}
        ).status_code == 403  # fmt: skip
        assert "has ended" in act("stop_selected")
        experiment.refresh_from_db()
        assert experiment.end_reason == "Ended by admin."
        assert "is not running" in act("stop_selected")

"""What if: a policy tried on the log, by command and admin, answered only where it can be."""

from __future__ import annotations

import html
import io
import json
import pickle
import random
import re
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from analytics.ledger.rollups import totals_update
from analytics.models import Experiment, RequestRecord, RoutingRule
from analytics.quality.rated_answers import propensities
from optimizer.policies.policy import PolicyError, leaves_choice, read_policy
from optimizer.presentation.whatif import mixes, monthly
from optimizer.wiring.build import get_services
from providers.completion import Usage
from tests.factories import FeedbackFactory, RoutingMetricFactory
from tests.fakes.wires import KEY
from tests.routing.learning.made_outcomes import made_outcomes

SMALL, BIG = "claude-haiku-5-5", "claude-sonnet-5-5"
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _no_kept_studies() -> None:
    cache.clear()


@pytest.fixture(autouse=True)
def _claude(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


def log(count: int, *, explored: float = 0.4, seed: int = 1, **fields: object) -> list:
    """Requests that the small model answers but for a share that tries the big one."""
    chance = random.Random(seed)
    prices, made = get_services().prices, []
    for _ in range(count):
        big = chance.random() < explored
        good = chance.random() < (0.95 if big else 0.6)
        model = BIG if big else SMALL
        cost = prices.cost("claude", model, Usage(100, 50))
        candidates = [
            {"provider": "claude", "model": name, "propensity": p, "chosen": name == model}
            for name, p in ((SMALL, 1 - explored), (BIG, explored))
        ]
        decision = RoutingMetricFactory(
            request__model=model,
            request__cost=cost,
            request__tokens_in=100,
            request__tokens_out=50,
            request__strategy="hybrid",
            request__auto_route=True,
            request__created_at=datetime.now(UTC) - timedelta(hours=chance.uniform(1, 40)),
            metadata={"candidates": candidates if explored else []},
            **fields,
        )
        FeedbackFactory(request=decision.request, score=float(good))
        made.append(decision)
    return made


def ask(policy: str, **options: object):
    services = get_services()
    since = datetime.now(UTC) - 3 * DAY
    return services.what_if.ask(read_policy(policy, services.names), since, **options)


@pytest.mark.django_db
class TestOnTheLog:
    def test_what_exploring_saw_tells_what_the_other_model_would_do(self) -> None:
        log(600)
        answer = ask(BIG)
        assert answer.requests == 600
        assert answer.after == {f"claude/{BIG}": 600}
        quality = answer.quality
        assert quality.after.low <= 0.95 <= quality.after.high
        assert quality.before.low <= 0.6 * 0.6 + 0.4 * 0.95 <= quality.before.high
        assert quality.change_low > 0
        prices = get_services().prices
        cost = prices.cost("claude", BIG, Usage(100, 50))
        assert answer.cost.after.mean == pytest.approx(float(cost))
        assert answer.cost.change_low > 0

    def test_a_log_that_never_tried_it_is_not_made_to_tell(self) -> None:
        log(300, explored=0.0)
        answer = ask(BIG)
        assert answer.quality is None
        assert "never tried" in answer.no_quality
        assert answer.cost is not None  # prices are known all the same

    def test_the_policy_in_force_is_a_replay(self) -> None:
        log(300, explored=0.0)
        answer = ask(SMALL)
        assert answer.changed == 0
        assert answer.quality.change == pytest.approx(0, abs=1e-12)
        assert answer.cost.change == pytest.approx(0, abs=1e-12)

    def test_a_few_requests_are_too_few(self) -> None:
        log(20)
        answer = ask(BIG)
        assert (answer.cost, answer.quality) == (None, None)
        assert "20 requests are too few" in answer.no_cost

    def test_only_who_leaves_the_choice_to_us_is_asked_about(self) -> None:
        log(110)
        log(50, seed=2, request__requested_model=SMALL)
        log(30, seed=3, request__cache_hit=True)
        assert ask(BIG).requests == 110
        assert leaves_choice("auto:cheapest")
        assert not leaves_choice("gpt-x")

    def test_named_models_count_if_they_are_wanted(self) -> None:
        log(110)
        log(50, seed=2, explored=0.0, request__requested_model=SMALL)
        answer = ask(BIG, named=True)
        assert (answer.requests, answer.named) == (160, 50)
        assert answer.after == {f"claude/{BIG}": 160}

    def test_a_month_is_counted_at_the_pace_of_the_log(self) -> None:
        log(300, explored=0.5)
        log(100, seed=2, request__requested_model=SMALL)
        answer = ask(BIG)
        first = RequestRecord.objects.order_by("created_at").values_list("created_at", flat=True)[0]
        days = (datetime.now(UTC) - first) / DAY
        assert answer.days == pytest.approx(days, rel=0.01)
        assert answer.monthly == pytest.approx(300 * 30.4375 / days, rel=0.01)
        # Fewer of the latest requests are decided; the pace stays that of all.
        assert ask(BIG, most=200).monthly == pytest.approx(answer.monthly, rel=0.2)
        cost = monthly(answer)
        extra = answer.cost.change * answer.monthly
        assert cost.change == f"+${extra:,.2f}"
        assert cost.dearer

    def test_policies_are_compared_on_the_same_requests(self) -> None:
        log(300)
        services = get_services()
        policies = [read_policy(name, services.names) for name in (BIG, SMALL)]
        since = datetime.now(UTC) - 3 * DAY
        dear, cheap = services.what_if.compare(policies, since)
        assert dear.cost.before == cheap.cost.before
        assert (dear.cost.change, cheap.cost.change) == pytest.approx(
            (ask(BIG).cost.change, ask(SMALL).cost.change)
        )
        (small, big) = sorted(mixes([dear, cheap]), key=lambda row: row[0])
        assert small[1][1:] == [0, 100]
        assert big[1][1:] == [100, 0]

    def test_a_study_that_goes_on_elsewhere_comes_to_the_same(self) -> None:
        log(250)
        what_if, names = get_services().what_if, get_services().names
        policies = [read_policy(name, names) for name in (BIG, "cheapest", "hybrid@0.8")]
        since, until = datetime.now(UTC) - 3 * DAY, datetime.now(UTC)
        at_once = what_if.compare(policies, since, until)
        study, steps = what_if.begin(policies, since, until), 0
        while not study.done:
            what_if.go_on(study, 0.02)
            before = study.decided
            study, steps = pickle.loads(pickle.dumps(study)), steps + 1
            assert study.decided == before
        assert steps > 1
        assert study.answers() == at_once

    def test_few_requests_say_less_surely_what_all_say(self) -> None:
        log(400)
        what_if = get_services().what_if
        study = what_if.begin([read_policy(BIG, get_services().names)], datetime.now(UTC) - 3 * DAY)
        what_if.go_on(study, 0)
        (answer,) = study.answers()
        assert (study.decided, answer.cost) == (1, None)
        while study.decided < 150:
            what_if.go_on(study, 0)
        (part,) = deepcopy(study).answers()
        what_if.go_on(study)
        (whole,) = study.answers()
        assert part.requests == 150
        assert part.monthly == pytest.approx(whole.monthly)
        assert (
            part.cost.change_high - part.cost.change_low
            > whole.cost.change_high - whole.cost.change_low
        )

    def test_a_request_that_is_deleted_meanwhile_is_left_out(self) -> None:
        log(150)
        what_if = get_services().what_if
        study = what_if.begin([read_policy(BIG, get_services().names)], datetime.now(UTC) - 3 * DAY)
        RequestRecord.objects.filter(pk__in=study.requests[:20]).delete()
        what_if.go_on(study)
        assert study.answers()[0].requests == 130

    def test_the_pace_is_that_of_the_roll_ups_and_the_requests_after_them(self) -> None:
        log(300, explored=0.5)
        log(60, seed=2, explored=0.5, request__cache_hit=True)
        exact = ask(BIG)
        for _ in totals_update():
            pass
        assert ask(BIG).monthly == pytest.approx(exact.monthly, rel=1e-3)
        assert ask(BIG, most=200).monthly == pytest.approx(exact.monthly, rel=0.01)

    def test_longer_answers_cost_more(self) -> None:
        decisions = log(400, explored=0.5)
        cost = get_services().prices.cost("claude", BIG, Usage(100, 150))
        for decision in decisions:
            if decision.model == BIG:
                decision.request.tokens_out = 150
                decision.request.cost = cost
                decision.request.save()
        answer = ask(BIG)
        assert answer.lengths_known == 1.0
        assert answer.cost.after.mean == pytest.approx(float(cost), rel=0.1)


@pytest.mark.parametrize(
    ("metadata", "found"),
    [
        ({}, {"claude/m": 1.0}),
        ({"candidates": [{"provider": "a", "model": "b"}]}, {"claude/m": 1.0}),
        (
            {"candidates": [{"provider": "a", "model": "b", "propensity": 0.2}]},
            {"a/b": 0.2},
        ),
        (
            {
                "candidates": [{"provider": "a", "model": "b", "propensity": 0.2}],
                "rejected_model": {},
            },
            {"claude/m": 1.0},
        ),
    ],
)
def test_chances_are_those_that_were_written_down(metadata: dict, found: dict) -> None:
    decision = RoutingMetricFactory.build(request__model="m", metadata=metadata)
    assert propensities(decision) == found


class TestPolicies:
    def read(self, text: str):
        return read_policy(text, get_services().names)

    def test_names(self) -> None:
        assert self.read("hybrid").strategy == "hybrid"
        assert self.read("best@0.9").quality_target == 0.9
        assert self.read(SMALL).only == frozenset({("claude", SMALL)})

    def test_files(self, tmp_path: Path) -> None:
        path = tmp_path / "night.toml"
        path.write_text(
            'strategy = "hybrid"\nquality_target = 0.8\ncost_cap = "0.01"\n'
            '[[rules]]\nname = "no big"\naction = "forbid"\nmodels = ["*sonnet*"]\n'
        )
        policy = self.read(str(path))
        assert (policy.name, policy.quality_target) == ("night", 0.8)
        assert policy.cost_cap == Decimal("0.01")
        assert policy.rules[0].name == "no big"

    @pytest.mark.parametrize(
        ("text", "error"),
        [
            ("hybrid@2", "between 0 and 1"),
            ("hybrid@x", "between 0 and 1"),
            ("nonsense", "one of complexity"),
            ("missing.toml", "missing.toml"),
        ],
    )
    def test_what_is_none_is_said(self, text: str, error: str) -> None:
        with pytest.raises(PolicyError, match=error):
            self.read(text)

    @pytest.mark.parametrize(
        ("toml", "error"),
        [
            ('strategy = "hybrid"\nmodel = "x"', "either strategy or model"),
            ('strategy = "hybrid"\nspeed = 1', "unknown field speed"),
            ('strategy = "hybrid"\ncost_cap = -1', "above zero"),
            ('strategy = "hybrid"\nrules = 3', r"may only hold \[\[rules\]\]"),
        ],
    )
    def test_files_too(self, tmp_path: Path, toml: str, error: str) -> None:
        path = tmp_path / "p.toml"
        path.write_text(toml)
        with pytest.raises(PolicyError, match=error):
            self.read(str(path))


def run(*arguments: object) -> str:
    out = io.StringIO()
    call_command("whatif", *map(str, arguments), stdout=out, stderr=io.StringIO())
    return " ".join(out.getvalue().split())


@pytest.mark.django_db
class TestTheCommand:
    def test_it_says_cost_and_quality_in_one_breath(self) -> None:
        log(600)
        said = run("--policy", BIG, "--days", 3)
        assert "more expensive; quality rises" in said
        assert "Effective sample size" in said
        found = json.loads(run("--policy", SMALL, "--days", 3, "--format", "json"))
        assert found[0]["cost"]["change_high"] < 0
        assert found[0]["quality"]["change_high"] < 0

    def test_it_refuses_by_saying_what_would_help(self) -> None:
        log(300, explored=0.0)
        said = run("--policy", BIG)
        assert "cannot tell what quality would be" in said
        assert "EXPLORATION_RATE" in said
        assert "effect on quality is not known" in said

    def test_wrong_arguments_are_said(self) -> None:
        with pytest.raises(CommandError, match="between 1 and 365"):
            run("--policy", "hybrid", "--days", 0)
        with pytest.raises(CommandError, match="no policy"):
            run("--policy", "nonsense")

    def test_recorded_outcomes_are_replayed_exactly(self, tmp_path: Path) -> None:
        prompts = made_outcomes(80)
        data = tmp_path / "data.jsonl"
        data.write_text(
            "".join(
                json.dumps(
                    {
                        "id": p.id,
                        "benchmark": p.benchmark,
                        "prompt": p.prompt,
                        "outcomes": {
                            m: {
                                "quality": o.quality,
                                "input_tokens": o.input_tokens,
                                "output_tokens": o.output_tokens,
                            }
                            for m, o in p.outcomes.items()
                        },
                    }
                )
                + "\n"
                for p in prompts
            )
        )
        prices = tmp_path / "prices.toml"
        prices.write_text(
            'weak = { input = "0.5", output = "1" }\nstrong = { input = "10", output = "30" }\n'
        )
        said = run("--policy", "strong", "--outcomes", data, "--prices", prices, "--format", "json")
        found = json.loads(said)
        outcomes = [p.outcomes["strong"] for p in prompts]
        quality = sum(o.quality for o in outcomes) / len(outcomes)
        cost = sum(10 * o.input_tokens + 30 * o.output_tokens for o in outcomes) / 1e6 / 80
        assert sum(answer["requests"] for answer in found) == 80
        mean = sum(a["quality"]["after"]["mean"] * a["requests"] for a in found) / 80
        assert mean == pytest.approx(quality)
        spent = sum(a["cost"]["after"]["mean"] * a["requests"] for a in found) / 80
        assert spent == pytest.approx(cost)


ESTIMATES = "/admin/whatif/estimates"


@pytest.mark.django_db
class TestTheAdminPage:
    @staticmethod
    def read(client: Client, asked: dict[str, Any]) -> str:
        return client.get("/admin/whatif/", asked).content.decode()

    @staticmethod
    def estimates(client: Client, asked: dict[str, Any]) -> Any:
        """Return the last answer; a script asks until there is no more to decide."""
        page = client.get(ESTIMATES, asked)
        while (again := re.search(r'data-again="([^"]+)"', page.content.decode())) is not None:
            page = client.get(html.unescape(again[1]))
        return page

    def test_it_answers(self, admin_client: Client) -> None:
        log(300)
        page = admin_client.get("/admin/whatif/").content.decode()
        assert f'<option value="{SMALL}">' in page
        asked = {"policy": BIG, "days": 3}
        assert f"estimates?policy={BIG}&amp;days=3" in self.read(admin_client, asked)
        assert "quality rises" not in self.read(admin_client, asked)
        assert "quality rises" in self.read(admin_client, {**asked, "whole": 1})
        page = self.estimates(admin_client, asked).content.decode()
        assert "quality rises" in page
        assert "Estimated on 300 past requests" in page
        assert "Quality under the policy" in page
        assert f"claude/{BIG}" in page

    def test_policies_stand_side_by_side_and_lead_to_filled_forms(
        self, admin_client: Client
    ) -> None:
        log(300)
        asked = {"policy": [BIG, "cheapest", "hybrid@0.8", ""], "days": 3}
        page = self.estimates(admin_client, asked)
        big, cheapest, target = page.context["estimates"]
        assert (big["name"], cheapest["rule"]) == (BIG, "")
        rule = admin_client.get(f"{reverse('admin:analytics_routingrule_add')}?{big['rule']}")
        form = rule.context["adminform"].form
        assert form["action"].value() == "force"
        filled = {
            name: value
            for name in form.fields
            if (value := form[name].value()) not in (None, "", [], False)
        }
        saved = admin_client.post(reverse("admin:analytics_routingrule_add"), filled)
        assert saved.status_code == 302
        made = RoutingRule.objects.get()
        assert (made.model_names, made.enabled) == ([f"claude/{BIG}"], False)
        assert "quality_target=0.8" in target["rule"]
        trial = (
            admin_client.get(
                f"{reverse('admin:analytics_experiment_add')}?{cheapest['experiment']}"
            )
            .context["adminform"]
            .form
        )
        filled = {name: trial[name].value() for name in trial.fields}
        assert (filled["control"], filled["treatment"]) == ("hybrid", "cheapest")
        saved = admin_client.post(reverse("admin:analytics_experiment_add"), filled)
        assert saved.status_code == 302
        assert Experiment.objects.get().status == "draft"

    def test_it_shows_how_far_it_is_and_what_is_known_so_far(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log(130)
        monkeypatch.setattr("optimizer.control_room.pages.whatif.page._SECONDS", 0)
        asked = {"policy": BIG, "days": 3}
        for decided in range(1, 131):
            page = admin_client.get(ESTIMATES, asked)
            assert page.context["study"].decided == decided
            text = page.content.decode()
            assert ("data-again" in text) == (decided < 130)
            assert f"{decided} of 130 past requests are decided" in text or decided == 130
            assert (page.context["estimates"][0]["monthly"] is None) == (decided < 100)
        log(20, seed=5)
        # The same question is answered by what is kept; another one is not.
        assert admin_client.get(ESTIMATES, asked).context["study"].decided == 130
        assert admin_client.get(ESTIMATES, {**asked, "named": "on"}).context["study"].decided == 1
        RoutingRule.objects.create(
            name="no small", action="forbid", model_names=[f"claude/{SMALL}"], enabled=True
        )
        get_services().rules.refresh()
        assert admin_client.get(ESTIMATES, asked).context["study"].decided == 1

    def test_another_version_of_the_service_does_not_go_on_with_a_kept_study(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log(3)
        monkeypatch.setattr("optimizer.control_room.pages.whatif.page._SECONDS", 0)
        asked = {"policy": BIG, "days": 3}
        kept = "optimizer.control_room.pages.whatif.kept_studies.__version__"
        for version, decided in (("1", 1), ("1", 2), ("2", 1)):
            monkeypatch.setattr(kept, version)
            assert admin_client.get(ESTIMATES, asked).context["study"].decided == decided

    def test_a_study_is_kept_under_the_rules_that_it_is_made_with(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log(110)
        monkeypatch.setattr("optimizer.control_room.pages.whatif.page._SECONDS", 0)
        asked = {"policy": BIG, "days": 3}

        def decided() -> int:
            made: int = admin_client.get(ESTIMATES, asked).context["study"].decided
            return made

        get_services().rules.refresh()
        rule = RoutingRule.objects.create(  # by another worker
            name="no small", action="forbid", model_names=[f"claude/{SMALL}"], enabled=True
        )
        assert [decided(), decided()] == [1, 2]
        rule.delete()
        get_services().rules.refresh()
        assert decided() == 1

    def test_without_the_shared_cache_all_is_decided_at_once(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Away:
            def get(self, key: str) -> None:
                raise ConnectionError

            def set(self, key: str, *value: object) -> None:
                raise ConnectionError

        log(110)
        monkeypatch.setattr("optimizer.control_room.pages.whatif.kept_studies.cache", Away())
        monkeypatch.setattr("optimizer.control_room.pages.whatif.page._SECONDS", 0)
        page = admin_client.get(ESTIMATES, {"policy": BIG, "days": 3})
        assert "Estimated on 110 past requests" in page.content.decode()

    def test_more_than_four_are_refused(self, admin_client: Client) -> None:
        asked = {"policy": ["best", "cheapest", "hybrid", "learning", BIG], "days": 3}
        page = admin_client.get("/admin/whatif/", asked).content.decode()
        assert "at most 4 policies" in page

    def test_it_is_led_to_from_the_decisions(self, admin_client: Client) -> None:
        assert (
            "/admin/whatif/" in admin_client.get("/admin/analytics/routingmetric/").content.decode()
        )

    @pytest.mark.parametrize("policy", ["nonsense", "x.toml", ""])
    def test_what_is_no_policy_is_said_at_the_field(self, admin_client: Client, policy) -> None:
        page = admin_client.get("/admin/whatif/", {"policy": policy, "days": 3})
        assert page.status_code == 200
        assert 'class="errorlist' in page.content.decode()
        assert ESTIMATES not in page.content.decode()
        assert admin_client.get(ESTIMATES, {"policy": policy, "days": 3}).status_code == 400

    def test_strangers_do_not_see_it(self, django_user_model) -> None:
        stranger = Client()
        assert stranger.get("/admin/whatif/").status_code == 302
        user = django_user_model.objects.create_user("clerk", password="x", is_staff=True)
        stranger.force_login(user)
        assert stranger.get("/admin/whatif/").status_code == 403
        assert stranger.get(ESTIMATES, {"policy": BIG, "days": 3}).status_code == 403


TURNS = ("title", "human")


def log_of_efforts(arms: bool) -> None:
    """Titles of a small model at high effort; with ``arms``, half of them were lowered by lot."""
    chance = random.Random(3)
    prices = get_services().prices
    for number in range(400):
        lowered = arms and chance.random() < 0.5
        turn = TURNS[number % 2]
        lowered = lowered and turn == "title"
        tokens = chance.randint(150, 250) if lowered else chance.randint(900, 1100)
        levers = None
        if arms and turn == "title":
            arm = "treated" if lowered else "control"
            levers = {"effort": {"arm": arm, "p": 0.5, "from": "high", "to": "low"}}
        decision = RoutingMetricFactory(
            request__model=SMALL,
            request__cost=prices.cost("claude", SMALL, Usage(100, tokens)),
            request__tokens_in=100,
            request__tokens_out=tokens,
            request__turn=turn,
            request__effort="low" if lowered else "high",
            request__levers=levers,
            request__strategy="hybrid",
            request__auto_route=True,
            request__created_at=datetime.now(UTC) - timedelta(hours=chance.uniform(1, 40)),
        )
        score = float(chance.random() < (0.6 if lowered else 0.8))
        FeedbackFactory(request=decision.request, score=score)
    services = get_services()
    services.refreshes.run_due()


def ask_levers(tmp_path: Path, text: str):
    path = tmp_path / "levers.toml"
    path.write_text(f'model = "{SMALL}"\n{text}')
    return ask(str(path))


@pytest.mark.django_db
class TestLevers:
    def test_a_log_without_answers_at_the_effort_cannot_tell_their_length(
        self, tmp_path: Path
    ) -> None:
        log_of_efforts(False)
        answer = ask_levers(tmp_path, 'levers = ["effort"]')
        assert answer.undecided == {
            "too few answers of its kind at the lower effort, or at its own, are recorded": 200
        }
        assert (answer.requests, answer.less_effort) == (200, 0)

    def test_a_log_in_which_the_lever_was_drawn_tells_cost_and_quality(
        self, tmp_path: Path
    ) -> None:
        log_of_efforts(True)
        answer = ask_levers(tmp_path, 'levers = ["effort"]')
        assert (answer.requests, answer.less_effort) == (400, 200)
        price = get_services().prices.cost("claude", SMALL, Usage(0, 1))
        expected = (1000 + 200) / 2 * float(price)
        assert answer.cost.after.mean == pytest.approx(expected, rel=0.1)
        assert answer.quality.after.low <= (0.6 + 0.8) / 2 <= answer.quality.after.high
        assert answer.quality.after.mean < answer.quality.before.mean

    @pytest.mark.parametrize(
        ("text", "about"),
        [
            ('levers = ["flex"]', "waits"),
            ('levers = ["compression"]', "effort and flex"),
            ('levers = ["flex"]\n[waits]\nturns = ["lunch"]', "turns"),
        ],
    )
    def test_what_a_log_cannot_tell_is_refused(self, tmp_path: Path, text: str, about: str) -> None:
        with pytest.raises(PolicyError, match=about):
            ask_levers(tmp_path, text)

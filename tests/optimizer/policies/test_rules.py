"""Operators' rules in the service: from the admin and a file, in force, tried, and their trail."""

from __future__ import annotations

import io
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from analytics.models import RequestRecord, RoutingRule, RuleChange
from analytics.rules import rule_delete, rule_save, rules_load
from optimizer.policies.rules import ActiveRules, RulesFileError, read_rules_file
from optimizer.wiring.build import get_services
from providers.completion import Usage
from routing.rule_parser import RuleError
from tests.conftest import Start
from tests.factories import RequestRecordFactory
from tests.fakes.server import FakeProvider

PROMPT = {"prompt": "What is the capital of France?"}


def a_rule(**fields: Any) -> RoutingRule:
    given = {"name": "no claude", "action": "forbid", "model_names": ["claude/*"], **fields}
    return RoutingRule(**{"enabled": True, **given})


async def in_force(*rules: RoutingRule) -> None:
    for rule in rules:
        await sync_to_async(rule_save)(rule, who="ann")
    await get_services().in_background(get_services().rules.refresh)


async def ask(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    response = await client.post("/complete", json={**PROMPT, **body})
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_rule_decides_from_its_next_reading_on(client: httpx.AsyncClient) -> None:
    assert (await ask(client))["provider"] == "claude"
    await in_force(a_rule())
    answer = await ask(client, prompt="And of Spain?")
    assert answer["provider"] != "claude"
    assert answer["routing_metadata"]["rules"] == ["no claude"]
    # Nor is an answer given again that the forbidden model gave.
    assert (await ask(client))["provider"] != "claude"
    explained = await client.get("/routing/decision", params={"prompt": "And of Italy?"})
    assert explained.json()["metadata"]["rules"] == ["no claude"]


async def test_a_rule_that_is_off_or_for_others_does_nothing(client: httpx.AsyncClient) -> None:
    await in_force(a_rule(enabled=False), a_rule(name="b", patterns=["code"]))
    answer = await ask(client)
    assert answer["provider"] == "claude"
    assert "rules" not in answer["routing_metadata"]


async def test_tags_force_and_caps_reach_chats(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    await in_force(
        a_rule(name="batch", tags=["batch"], action="force", model_names=["gemini/*"]),
        a_rule(name="cap", action="", model_names=[], cost_cap=Decimal("0.2")),
    )
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}
    tagged = {**body, "optimizer": {"tags": ["batch"]}}
    answer = await client.post("/v1/chat/completions", json=tagged)
    assert answer.headers["x-optimizer-provider"] == "gemini"
    # A cap that must hold needs a bound on what is said.
    config = fakes["gemini"].asked[0].body["generationConfig"]
    assert config["maxOutputTokens"] == 4096
    named = {**tagged, "model": "claude-haiku-4-5"}
    refused = await client.post("/v1/chat/completions", json=named)
    assert refused.status_code == 400
    assert 'the rule "batch" forces another model' in refused.json()["error"]["message"]


@pytest.mark.django_db
def test_every_change_leaves_a_trail_and_a_wrong_rule_is_not_saved() -> None:
    rule = a_rule()
    rule_save(rule, who="ann")
    rule.enabled, rule.users = False, ["bob*"]
    rule_save(rule, who="bob")
    rule_save(rule, who="eve")  # changes nothing
    rule.patterns = ["poetry"]
    with pytest.raises(RuleError):
        rule_save(rule, who="eve")
    rule_delete(RoutingRule.objects.get(), who="ann")
    trail = list(RuleChange.objects.order_by("pk"))
    assert [(c.who, c.before is None, c.after is None) for c in trail] == [
        ("ann", True, False), ("bob", False, False), ("ann", False, True),
    ]  # fmt: skip
    assert (trail[1].before["enabled"], trail[1].after["enabled"]) == (True, False)
    assert trail[1].after["users"] == ["bob*"]
    assert not RoutingRule.objects.exists()


@pytest.mark.django_db
def test_rules_come_in_their_order_and_a_spoilt_one_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, position in (("c", 1), ("b", 2), ("a", 2)):
        a_rule(name=name, position=position).save()
    a_rule(name="spoilt", zone="Nowhere").save()
    a_rule(name="off", position=0, enabled=False).save()
    assert [rule.name for rule in rules_load()] == ["c", "a", "b"]
    assert [rule.name for rule in rules_load(["off"])] == ["off", "c", "a", "b"]
    assert "The rule spoilt is left out: zone" in caplog.text


FILE = """
[[rules]]
name = "night"
since = "22:00"
until = "06:00"
zone = "Europe/Zurich"
action = "prefer"
models = ["gemini/*"]
"""


def test_a_file_s_rules_come_first_and_are_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(FILE)
    stored = read_rules_file(path)[0]
    book = ActiveRules(path, lambda names: [stored])
    book.refresh()
    assert [rule.name for rule in book.rules] == ["night", "night"]
    path.write_text(FILE.replace("night", "late"))
    os.utime(path, (1, 1))
    book.refresh()
    assert [rule.name for rule in book.rules] == ["late", "night"]
    path.write_text("[[rules]]\nname = 3")
    os.utime(path, (2, 2))
    book.refresh()
    assert [rule.name for rule in book.rules] == ["late", "night"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[rules]", "rules.toml: "),
        ("[rule]\nname = 'x'", "may only hold"),
        (FILE.replace("gemini/*", ""), "rule night: models"),
        (FILE.replace("prefer", "adore"), "rule night: action"),
    ],
)
def test_a_file_with_a_mistake_says_where(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(text)
    with pytest.raises(RulesFileError, match=r"rules\.toml") as raised:
        read_rules_file(path)
    assert told in str(raised.value)


async def test_a_trial_says_what_rules_would_have_done(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start, tmp_path: Path
) -> None:
    await start()
    make = sync_to_async(RequestRecordFactory.create_batch)
    await make(6, prompt=PROMPT["prompt"], tokens_in=1000, tokens_out=500)
    await make(2, prompt=PROMPT["prompt"], tags=["batch"], tokens_in=1000, tokens_out=500)
    await make(1, cache_hit=True)
    path = tmp_path / "new.toml"
    path.write_text(
        '[[rules]]\nname = "dear"\ntags = ["batch"]\naction = "force"\n'
        'models = ["claude-opus-5-5"]\n[[rules]]\nname = "none"\ntiers = ["complex"]\n'
        'action = "forbid"\nmodels = ["*"]\n'
    )
    services = get_services()
    trial = await sync_to_async(services.rule_previews.of_last)(100, read_rules_file(path))
    assert (trial.requests, trial.touched, trial.changed) == (8, 2, 2)
    assert (trial.matched["dear"], trial.matched["none"]) == (2, 0)
    (cheap,) = trial.before
    assert trial.before == {cheap: 8}
    assert trial.after == {cheap: 6, "claude/claude-opus-5-5": 2}
    price = services.prices.cost
    provider, _, model = cheap.partition("/")
    one = price(provider, model, Usage(1000, 500))
    dear = price("claude", "claude-opus-5-5", Usage(1000, 500))
    assert (trial.cost_before, trial.cost_after) == (8 * one, 6 * one + 2 * dear)
    out = io.StringIO()
    await sync_to_async(call_command)("rules", "--try", "--file", str(path), stdout=out)
    said = " ".join(out.getvalue().split())
    assert "8 past requests: rules apply to 2, 2 would be answered by another model." in said
    assert "claude/claude-opus-5-5" in said
    assert await RequestRecord.objects.acount() == 9


async def test_a_trial_tells_what_would_be_refused(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start
) -> None:
    await start()
    await sync_to_async(RequestRecordFactory.create_batch)(3)
    await in_force(a_rule(name="all off", model_names=["*"], enabled=False))
    out = io.StringIO()
    run = sync_to_async(call_command)
    await run("rules", "--try", "--with", "all off", stdout=out)
    assert '3 would be refused: forbidden by the rule "all off"' in " ".join(out.getvalue().split())
    await run("rules", stdout=out)
    assert "No rules are in force" in out.getvalue()
    await in_force(a_rule(name="titles", turns=["title"], agents=["codex*"]))
    await run("rules", stdout=out)
    assert "turns title; agents codex*" in " ".join(out.getvalue().replace("│", " ").split())
    with pytest.raises(CommandError, match="There is no rule 'x' that"):
        await run("rules", "--with", "x", stdout=out)


@pytest.mark.django_db(transaction=True)
def test_the_admin_writes_tries_and_shows_who_changed_what(
    admin_client: Client, fakes: dict[str, FakeProvider]
) -> None:
    RequestRecordFactory.create_batch(2)
    form = {
        "name": "no claude", "position": 1, "enabled": "on", "note": "audit", "zone": "UTC",
        "patterns": ["factual"], "users": "ann*\nbob*", "action": "forbid",
        "model_names": "claude/*\n", "weekdays": ["mon", "tue"],
    }  # fmt: skip
    add = reverse("admin:analytics_routingrule_add")
    wrong = admin_client.post(add, {**form, "action": ""})
    assert "is required, because the rule has models." in wrong.content.decode()
    assert admin_client.post(add, form).status_code == 302
    rule = RoutingRule.objects.get()
    assert (rule.users, rule.model_names, rule.weekdays) == (
        ["ann*", "bob*"], ["claude/*"], ["mon", "tue"],
    )  # fmt: skip
    change = reverse("admin:analytics_routingrule_change", args=[rule.pk])
    assert "ann*\nbob*" in admin_client.get(change).content.decode().replace("\r", "")
    admin_client.post(change, {**form, "users": "", "weekdays": []})
    changes = reverse("admin:analytics_routingrule_changelist")
    tried = {"action": "try_selected", "_selected_action": [rule.pk]}
    page = admin_client.post(changes, tried)
    assert page.status_code == 200
    assert page.context["trial"].touched == 2
    assert page.context["trial"].changed == 2
    for gone in ("claude/claude-haiku-5-5", "past requests", "Cost on the same tokens"):
        assert gone in page.content.decode()
    trail = admin_client.get(reverse("admin:analytics_rulechange_changelist")).content.decode()
    assert "users: ann*, bob* → –" in trail
    delete = {"action": "delete_selected", "_selected_action": [rule.pk], "post": "yes"}
    admin_client.post(changes, delete)
    assert not RoutingRule.objects.exists()
    assert [c.who for c in RuleChange.objects.all()] == ["admin"] * 3


async def test_a_rule_holds_for_the_cached_answers_of_a_model_s_snapshots(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    body = {
        "model": "claude-haiku-4-5-20251001", "temperature": 0,
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
    }  # fmt: skip
    answers = [await client.post("/v1/chat/completions", json=body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert len(fakes["claude"].asked) == 1
    await in_force(a_rule(model_names=["claude/claude-haiku-4-5"]))
    refused = await client.post("/v1/chat/completions", json=body)
    assert refused.status_code == 400
    assert 'forbidden by the rule "no claude"' in refused.json()["error"]["message"]

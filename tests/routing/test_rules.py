"""Rules: which requests they match, what they want together, and what is wrong with one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.models import NoEligibleModel, RoutingDecision
from routing.rule_parser import FIELDS, RuleError, read_rule
from routing.rules import Effect, Rule, Subject, effect_of
from tests.routing.catalogue import EASY, HARD, Fixed, engine_over
from tests.routing.catalogue import context as context_of

MONDAY_NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SUBJECT = Subject(
    "Write a SQL query", "code", "simple", 120, MONDAY_NOON, user_id="ann@x.org", tags=("docs",)
)


def rule(**fields: Any) -> Rule:
    return read_rule({"name": "r", "action": "forbid", "models": ["a/*"], **fields})


@pytest.mark.parametrize(
    "match",
    [
        {}, {"patterns": ["code", "factual"]}, {"tiers": ["simple"]}, {"tags": ["x", "docs"]},
        {"users": ["*@x.org"]}, {"users": "ann@*"}, {"texts": ["sql"]}, {"min_tokens": 120},
        {"max_tokens": 120}, {"weekdays": ["mon"]}, {"since": "12:00"}, {"until": "12:01"},
        {"since": "22:00", "until": "12:30"},
        {"since": "20:00", "until": "22:00", "zone": "Asia/Tokyo"},
        {"patterns": ["code"], "tags": ["docs"], "texts": ["query"], "weekdays": ["mon", "sun"]},
    ],
)  # fmt: skip
def test_it_is_for_this_request(match: dict[str, Any]) -> None:
    assert rule(**match).match.holds(SUBJECT)


@pytest.mark.parametrize(
    "match",
    [
        {"patterns": ["factual"]}, {"tiers": ["complex"]}, {"tags": ["x"]}, {"users": ["bob*"]},
        {"texts": ["nosql"]}, {"min_tokens": 121}, {"max_tokens": 119}, {"weekdays": ["tue"]},
        {"since": "12:01"}, {"until": "12:00"}, {"since": "13:00", "until": "11:00"},
        {"since": "11:00", "until": "13:00", "zone": "Asia/Tokyo"},
        {"patterns": ["code"], "tags": ["x"]},
    ],
)  # fmt: skip
def test_it_is_not_for_this_request(match: dict[str, Any]) -> None:
    assert not rule(**match).match.holds(SUBJECT)


@given(st.times(), st.times(), st.integers(0, 24 * 60 - 1))
def test_a_window_and_its_complement_share_the_day(since: time, until: time, minute: int) -> None:
    at = replace(SUBJECT, at=MONDAY_NOON.replace(hour=0) + timedelta(minutes=minute))
    inside = rule(since=since, until=until).match.holds(at)
    outside = rule(since=until, until=since).match.holds(at)
    assert inside is not outside or since == until


def test_of_contrary_wishes_the_first_counts_and_every_ban_holds() -> None:
    rules = [
        rule(name="ban a", models=["a/*"]),
        rule(name="others", texts=["nothing like it"], models=["*"]),
        rule(name="cap", action="", models=[], cost_cap="0.5", quality_target=0.6),
        rule(name="force b", action="force", models=["b/*"]),
        rule(name="force c", action="force", models=["c/*"], cost_cap=1, quality_target=0.9),
        rule(name="ban big", models=["big"]),
    ]
    effect = effect_of(rules, SUBJECT)
    assert effect.applied == ("ban a", "cap", "force b", "force c", "ban big")
    assert (effect.cost_cap, effect.quality_target) == (Decimal("0.5"), 0.6)
    assert effect.exclusion_reason("b", "small") is None
    assert effect.exclusion_reason("a", "small") == 'forbidden by the rule "ban a"'
    assert effect.exclusion_reason("b", "big") == 'forbidden by the rule "ban big"'
    assert effect.exclusion_reason("c", "odd") == 'the rule "force b" forces another model'


def decide(prompt: str = EASY, strategy: str = "complexity", **effect: Any) -> RoutingDecision:
    context = context_of(prompt, effect=Effect(applied=("r",), **effect))
    return engine_over(Fixed()).route(context, strategy=strategy)


def test_what_is_forbidden_or_not_forced_takes_no_part() -> None:
    decision = decide(forbidding=(rule(models=["a/*"]),))
    assert (decision.provider, decision.model) == ("b", "small")
    assert decision.metadata["rules"] == ["r"]
    assert all(ref["provider"] != "a" for ref in decision.metadata["fallback_chain"])
    reasons = {c["provider"]: c["reason"] for c in decision.metadata["candidates"]}
    assert reasons["a"] == 'forbidden by the rule "r"'
    forced = decide(HARD, forced=rule(action="force", models=["a/small"]))
    assert (forced.provider, forced.model) == ("a", "small")
    assert forced.metadata["fallback_chain"] == []


def test_when_rules_leave_nobody_each_model_s_reason_is_told() -> None:
    with pytest.raises(NoEligibleModel, match='the rule "r" forces another model'):
        decide(forced=rule(action="force", models=["nobody/*"]))


@pytest.mark.parametrize("strategy", ["complexity", "hybrid", "cheapest", "best"])
def test_what_is_preferred_is_taken_where_it_can_serve(strategy: str) -> None:
    preferring = rule(action="prefer", models=["nobody", "b/*"])
    decision = decide(strategy=strategy, preferred=preferring)
    if strategy == "best":
        assert (decision.provider, decision.model) == ("b", "big")
        return
    assert (decision.provider, decision.model) == ("b", "small")
    assert decision.metadata["preferred_by"] == "r"
    assert 'The rule "r" prefers b/small.' in decision.reasoning
    chosen = [c for c in decision.metadata["candidates"] if c["chosen"]]
    assert [(c["provider"], c["model"]) for c in chosen] == [("b", "small")]


def test_a_preference_that_nobody_meets_changes_nothing() -> None:
    decision = decide(preferred=rule(action="prefer", models=["nobody"]))
    assert (decision.provider, decision.model) == ("a", "small")
    assert "preferred_by" not in decision.metadata


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"patterns": ["poetry"]}, "patterns"),
        ({"tiers": ["hard"]}, "tiers"),
        ({"weekdays": ["monday"]}, "weekdays"),
        ({"tags": [1]}, "tags"),
        ({"min_tokens": "many"}, "min_tokens"),
        ({"min_tokens": 5, "max_tokens": 4}, "max_tokens"),
        ({"since": "noon"}, "since"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"zone": "../../etc/passwd"}, "zone"),
        ({"action": "beg"}, "action"),
        ({"models": []}, "models"),
        ({"action": ""}, "action"),
        ({"action": "", "models": []}, "action"),
        ({"quality_target": 2}, "quality_target"),
        ({"quality_target": float("nan")}, "quality_target"),
        ({"cost_cap": "NaN"}, "cost_cap"),
        ({"cost_cap": -1}, "cost_cap"),
        ({"cost_cap": True}, "cost_cap"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(RuleError) as raised:
        rule(**fields)
    assert raised.value.field == field


junk = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.lists(st.text(max_size=5) | st.integers(), max_size=3)
)


@given(st.dictionaries(st.sampled_from(FIELDS), junk))
def test_anything_is_read_or_refused(raw: dict[str, Any]) -> None:
    try:
        found = read_rule({"name": "r", **raw})
    except RuleError:
        return
    effect_of([found], SUBJECT).exclusion_reason("a", "m")

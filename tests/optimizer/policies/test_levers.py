"""Levers: off, on, or on with a random share of requests left alone, which the ledger records."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured, ValidationError

from analytics.levers import lever_save, lever_stop
from analytics.models import Lever, LeverChange, RequestRecord
from optimizer.domain.identifiers import NO_SESSION, Session
from optimizer.domain.levers import LEVERS
from optimizer.domain.request import GatewayRequest
from optimizer.gateway.levers.plans import Plan, RequestLevers
from optimizer.policies.levers import (
    JOINT_SHARE,
    ActiveLevers,
    LeverSettingError,
    read_modes,
)
from optimizer.wiring.build import get_services
from optimizer.wiring.levers import active_levers
from optimizer.wiring.product_settings import product_settings
from providers.chat import Chat
from tests.conftest import Start
from tests.fakes.server import FakeProvider


def a_request(session: str = "") -> GatewayRequest:
    chat = Chat.of_prompt("What is the capital of France?", 50)
    return GatewayRequest(
        chat, "", "", session=Session(session) if session else NO_SESSION, request_id=uuid.uuid4()
    )


def levers_at(mode: str, share: float = 0.05, name: str = "compression") -> ActiveLevers:
    row = Lever(name=name, mode=mode, control_share=share)
    levers = ActiveLevers({}, lambda: [row])
    levers.refresh()
    return levers


def test_the_setting_names_modes() -> None:
    assert read_modes("") == {}
    assert read_modes(" compression:prove, effort ,flex: off") == {
        "compression": "prove", "effort": "on", "flex": "off",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "about"), [("speed:on", "'speed' is no lever"), ("effort:maybe", "off, on, prove")]
)
def test_a_wrong_setting_is_named(text: str, about: str, settings: object) -> None:
    with pytest.raises(LeverSettingError, match=about):
        read_modes(text)
    settings.LEVERS = text  # type: ignore[attr-defined]
    with pytest.raises(ImproperlyConfigured, match=f"LEVERS: .*{about}"):
        active_levers(product_settings())


def test_arms_have_their_share_and_the_joint_control_lies_in_all_of_them() -> None:
    rows = [Lever(name=name, mode="prove", control_share=0.2) for name in ("effort", "flex")]
    levers = ActiveLevers({}, lambda: rows)
    levers.refresh()
    pairs = []
    for _ in range(20_000):
        request = a_request()
        pairs.append((levers.draw("effort", request), levers.draw("flex", request)))
    joint = [one for one, _ in pairs if one.joint]
    assert len(joint) / len(pairs) == pytest.approx(JOINT_SHARE, abs=0.004)
    assert all(not one.treated and not other.treated for one, other in pairs if one.joint)
    assert all(one.joint == other.joint for one, other in pairs)
    alone = Counter((one.arm, other.arm) for one, other in pairs if not one.joint)
    shares = {arms: count / alone.total() for arms, count in alone.items()}
    assert shares[("control", "control")] == pytest.approx(0.04, abs=0.01)
    assert shares[("treated", "treated")] == pytest.approx(0.64, abs=0.02)
    assert {one.propensity for one, _ in pairs} == {0.8}


def test_a_session_keeps_its_arm_and_lever_on_leaves_nobody_alone() -> None:
    levers = levers_at("prove", 0.5)
    for name in map(str, range(50)):
        assert len({levers.draw("compression", a_request(name)).arm for _ in range(5)}) == 1
    always = [levers_at("on").draw("compression", a_request()) for _ in range(200)]
    assert {(trial.arm, trial.propensity, trial.joint) for trial in always} == {
        ("treated", 1.0, False)
    }


def test_without_a_lever_nothing_is_asked() -> None:
    levers = ActiveLevers({}, list)
    assert not levers.any
    assert {name: levers.mode(name) for name in LEVERS} == {
        **dict.fromkeys(LEVERS, "off"),
        "cache_marks": "on", "response_cache": "on", "semantic_cache": "on",
    }  # fmt: skip
    assert levers.draw("compression", a_request()) is None
    assert levers_at("prove").any
    assert levers_at("prove", name="response_cache").any
    assert not levers_at("on", name="response_cache").any


def test_the_environment_wins_and_a_switched_off_cache_stays_off() -> None:
    rows = [Lever(name="effort", mode="on"), Lever(name="semantic_cache", mode="prove")]
    levers = ActiveLevers({"effort": "off"}, lambda: rows, switched_off=["semantic_cache"])
    levers.refresh()
    assert (levers.mode("effort"), levers.states["effort"].fixed) == ("off", True)
    assert levers.mode("semantic_cache") == "off"


@pytest.mark.django_db
def test_changes_are_recorded_and_a_stopped_lever_says_why() -> None:
    lever_save(Lever(name="effort", mode="prove", options={"named": True}), who="ann")
    assert lever_stop("effort", "it lowers quality", who="the service")
    assert not lever_stop("effort", "again", who="the service")
    row = Lever.objects.get(pk="effort")
    assert (row.mode, row.stop_reason, row.options) == ("off", "it lowers quality", {"named": True})
    assert row.stopped_at is not None
    row.mode = "on"
    lever_save(row, who="bob")
    row.refresh_from_db()
    assert (row.stopped_at, row.stop_reason) == (None, "")
    changes = LeverChange.objects.order_by("pk").values_list("who", "after__mode")
    assert list(changes) == [("ann", "prove"), ("the service", "off"), ("bob", "on")]
    with pytest.raises(ValidationError, match="control_share"):
        lever_save(Lever(name="flex", mode="prove", control_share=2), who="ann")
    nan, inf = float("nan"), float("inf")
    for name, value in (
        ("control_share", nan), ("harm_budget", nan), ("harm_budget", inf),
        ("options", {"a": [nan]}), ("options", {"a\0": 1}), ("options", {"a": "\ud800"}),
    ):  # fmt: skip
        with pytest.raises(ValidationError, match=name):
            lever_save(Lever(name="flex", mode="prove", **{name: value}), who="ann")


async def ask(client: httpx.AsyncClient, content: str, **body: object) -> httpx.Response:
    response = await client.post(
        "/v1/chat/completions",
        json={"messages": [{"role": "user", "content": content}], "model": "auto", **body},
    )
    assert response.status_code == 200, response.text
    return response


async def recorded() -> list[RequestRecord]:
    return [row async for row in RequestRecord.objects.order_by("created_at")]


class TestResponseCache:
    @pytest.mark.parametrize("streamed", [False, True])
    async def test_a_share_of_hits_is_answered_anew(
        self, transactional_db: None, fakes: dict[str, FakeProvider], start: Start, streamed: bool
    ) -> None:
        await Lever.objects.acreate(name="response_cache", mode="prove", control_share=0.5)
        client = await start()
        for _ in range(24):
            await ask(client, "What is the capital of France?", stream=streamed)
        first, *others = await recorded()
        assert first.levers is None
        arms = Counter(row.levers["response_cache"]["arm"] for row in others)
        assert arms["control"] > 2
        assert arms["treated"] > 2
        for row in others:
            trial = row.levers["response_cache"]
            assert row.cache_hit == (trial["arm"] == "treated")
            assert (row.cost > 0) == (trial["arm"] == "control")
            assert trial["p"] == 0.5
            assert Decimal(trial["x"]) > 0
        assert sum(len(fake.asked) for fake in fakes.values()) == 1 + arms["control"]

    @pytest.mark.parametrize("stopped", [False, True], ids=["off", "stopped"])
    async def test_one_that_is_switched_off_gives_no_answers(
        self, transactional_db: None, fakes: dict[str, FakeProvider], start: Start, stopped: bool
    ) -> None:
        client = await start()
        await ask(client, "What is the capital of France?")
        if stopped:
            await sync_to_async(lever_stop)("response_cache", "wrong answers", who="the service")
        else:
            await Lever.objects.acreate(name="response_cache", mode="off")
        await sync_to_async(get_services().levers.refresh)()
        await ask(client, "What is the capital of France?")
        assert [row.cache_hit for row in await recorded()] == [False, False]

    async def test_a_client_that_accepts_only_cached_answers_gets_its_own(
        self, transactional_db: None, fakes: dict[str, FakeProvider], start: Start
    ) -> None:
        await Lever.objects.acreate(name="response_cache", mode="prove", control_share=0.9)
        client = await start()
        await ask(client, "What is the capital of France?")
        client.headers["Cache-Control"] = "only-if-cached"
        for _ in range(6):
            await ask(client, "What is the capital of France?")
        assert all(row.cache_hit and row.levers is None for row in (await recorded())[1:])


async def test_marks_for_the_prompt_cache_can_be_left_out_by_session(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start
) -> None:
    await Lever.objects.acreate(name="cache_marks", mode="prove", control_share=0.5)
    client = await start()
    for n in range(16):
        await client.post(
            "/v1/chat/completions",
            json={
                "model": "auto",
                "messages": [
                    {"role": "user", "content": "What is the capital of France?"},
                    {"role": "assistant", "content": "Paris."},
                    {"role": "user", "content": f"And of Spain, {n}?"},
                ],
                "optimizer": {"session_id": f"session-{n}"},
            },
        )
    rows = await recorded()
    marked = {
        row.pk: row async for row in RequestRecord.objects.filter(decision__cache_marked=True)
    }
    arms = {row.levers["cache_marks"]["arm"] for row in rows}
    assert arms == {"control", "treated"}
    for row in rows:
        assert (row.pk in marked) == (row.levers["cache_marks"]["arm"] == "treated")


class _Shout:
    name = "short_answers"

    def plan(self, analyzed, decision, options) -> Plan | None:
        if "quiet" in analyzed.request.prompt:
            return None

        def apply(request: GatewayRequest) -> GatewayRequest:
            louder = Chat.of_prompt(request.prompt.upper(), 50)
            return replace(request, chat=louder)

        return Plan(apply, {"words": len(analyzed.request.prompt.split())}, Decimal("0.01"))


async def test_a_request_is_sent_as_its_arm_says_and_recorded_as_the_client_asked(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start
) -> None:
    await Lever.objects.acreate(name="short_answers", mode="prove", control_share=0.5)
    client = await start()
    services = get_services()
    services.routing._calls._levers = RequestLevers(services.levers, [_Shout()])
    for n in range(16):
        await ask(client, f"what is {n} and {n}?")
    await ask(client, "a quiet question")
    *rows, quiet = await recorded()
    assert quiet.levers is None
    sent = [request for fake in fakes.values() for request in fake.asked]
    texts = {str(request.body) for request in sent}
    for n, row in enumerate(rows):
        trial = row.levers["short_answers"]
        assert (trial["words"], trial["x"]) == (5, "0.01")
        assert row.prompt == f"what is {n} and {n}?"
        wanted = f"WHAT IS {n} AND {n}?" if trial["arm"] == "treated" else f"what is {n} and {n}?"
        assert any(wanted in text for text in texts)
    assert {row.levers["short_answers"]["arm"] for row in rows} == {"control", "treated"}

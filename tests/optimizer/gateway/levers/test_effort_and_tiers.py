"""The levers of effort and service tier, over HTTP against local providers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import pytest

from analytics.models import Lever, RequestRecord, RoutingMetric
from tests.conftest import Start
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import gemini_response

CALL = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": "{}"}}
TOOL = {"name": "read", "parameters": {"type": "object", "properties": {}}}
LOOP = {
    "messages": [
        {"role": "user", "content": "Read the file"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "text of the file"},
    ],
    "tools": [{"type": "function", "function": TOOL}],
}
AGENT = {
    "user-agent": "claude-cli/2.1.0 (external, cli)",
    "x-claude-code-session-id": "3b1f0a3e-6a43-4a8a-9f8b-0d2a4b1c7e11",
    "x-claude-code-auxiliary-type": "title",
}


async def lever(name: str, mode: str = "on", **options: Any) -> None:
    await Lever.objects.acreate(name=name, mode=mode, options=options, control_share=0.5)


async def post(client: httpx.AsyncClient, path: str, body: dict[str, Any], **headers: str) -> Any:
    response = await client.post(path, json=body, headers=headers)
    assert response.status_code == 200, response.text
    return response


async def rows() -> list[RequestRecord]:
    return [row async for row in RequestRecord.objects.order_by("created_at")]


class TestEffort:
    async def test_a_mechanical_turn_of_a_named_model_is_asked_for_less_on_its_own_wire(
        self, transactional_db: None, fakes: dict[str, FakeProvider], start: Start
    ) -> None:
        await lever("effort")
        client = await start()
        await post(client, "/v1/chat/completions", {"model": "openai/gpt-oss-20b", **LOOP})
        gemini = {
            "contents": [
                {"role": "user", "parts": [{"text": "Read the file"}]},
                {"role": "model", "parts": [{"functionCall": {"name": "read", "args": {}}}]},
                {"role": "user", "parts": [
                    {"functionResponse": {"name": "read", "response": {"text": "x"}}}
                ]},
            ],
            "tools": [{"functionDeclarations": [TOOL]}],
        }  # fmt: skip
        await post(client, "/v1beta/models/gemini-3.8-flash:generateContent", gemini)
        assert fakes["openrouter"].asked[-1].body["reasoning_effort"] == "low"
        config = fakes["gemini"].asked[-1].body["generationConfig"]
        assert config["thinkingConfig"] == {"thinkingLevel": "low"}
        for row in await rows():
            assert row.effort == "low"
            assert (row.levers["effort"]["arm"], row.levers["effort"]["to"]) == ("treated", "low")
            assert Decimal(row.levers["effort"]["x"]) > 0

    async def test_a_client_that_names_model_and_effort_gets_both_unless_operators_say_otherwise(
        self, transactional_db: None, fakes: dict[str, FakeProvider], start: Start
    ) -> None:
        await lever("effort")
        client = await start()
        asked = {"model": "openai/gpt-oss-20b", "reasoning_effort": "high", **LOOP}
        await post(client, "/v1/chat/completions", asked)
        assert fakes["openrouter"].asked[-1].body["reasoning_effort"] == "high"
        assert (await rows())[-1].levers is None

    @pytest.mark.parametrize(
        ("turn", "asked", "sent"),
        [
            ("title", {"type": "enabled", "budget_tokens": 8000}, 2048),
            ("title", {"type": "enabled", "budget_tokens": 1024}, 1024),
            # A loop of tools is one turn of the assistant, with one configuration of thinking.
            ("loop", {"type": "enabled", "budget_tokens": 8000}, 8000),
        ],
    )
    async def test_claude_thinks_less_between_its_turns_and_as_before_within_them(
        self,
        transactional_db: None,
        fakes: dict[str, FakeProvider],
        start: Start,
        turn: str,
        asked: dict[str, Any],
        sent: int,
    ) -> None:
        await lever("effort", named=True)
        client = await start()
        messages: list[dict[str, Any]] = [{"role": "user", "content": "Name this"}]
        if turn == "loop":
            thought = {"type": "thinking", "thinking": "hm", "signature": "sig"}
            call = {"type": "tool_use", "id": "t1", "name": "read", "input": {}}
            result = {"type": "tool_result", "tool_use_id": "t1", "content": "text"}
            messages += [
                {"role": "assistant", "content": [thought, call]},
                {"role": "user", "content": [result]},
            ]
        body = {
            "model": "claude-haiku-4-5", "max_tokens": 16_000, "messages": messages,
            "thinking": asked, "tools": [{"name": "read", "input_schema": {"type": "object"}}],
        }  # fmt: skip
        await post(client, "/v1/messages", body, **(AGENT if turn == "title" else {}))
        thinking = fakes["claude"].asked[-1].body["thinking"]
        assert thinking == {"type": "enabled", "budget_tokens": sent}
        assert fakes["claude"].asked[-1].body["messages"] == messages

    async def test_arms_are_drawn_and_controls_are_sent_as_asked(
        self, transactional_db: None, fakes: dict[str, FakeProvider], start: Start
    ) -> None:
        await lever("effort", "prove", named=True)
        client = await start()
        for number in range(12):
            body = {
                "model": "openai/gpt-oss-20b", **LOOP, "reasoning_effort": "high",
                "optimizer": {"session_id": f"s{number}"},
            }  # fmt: skip
            await post(client, "/v1/chat/completions", body)
        recorded = await rows()
        arms = [row.levers["effort"]["arm"] for row in recorded]
        assert set(arms) == {"treated", "control"}
        sent = [asked.body["reasoning_effort"] for asked in fakes["openrouter"].asked]
        assert sent == ["low" if arm == "treated" else "high" for arm in arms]
        assert all(row.levers["effort"]["from"] == "high" for row in recorded)
        # What the request was expected to cost without the lever does not depend on the arm.
        assert len({row.levers["effort"]["x"] for row in recorded}) == 1


def tiered(asked: Any) -> Reply:
    """Gemini with a flex tier: it says in a header which tier has answered."""
    tier = asked.body.get("serviceTier", "standard")
    model = asked.path.rpartition("/")[2].partition(":")[0]
    return Reply(gemini_response(model), headers={"x-gemini-service-tier": tier})


WAITING = {
    "model": "gemini-3.8-flash", "messages": [{"role": "user", "content": "Summarize it"}],
    "optimizer": {"deadline": 300},
}  # fmt: skip


class TestFlex:
    async def test_a_request_that_can_wait_is_served_and_priced_in_the_cheaper_tier(
        self, transactional_db: None, fakes: dict[str, FakeProvider], start: Start
    ) -> None:
        await lever("flex")
        fakes["gemini"].wire = tiered
        client = await start()
        await post(client, "/v1/chat/completions", {**WAITING, "optimizer": {}, "temperature": 0.5})
        await post(client, "/v1/chat/completions", WAITING)
        usual, cheap = await rows()
        assert [a.body.get("serviceTier") for a in fakes["gemini"].asked] == [None, "flex"]
        assert usual.levers is None
        assert cheap.cost == usual.cost / 2
        assert cheap.levers["flex"]["tier"] == "flex"
        assert Decimal(cheap.levers["flex"]["x"]) > 0
        # The client asked for no cheaper tier, so it is no part of what to compare with.
        metric = await RoutingMetric.objects.aget(pk=cheap.pk)
        assert (metric.baseline_cost, cheap.savings) == (usual.cost, usual.cost - cheap.cost)

    async def test_a_full_tier_falls_back_to_the_standard_one_and_both_calls_are_recorded(
        self, transactional_db: None, fakes: dict[str, FakeProvider], start: Start
    ) -> None:
        await lever("flex")
        fakes["gemini"].wire = tiered
        client = await start()
        error = {"error": {"code": 503, "status": "UNAVAILABLE", "message": "full"}}
        fakes["gemini"].next(Reply(error, 503))
        await post(client, "/v1/chat/completions", WAITING)
        (row,) = await rows()
        assert [a.body.get("serviceTier") for a in fakes["gemini"].asked] == ["flex", None]
        (tried,) = row.attempts
        assert (tried["service_tier"], tried["error"]) == ("flex", "overloaded")
        metric = await RoutingMetric.objects.aget(pk=row.pk)
        assert metric.baseline_model == row.model, "the model answered: its tier was full"
        assert row.levers["flex"]["arm"] == "treated"
        # The tier is spared for a while, so the next request does not take part.
        await post(client, "/v1/chat/completions", {**WAITING, "temperature": 0.5})
        assert (await rows())[-1].levers is None

    @pytest.mark.parametrize(
        "change",
        [
            {"optimizer": {"deadline": 30}},
            {"optimizer": {"deadline": 300, "max_latency": 20}},
            {"service_tier": "default"},
            {"model": "claude-haiku-5-5"},
        ],
        ids=["no time", "fast answers", "a tier of its own", "no tiers"],
    )
    async def test_requests_that_cannot_wait_are_left_alone(
        self,
        transactional_db: None,
        fakes: dict[str, FakeProvider],
        start: Start,
        change: dict[str, Any],
    ) -> None:
        await lever("flex")
        client = await start()
        await post(client, "/v1/chat/completions", {**WAITING, **change})
        assert (await rows())[-1].levers is None
        assert all("serviceTier" not in asked.body for asked in fakes["gemini"].asked)

    async def test_a_stream_can_wait_too(
        self, transactional_db: None, fakes: dict[str, FakeProvider], start: Start
    ) -> None:
        await lever("flex")
        client = await start()
        await post(client, "/v1/chat/completions", {**WAITING, "stream": True})
        assert fakes["gemini"].asked[-1].body["serviceTier"] == "flex"

"""The playground: what would be chosen, answers side by side, and ratings that are learned from."""

from __future__ import annotations

import json
import re
import uuid
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient
from django.urls import reverse

from analytics.access.roles import ANALYST, VIEWER
from analytics.models import CachedResponse, Feedback, LearnedEvidence, RequestRecord
from optimizer.api.http.sse import EventStream
from tests.conftest import Start, logged_in
from tests.factories import RequestRecordFactory
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import ANSWER

PAGE, CHOICES, RUN, RATE = (
    reverse(f"admin:playground{view}") for view in ("", "_choices", "_run", "_rate")
)
TURNS = [{"role": "user", "text": "Compare two rate limiters."}]


@pytest.fixture
async def analyst(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start
) -> AsyncClient:
    """An analyst, and the service over its three fake providers."""
    await start()
    return await logged_in(ANALYST)


async def run(client: AsyncClient, **changes: Any) -> list[dict[str, Any]]:
    """The pieces of an answer."""
    response = await post(client, RUN, {"turns": TURNS, "model": "auto", **changes})
    assert isinstance(response, EventStream)
    said = b"".join([piece async for piece in response]).decode()
    response.close()
    return [json.loads(message.removeprefix("data: ")) for message in said.split("\n\n")[:-1]]


async def post(client: AsyncClient, url: str, body: Any) -> Any:
    return await client.post(url, json.dumps(body), content_type="application/json")


async def test_the_whole_catalogue_is_weighed_without_a_key(
    analyst: AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    body = {"turns": TURNS, "among": "catalogue"}
    page = (await post(analyst, CHOICES, body)).content.decode()
    assert "among all models of the catalogue" in page
    for model in ("groq/openai/gpt-oss-20b", "deepseek/deepseek-v4-pro", "claude/claude-opus-5-5"):
        assert model in page
    assert "local/" not in page
    configured = (await post(analyst, CHOICES, {"turns": TURNS})).content.decode()
    assert "groq/openai/gpt-oss-20b" not in configured
    assert not any(fake.asked for fake in fakes.values())
    refused = await post(analyst, CHOICES, {"turns": TURNS, "among": "all"})
    assert refused.status_code == 400
    assert "among" in refused.json()["errors"]


async def test_every_strategy_says_what_it_would_choose_and_nobody_is_called(
    analyst: AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    response = await post(analyst, CHOICES, {"turns": TURNS})
    page = response.content.decode()
    for strategy in ("complexity", "learning", "hybrid", "cheapest", "best"):
        assert f'<th scope="row">{strategy}</th>' in page
        assert f"Candidates of {strategy}" in page
    (drawn,) = re.findall(r'<script type="application/json">(.*?)</script>', page)
    points = json.loads(drawn)["points"]
    assert {point["role"] for point in points} == {"chosen", "other"}
    assert not any(fake.asked for fake in fakes.values())
    assert await RequestRecord.objects.acount() == 0


async def test_what_cannot_be_served_says_why(analyst: AsyncClient) -> None:
    long = {"role": "user", "text": "word " * 79_000}
    turns = [long] * 20 + TURNS
    page = (await post(analyst, CHOICES, {"turns": turns})).content.decode()
    assert "No model can serve this request" in page


async def test_a_named_model_streams_its_answer_with_time_and_price(
    analyst: AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    pieces = await run(analyst, model="claude/claude-haiku-5-5")
    assert pieces[0] | {"reasoning": ""} == {
        "type": "begun", "model": "claude/claude-haiku-5-5", "reasoning": "", "strategy": "named",
    }  # fmt: skip
    assert "".join(piece["text"] for piece in pieces if piece["type"] == "text") == ANSWER
    end = pieces[-1]
    assert end["type"] == "end"
    assert 0 < end["first_token_ms"] <= end["took_ms"]
    record = await RequestRecord.objects.aget(pk=end["request_id"])
    assert Decimal(end["cost"]) == record.cost
    assert (record.endpoint, record.tags, record.user_id) == (
        "playground", ["playground"], "the analyst",
    )  # fmt: skip
    assert len(fakes["claude"].asked) == 1


async def test_to_ask_for_a_model_by_name_saves_nothing_and_loses_nothing(
    analyst: AsyncClient,
) -> None:
    await run(analyst, model="claude/claude-opus-5-5")
    record = await RequestRecord.objects.select_related("decision").aget()
    assert record.savings == 0
    assert record.decision.baseline_model == "claude-opus-5-5"


async def test_a_conversation_reaches_the_provider_whole(
    analyst: AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    turns = [
        {"role": "system", "text": "Be brief."}, {"role": "user", "text": "Hello"},
        {"role": "assistant", "text": "Yes?"}, *TURNS,
    ]  # fmt: skip
    await run(analyst, model="claude/claude-haiku-5-5", turns=turns, max_tokens=77)
    body = fakes["claude"].asked[0].body
    assert (body["max_tokens"], len(body["messages"])) == (77, 3)
    assert "Be brief." in str(body["system"])


async def test_two_runs_are_two_calls_and_neither_is_cached(
    analyst: AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    for _ in range(2):
        await run(analyst, model="claude/claude-haiku-5-5")
    assert len(fakes["claude"].asked) == 2
    assert await CachedResponse.objects.acount() == 0


async def test_a_failure_is_said_before_or_within_the_stream(
    analyst: AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    response = await post(analyst, RUN, {"turns": TURNS, "model": "no-such-model"})
    assert response.status_code == 404
    assert "does not exist" in response.json()["detail"]
    fakes["claude"].always(Reply({"error": {"message": "no"}}, status=400))
    response = await post(analyst, RUN, {"turns": TURNS, "model": "claude/claude-haiku-5-5"})
    assert response.status_code == 400
    assert (await RequestRecord.objects.aget()).status == "error"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"turns": []}, "turns"),
        ({"turns": [{"role": "assistant", "text": "Yes?"}]}, "turns"),
        ({"turns": [{"role": "user", "text": "  "}]}, "turns"),
        ({"turns": TURNS, "max_tokens": 0}, "max_tokens"),
        ({"turns": TURNS, "temperature": 1}, "temperature"),
    ],
)
async def test_bad_input_names_the_field(
    analyst: AsyncClient, body: dict[str, Any], field: str
) -> None:
    for url in (CHOICES, RUN):
        response = await post(analyst, url, body)
        assert response.status_code == 400
        assert field in response.json()["errors"]
    assert (await analyst.post(RUN, "{", content_type="application/json")).status_code == 400


async def test_a_rating_is_learned_from(analyst: AsyncClient) -> None:
    end = (await run(analyst, model="claude/claude-haiku-5-5"))[-1]
    response = await post(analyst, RATE, {"request_id": end["request_id"], "rating": -1})
    assert response.json() == {"quality_score": 0.0}
    verdict = await Feedback.objects.aget()
    assert (verdict.source, str(verdict.request_id)) == ("operator", end["request_id"])
    assert await LearnedEvidence.objects.aexists()


async def test_what_was_not_answered_cannot_be_rated(analyst: AsyncClient) -> None:
    failed = await sync_to_async(RequestRecordFactory)(status="error")
    for request_id in (failed.pk, uuid.uuid4()):
        response = await post(analyst, RATE, {"request_id": str(request_id), "rating": 1})
        assert response.status_code == 404
    assert (await post(analyst, RATE, {"request_id": "x", "rating": 9})).status_code == 400


async def test_a_viewer_sees_choices_and_asks_nobody(analyst: AsyncClient) -> None:
    viewer = await logged_in(VIEWER)
    assert "needs the role analyst or operator" in (await viewer.get(PAGE)).content.decode()
    assert (await post(viewer, CHOICES, {"turns": TURNS})).status_code == 200
    for url in (RUN, RATE):
        assert (await post(viewer, url, {"turns": TURNS})).status_code == 403


async def test_strangers_see_nothing(analyst: AsyncClient) -> None:
    stranger = AsyncClient()
    assert (await post(stranger, RUN, {"turns": TURNS})).status_code == 401
    await stranger.aforce_login(await User.objects.acreate_user("bob", is_staff=True))
    assert (await stranger.get(PAGE)).status_code == 403
    assert (await post(stranger, CHOICES, {"turns": TURNS})).status_code == 403


async def test_another_site_cannot_ask_in_an_operator_s_name(analyst: AsyncClient) -> None:
    person = await User.objects.aget(username="the analyst")
    strict = AsyncClient(enforce_csrf_checks=True)
    await strict.aforce_login(person)
    assert (await post(strict, RUN, {"turns": TURNS})).status_code == 403
    assert await RequestRecord.objects.acount() == 0

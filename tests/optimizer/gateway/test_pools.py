"""Pools in the whole service: who answered, what it cost, where data may go, what operators see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.urls import reverse

from analytics.access.keys import key_make
from analytics.models import ApiKey, RequestRecord, RoutingRule
from optimizer.wiring.build import get_services
from tests.conftest import Start, logged_in
from tests.fakes.server import Asked, FakeProvider, Reply
from tests.fakes.specialised import specialised_wire
from tests.fakes.wires import (
    ANSWER,
    KEY,
    as_asked,
    embeddings_wire,
    openai_completion,
    openai_error,
)

pytestmark = pytest.mark.django_db(transaction=True)

CHATS, COMPLETE = "/v1/chat/completions", "/complete"
ASK = [{"role": "user", "content": "What is the capital of France?"}]
MODEL = "gpt-6-luna"
POOL = """
[pools.openai]
[[pools.openai.members]]
name = "us-key"
key_env = "US_KEY"
base_url = "{us}"
regions = ["us"]
weight = 3
[[pools.openai.members]]
name = "eu-1"
key_env = "EU_KEY"
base_url = "{eu}"
regions = ["eu", "eu-west"]
[[pools.openai.members]]
name = "eu-ahead"
key_env = "AHEAD_KEY"
base_url = "{ahead}"
regions = ["eu"]
committed = true
models = ["gpt-6.1-terra", "text-embedding-3-small"]
[[pools.openai.members]]
name = "not-configured"
key_env = "NO_SUCH_KEY"
"""


def wire(asked: Asked) -> Reply:
    if asked.path.endswith("/embeddings"):
        return embeddings_wire(replace(asked, headers={"authorization": f"Bearer {KEY}"}))
    if asked.path.endswith("/moderations"):
        return specialised_wire(replace(asked, headers={"authorization": f"Bearer {KEY}"}))
    return as_asked(asked, openai_completion(asked.body["model"]))


class Pooled:
    """The service with the pool, its servers by region, and a client."""

    def __init__(self, servers: dict[str, FakeProvider], client: httpx.AsyncClient) -> None:
        self.servers = servers
        self.client = client

    async def ask(self, path: str = CHATS, headers: Any = None, **body: Any) -> httpx.Response:
        if path == CHATS:
            body = {"model": MODEL, "messages": ASK, **body}
        sent = {"cache-control": "no-store", **(headers or {})}
        return await self.client.post(path, json=body, headers=sent)

    def asked(self) -> dict[str, int]:
        return {name: len(server.asked) for name, server in self.servers.items()}


@pytest.fixture
async def pooled(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Any
) -> AsyncIterator[Pooled]:
    async with AsyncExitStack() as stack:
        servers = {
            name: await stack.enter_async_context(FakeProvider(wire))
            for name in ("us", "eu", "ahead")
        }
        text = POOL.format(**{name: server.url for name, server in servers.items()})
        catalogue = tmp_path / "catalogue.toml"
        catalogue.write_text(text)
        settings.CATALOGUE_FILE = str(catalogue)
        for name in ("US", "EU", "AHEAD"):
            monkeypatch.setenv(f"{name}_KEY", f"the-key-of-{name}")
        yield Pooled(servers, await start())


async def last_record() -> RequestRecord:
    record = await RequestRecord.objects.order_by("-created_at").afirst()
    assert record is not None
    return record


async def test_the_member_is_recorded_and_its_failure_costs_no_request(pooled: Pooled) -> None:
    pooled.servers["us"].always(openai_error(401, "invalid_api_key"))
    for stream in (False, True):
        answer = await pooled.ask(stream=stream)
        assert answer.status_code == 200
        assert ANSWER in answer.text or stream
        record = await last_record()
        assert (record.provider, record.member) == ("openai", "eu-1")
    first = await RequestRecord.objects.order_by("created_at").afirst()
    assert first is not None
    assert [(one["member"], one["error"]) for one in first.attempts] == [
        ("us-key", "authentication_failed")
    ]
    auth = pooled.servers["eu"].asked[0].headers["authorization"]
    assert auth == "Bearer the-key-of-EU"
    operator = await logged_in("operator")
    page = await operator.get(reverse("admin:analytics_requestrecord_change", args=[first.pk]))
    shown = page.content.decode()
    assert "at the pool&#x27;s member eu-1" in shown or "member eu-1" in shown
    assert f"openai/{MODEL} (us-key)" in shown
    providers = (await operator.get(reverse("admin:providers"))).content.decode()
    assert 'id="pool-openai"' in providers
    assert "spared for 300 s" in providers or "spared for 299 s" in providers
    assert "the-key-of" not in shown + providers


async def test_embeddings_have_their_member_and_its_price(pooled: Pooled) -> None:
    body = {"model": "text-embedding-3-small", "input": "Hello"}
    assert (await pooled.ask("/v1/embeddings", **body)).status_code == 200
    record = await last_record()
    assert (record.member, record.cost) == ("eu-ahead", Decimal(0))
    body["model"] = "text-embedding-3-large"
    residency = {"x-optimizer-residency": "eu"}
    assert (await pooled.ask("/v1/embeddings", residency, **body)).status_code == 200
    record = await last_record()
    assert record.member == "eu-1"
    assert record.cost


async def test_committed_capacity_answers_first_and_costs_nothing_more(pooled: Pooled) -> None:
    for asked in (
        await pooled.ask(model="gpt-6.1-terra"),
        await pooled.ask("/v1/embeddings", model="text-embedding-3-small", input="Hello"),
    ):
        assert asked.status_code == 200
    assert await RequestRecord.objects.acount() == 2
    async for record in RequestRecord.objects.all():
        assert (record.member, record.cost) == ("eu-ahead", Decimal(0)), record.endpoint
        assert record.list_cost
        assert record.list_cost > 0


async def test_data_stays_in_its_region_by_field_header_key_and_rule(pooled: Pooled) -> None:
    asked = [
        await pooled.ask(optimizer={"residency": "eu"}),
        await pooled.ask(optimizer={"residency": ["eu", "eu-west"]}),
        await pooled.ask(headers={"x-optimizer-residency": "EU"}),
        await pooled.ask(COMPLETE, prompt="Hello", residency=["eu"]),
        await pooled.ask(COMPLETE, {"x-optimizer-residency": "eu"}, prompt="Hello"),
        await pooled.ask(
            "/v1/messages", {"x-optimizer-residency": "eu"},
            model=f"openai/{MODEL}", messages=ASK, max_tokens=9,
        ),
    ]  # fmt: skip
    assert [answer.status_code for answer in asked] == [200] * 6
    assert pooled.asked()["us"] == 0
    rule = RoutingRule(name="tagged", tags=["eu"], residency=["eu"], enabled=True)
    await sync_to_async(rule.save)()
    await sync_to_async(get_services().rules.refresh)()
    for _ in range(3):
        assert (await pooled.ask(optimizer={"tags": ["eu"]})).status_code == 200
    assert pooled.asked()["us"] == 0
    made = await sync_to_async(key_make)(ApiKey(name="ann", residency=["eu"]))
    await sync_to_async(get_services().api_keys.refresh)()
    key = {"authorization": f"Bearer {made.secret}"}
    for _ in range(3):
        assert (await pooled.ask(headers=key)).status_code == 200
    assert pooled.asked()["us"] == 0
    embedded = await pooled.ask(
        "/v1/embeddings", key, model="text-embedding-3-small", input="Hello"
    )
    assert embedded.status_code == 200
    assert pooled.asked()["us"] == 0


async def test_specialised_models_stay_in_the_region_too(pooled: Pooled) -> None:
    body: dict[str, Any] = {"model": "omni-moderation-latest", "input": "Hello"}
    path, header = "/v1/moderations", "x-optimizer-residency"
    for headers, options in (
        ({header: "eu"}, {}),
        ({}, {"optimizer": {"residency": "eu"}}),
    ):
        for _ in range(3):
            answer = await pooled.ask(path, headers, **body, **options)
            assert answer.status_code == 200, answer.text
    answer = await pooled.ask(path, {header: "eu,us"}, **body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "outside_residency")
    made = await sync_to_async(key_make)(ApiKey(name="ann", residency=["eu"]))
    await sync_to_async(get_services().api_keys.refresh)()
    for _ in range(3):
        answer = await pooled.ask(path, {"authorization": f"Bearer {made.secret}"}, **body)
        assert answer.status_code == 200, answer.text
    assert pooled.asked() == {"us": 0, "eu": 9, "ahead": 0}
    assert (await last_record()).member == "eu-1"


async def test_a_rule_s_region_binds_what_is_no_chat_too(pooled: Pooled) -> None:
    rule = RoutingRule(name="tagged", tags=["eu"], residency=["eu"], enabled=True)
    await sync_to_async(rule.save)()
    words = RoutingRule(name="words", texts=["ACME"], residency=["eu", "us"], enabled=True)
    await sync_to_async(words.save)()
    await sync_to_async(get_services().rules.refresh)()
    tagged = {"optimizer": {"tags": ["eu"]}}
    embedding = {"model": "text-embedding-3-small"}
    moderation = {"model": "omni-moderation-latest"}
    for _ in range(3):
        for path, body in (
            ("/v1/embeddings", {**embedding, "input": "Hello"}),
            ("/v1/moderations", {**moderation, "input": "Hello"}),
        ):
            answer = await pooled.ask(path, **body, **tagged)
            assert answer.status_code == 200, answer.text
    assert pooled.asked()["us"] == 0
    for path, body in (
        ("/v1/embeddings", {**embedding, "input": ["Hello", "of Acme"]}),
        ("/v1/moderations", {**moderation, "input": ["Hello", "of Acme"]}),
    ):
        answer = await pooled.ask(path, **body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "outside_residency")
    # What is passed on unread may hold the words.
    answer = await pooled.client.post(
        "/v1/files", files={"file": ("a.txt", b"words")}, data={"purpose": "user_data"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "outside_residency")
    assert pooled.asked()["us"] == 0


async def test_a_refusal_says_where_the_data_must_stay(pooled: Pooled) -> None:
    headers = {"x-optimizer-residency": "eu,us"}
    answer = await pooled.ask(headers=headers)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "outside_residency"
    assert "data residency in eu and us" in error["message"]
    answer = await pooled.ask(COMPLETE, headers, prompt="Hello")
    assert answer.status_code == 400
    assert "residency" in answer.json()["errors"]
    answer = await pooled.ask("/v1/embeddings", headers, model="text-embedding-3-small", input="a")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "outside_residency")
    answer = await pooled.client.post(
        "/v1/files", headers={"x-optimizer-residency": "eu"},
        files={"file": ("a.txt", b"words")}, data={"purpose": "user_data"},
    )  # fmt: skip
    assert answer.status_code == 400
    answer = await pooled.ask(headers={"x-optimizer-residency": "E U"})
    assert answer.status_code == 400
    assert sum(pooled.asked().values()) == 0


async def test_a_fallback_never_leaves_the_region(pooled: Pooled) -> None:
    pooled.servers["eu"].always(openai_error(500))
    answer = await pooled.ask(optimizer={"residency": "eu"}, model="auto")
    assert answer.status_code in {200, 503}
    answer = await pooled.ask(optimizer={"residency": "eu-west"}, model="auto")
    assert answer.status_code == 503
    assert pooled.asked()["us"] == 0

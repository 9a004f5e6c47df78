"""Any model that the price table knows can be named; an unknown one as the operator allows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from analytics.access.keys import key_make
from analytics.budgets.opening import budget_open
from analytics.models import ApiKey, Budget, RequestRecord
from optimizer.domain.model_names import UnknownModel
from optimizer.wiring.build import get_services
from routing.models import ModelRef
from tests.conftest import Start
from tests.fakes.server import FakeProvider
from tests.fakes.wires import KEY, embeddings_wire

QUESTION = {"max_tokens": 50, "messages": [{"role": "user", "content": "What is Paris?"}]}
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


def sent_model(fakes: dict[str, FakeProvider], provider: str) -> str:
    asked = fakes[provider].asked[-1]
    if provider == "gemini":
        return asked.path.rpartition("/")[2].partition(":")[0]
    return str(asked.body["model"])


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("written", "provider", "sent"),
    [
        ("claude-haiku-4-5-20251001", "claude", "claude-haiku-4-5-20251001"),
        ("anthropic/claude-haiku-4-5", "claude", "claude-haiku-4-5"),
        ("Vertex_AI/claude-haiku-4-5@20251001", "claude", "claude-haiku-4-5-20251001"),
        ("claude-sonnet-4-5", "claude", "claude-sonnet-4-5"),
        # https://ai.pydantic.dev/models/overview (provider:model)
        ("anthropic:claude-haiku-4-5", "claude", "claude-haiku-4-5"),
        ("google:gemini-3.8-flash", "gemini", "gemini-3.8-flash"),
        ("google/gemini-3.8-flash", "gemini", "gemini-3.8-flash"),
        ("models/gemini-2.5-pro", "gemini", "gemini-2.5-pro"),
        ("openrouter/openai/gpt-4o", "openrouter", "openai/gpt-4o"),
        ("openai/gpt-4o", "openrouter", "openai/gpt-4o"),
    ],
)
async def test_a_name_is_served_and_has_its_price(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider], path: str, streamed: bool,
    written: str, provider: str, sent: str,
) -> None:  # fmt: skip
    answer = await client.post(path, json={**QUESTION, "model": written, "stream": streamed})
    assert answer.status_code == 200, answer.text
    assert sent_model(fakes, provider) == sent
    record = await RequestRecord.objects.aget()
    assert (record.provider, record.model, record.requested_model) == (provider, sent, written)
    assert record.cost is not None
    assert record.cost > 0


async def test_routing_never_chooses_a_model_that_is_not_in_the_catalogue(
    client: httpx.AsyncClient,
) -> None:
    await client.post(CHAT, json={**QUESTION, "model": "claude-sonnet-4-5"})
    options = get_services().options.options()
    assert all(option.model != "claude-sonnet-4-5" for option in options)


async def test_an_unknown_name_is_refused_with_the_nearest_ones(client: httpx.AsyncClient) -> None:
    for path in (CHAT, MESSAGES):
        answer = await client.post(path, json={**QUESTION, "model": "claude-hiku-4-5"})
        assert answer.status_code == 404
        message = answer.json()["error"]["message"]
        assert "Did you mean 'claude-haiku-4-5'" in message
        assert "GET /v1/models" in message


async def test_a_name_of_a_provider_without_a_key_says_what_is_missing(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post(CHAT, json={**QUESTION, "model": "gpt-6-luna-2026-09-22"})
    assert answer.status_code == 404
    assert "openai needs OPENAI_API_KEY" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "written", "provider", "sent"),
    [
        (MESSAGES, "claude-next", "claude", "claude-next"),
        (MESSAGES, "openrouter/new/model", "openrouter", "new/model"),
        (CHAT, "anthropic/claude-next", "claude", "claude-next"),
        (CHAT, "gemini/gemini-next", "gemini", "gemini-next"),
    ],
)
async def test_with_pass_a_name_that_nobody_knows_goes_to_its_provider_at_an_unknown_price(
    transactional_db: None, fakes: dict[str, FakeProvider], settings: Any, start: Start,
    path: str, written: str, provider: str, sent: str,
) -> None:  # fmt: skip
    settings.UNKNOWN_MODELS = "pass"
    client = await start()
    answer = await client.post(path, json={**QUESTION, "model": written})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-optimizer-cost"] == "unknown"
    assert sent_model(fakes, provider) == sent
    record = await RequestRecord.objects.aget()
    assert (record.provider, record.model, record.cost) == (provider, sent, None)


@pytest.mark.parametrize(
    "name", ["gemini/../../x", "claude/a b", "claude/x?key=y", "new-model", "unheard/of"]
)
async def test_with_pass_a_name_without_a_provider_or_with_odd_characters_is_refused(
    transactional_db: None, fakes: dict[str, FakeProvider], settings: Any, start: Start, name: str
) -> None:
    settings.UNKNOWN_MODELS = "pass"  # an OpenAI client without OpenAI as a provider
    client = await start()
    answer = await client.post(CHAT, json={**QUESTION, "model": name})
    assert answer.status_code == 404
    assert not any(fake.asked for fake in fakes.values())


@pytest.mark.parametrize(
    ("agent", "mode", "status"),
    [
        ("codex_exec/0.171.0", "auto", 200),
        ("codex_exec/0.171.0", "refuse", 404),
        ("me/1", "auto", 404),
    ],
)
async def test_an_agent_without_its_vendor_gets_another_model(
    transactional_db: None, fakes: dict[str, FakeProvider], settings: Any, start: Start,
    agent: str, mode: str, status: int,
) -> None:  # fmt: skip
    settings.AGENT_MODELS = mode
    client = await start()  # without OpenAI as a provider
    body = {**QUESTION, "model": "gpt-6.1-terra"}
    answer = await client.post(CHAT, json=body, headers={"user-agent": agent})
    assert answer.status_code == status, answer.text
    if status == 200:
        record = await RequestRecord.objects.aget()
        assert record.requested_model == "gpt-6.1-terra"
        assert (record.provider, record.model) == (
            answer.headers["x-optimizer-provider"],
            answer.headers["x-optimizer-model"],
        )


async def test_what_a_key_may_use_holds_for_snapshots(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start
) -> None:
    made = await sync_to_async(key_make)(ApiKey(name="one", model_names=["claude-haiku-4-5"]))
    client = await start()
    headers = {"authorization": f"Bearer {made.secret}"}
    for name, status in (("claude-haiku-4-5-20251001", 200), ("claude-sonnet-4-5", 400)):
        answer = await client.post(CHAT, json={**QUESTION, "model": name}, headers=headers)
        assert answer.status_code == status, answer.text


async def test_a_budget_holds_money_for_a_named_model_and_refuses_without_a_price(
    transactional_db: None, fakes: dict[str, FakeProvider], settings: Any, start: Start
) -> None:
    settings.UNKNOWN_MODELS = "pass"

    budget = Budget(
        name="all", scope="provider", subject="claude", period="month", limit=Decimal(1)
    )
    await sync_to_async(budget_open)(budget)
    client = await start()
    answer = await client.post(MESSAGES, json={**QUESTION, "model": "claude-sonnet-4-5"})
    assert answer.status_code == 200, answer.text
    answer = await client.post(MESSAGES, json={**QUESTION, "model": "claude-next"})
    assert answer.status_code in (400, 429, 503)
    assert len(fakes["claude"].asked) == 1


async def test_embeddings_by_another_name(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch, start: Start
) -> None:
    async with FakeProvider(embeddings_wire) as fake:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", fake.url)
        client = await start()
        body = {"model": "openai/text-embedding-ada-002", "input": "Paris"}
        answer = await client.post("/v1/embeddings", json=body)
        assert answer.status_code == 200, answer.text
        assert fake.asked[-1].body["model"] == "text-embedding-ada-002"
        record = await RequestRecord.objects.aget()
        assert record.cost == Decimal("0.0000005")
        answer = await client.post(CHAT, json={**QUESTION, "model": "text-embedding-ada-002"})
        assert answer.status_code == 404


async def test_the_list_describes_such_names_too(client: httpx.AsyncClient) -> None:
    for name, owner in (
        ("claude-haiku-4-5-20251001", "claude"),
        ("claude-haiku-4-5", "claude"),
        ("openai/gpt-4o", "openrouter"),
        ("auto", "ai-cost-optimizer"),
    ):
        answer = await client.get(f"/v1/models/{name}")
        assert (answer.status_code, answer.json()["owned_by"]) == (200, owner)
        assert answer.json()["id"] == name
    assert (await client.get("/v1/models/claude-zzz")).status_code == 404
    listed = (await client.get("/v1/models")).json()["data"]
    assert "claude-haiku-4-5" in {model["id"] for model in listed}


async def test_a_baseline_may_be_any_known_model(client: httpx.AsyncClient) -> None:
    names = get_services().names
    assert names.one("gpt-4o") == ModelRef("openai", "gpt-4o")
    assert names.one("claude-haiku-4-5-20251001").provider == "claude"
    with pytest.raises(UnknownModel, match="not in the catalogue"):
        names.one("nonsense")


async def test_invented_names_do_not_grow_the_memory(client: httpx.AsyncClient) -> None:
    services = get_services()
    for number in range(1_500):
        selection = services.names.select(f"claude-haiku-4-5-x{number}")
        assert selection.only is not None
        assert services.options.named(selection.only)
    assert len(services.options._named) <= 1_000

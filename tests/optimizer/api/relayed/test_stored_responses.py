"""A conversation goes on by reference on any model: what it refers to is stored here.

Wire: https://platform.openai.com/docs/guides/conversation-state,
https://platform.openai.com/docs/api-reference/responses/input-items
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from analytics.encryption import _PREFIX
from analytics.models import RoutingRule, StoredResponse
from optimizer.wiring.build import get_services
from tests.conftest import Start
from tests.fakes.server import Asked, FakeProvider, Reply
from tests.optimizer.api.relayed.conftest import Answers, key_of

CLAUDE = "claude-haiku-4-5"
OPENAI = "gpt-6-luna"
REPLY: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": CLAUDE,
    "stop_reason": "end_turn", "usage": {"input_tokens": 5, "output_tokens": 5},
    "content": [{"type": "text", "text": "Paris."}],
}  # fmt: skip
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}


@pytest.fixture
def claude_answers() -> Answers:
    return {("POST", "/v1/messages"): REPLY}


@pytest.fixture
def openai_answers() -> Answers:
    answer = {
        "id": "resp_up", "status": "completed", "model": OPENAI,
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "Yes."}]}],
        "usage": {"input_tokens": 5, "output_tokens": 1},
    }  # fmt: skip
    return {("POST", "/responses"): answer}


async def ask(client: httpx.AsyncClient, model: str = CLAUDE, **fields: Any) -> dict[str, Any]:
    headers = fields.pop("headers", {})
    body = {"model": model, "input": "The capital of France?", **fields}
    answer = await client.post("/v1/responses", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    if not fields.get("stream"):
        return answer.json()  # type: ignore[no-any-return]
    data = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    last = json.loads(data[-1])
    assert last["type"] == "response.completed"
    return last["response"]  # type: ignore[no-any-return]


def references(response: dict[str, Any]) -> list[dict[str, Any]]:
    """What the AI SDK sends in place of items that are stored."""
    return [{"type": "item_reference", "id": item["id"]} for item in response["output"]]


def texts_of(asked: Asked) -> list[Any]:
    texts = []
    for turn in asked.body["messages"]:
        parts = turn["content"]
        parts = [{"type": "text", "text": parts}] if isinstance(parts, str) else parts
        texts += [p["text"] for p in parts if p.get("type") == "text"]
    return texts


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("by", ["items", "response"])
async def test_a_conversation_goes_on(
    client: httpx.AsyncClient, claude_fake: FakeProvider, by: str, stream: bool
) -> None:
    first = await ask(client, stream=stream)
    assert first["store"] is True
    question = {"role": "user", "content": "And of Spain?"}
    further: dict[str, Any] = {"input": "And of Spain?", "previous_response_id": first["id"]}
    if by == "items":
        start = {"role": "user", "content": "The capital of France?"}
        further = {"input": [start, *references(first), question]}
    second = await ask(client, stream=stream, **further)
    assert second["previous_response_id"] == further.get("previous_response_id")
    assert texts_of(claude_fake.asked[1]) == ["The capital of France?", "Paris.", "And of Spain?"]
    third = {"input": "And?", "previous_response_id": second["id"]}
    if by == "items":
        third = {"input": [*references(first), *references(second), question]}
    await ask(client, **third)
    assert texts_of(claude_fake.asked[2]).count("Paris.") == 2


async def test_another_model_gets_whole_items(
    client: httpx.AsyncClient, openai_fake: FakeProvider, claude_fake: FakeProvider
) -> None:
    claude_fake.next(Reply({**REPLY, "content": [THOUGHT, *REPLY["content"]]}))
    first = await ask(client)
    assert [item["type"] for item in first["output"]] == ["reasoning", "message"]
    await ask(client, OPENAI, input="Sure?", previous_response_id=first["id"])
    sent = openai_fake.asked[0].body
    assert "previous_response_id" not in sent
    kinds = [(item.get("role"), item.get("content")) for item in sent["input"]]
    assert kinds[0] == ("user", "The capital of France?")
    assert kinds[-1] == ("user", "Sure?")
    assert kinds[1][1][0]["text"] == "Paris."
    assert len(kinds) == 3  # another model's reasoning is not for OpenAI
    assert not any("id" in item for item in sent["input"])


async def test_they_can_be_fetched_and_deleted(client: httpx.AsyncClient) -> None:
    first = await ask(client)
    path = f"/v1/responses/{first['id']}"
    assert (await client.get(path)).json() == first
    items = (await client.get(f"{path}/input_items")).json()
    assert [item["content"] for item in items["data"]] == ["The capital of France?"]
    assert (items["object"], items["has_more"]) == ("list", False)
    assert (await client.delete(path)).json()["deleted"] is True
    assert (await client.get(path)).status_code == 404
    body = {"model": CLAUDE, "input": "And?", "previous_response_id": first["id"]}
    answer = await client.post("/v1/responses", json=body)
    assert answer.status_code == 404
    assert answer.json()["error"] == {
        "message": f"Previous response with id '{first['id']}' not found.",
        "type": "invalid_request_error",
        "param": "previous_response_id",
        "code": "previous_response_not_found",
    }
    answer = await client.post("/v1/responses", json={**body, "input": references(first)})
    assert answer.status_code == 404


async def test_they_are_their_tenants(client: httpx.AsyncClient) -> None:
    red, blue = await key_of("red"), await key_of("blue")
    first = await ask(client, headers=red)
    assert (await client.get(f"/v1/responses/{first['id']}", headers=red)).status_code == 200
    assert (await client.get(f"/v1/responses/{first['id']}", headers=blue)).status_code == 404
    item = references(first)[-1]
    body = {"model": CLAUDE, "input": [item]}
    answer = await client.post("/v1/responses", json=body, headers=blue)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (404, "input")
    assert error["message"] == f"Item with id '{item['id']}' not found."


async def test_store_false_stores_nothing(client: httpx.AsyncClient) -> None:
    first = await ask(client, store=False)
    assert first["store"] is False
    assert await StoredResponse.objects.acount() == 0


@pytest.mark.django_db(transaction=True)
async def test_nothing_is_stored_where_prompts_are_not(
    claude_fake: FakeProvider, start: Start, settings: Any
) -> None:
    settings.STORE_PROMPTS = "hash"
    client = await start()
    first = await ask(client)
    assert (first["store"], await StoredResponse.objects.acount()) == (False, 0)
    body = {"model": CLAUDE, "input": "And?", "previous_response_id": first["id"]}
    message = (await client.post("/v1/responses", json=body)).json()["error"]["message"]
    assert "STORE_PROMPTS" in message


@pytest.mark.django_db(transaction=True)
async def test_they_are_encrypted_as_prompts_are(
    claude_fake: FakeProvider, start: Start, settings: Any
) -> None:
    from cryptography.fernet import Fernet
    from django.db import connection

    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    client = await start()
    first = await ask(client)

    def stored() -> tuple[str, str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT input, response FROM stored_responses")
            return cursor.fetchone()  # type: ignore[no-any-return]

    from asgiref.sync import sync_to_async

    assert all(text.startswith(_PREFIX) for text in await sync_to_async(stored)())
    assert (await client.get(f"/v1/responses/{first['id']}")).json() == first


async def test_tokens_are_counted_by_openai_and_estimated_for_others(
    client: httpx.AsyncClient, openai_fake: FakeProvider, openai_answers: Answers
) -> None:
    path = "/v1/responses/input_tokens"
    openai_answers["POST", "/responses/input_tokens"] = {
        "object": "response.input_tokens", "input_tokens": 7,
    }  # fmt: skip
    body = {"model": OPENAI, "input": "Hi", "instructions": "Be brief"}
    assert (await client.post(path, json=body)).json()["input_tokens"] == 7
    assert openai_fake.asked[0].body == body
    estimate = (await client.post(path, json={"model": CLAUDE, "input": "word " * 100})).json()
    assert estimate["object"] == "response.input_tokens"
    assert 100 <= estimate["input_tokens"] < 200
    await forbid("openai/*")
    assert (await client.post(path, json=body)).json()["input_tokens"] != 7
    assert len(openai_fake.asked) == 1


async def forbid(*models: str) -> None:
    rule = RoutingRule(name="no", action="forbid", model_names=list(models), enabled=True)
    await rule.asave()
    await sync_to_async(get_services().rules.refresh)()


async def test_compaction_is_openais_and_costs(
    client: httpx.AsyncClient, openai_fake: FakeProvider, openai_answers: Answers
) -> None:
    from analytics.models import RequestRecord

    path = "/v1/responses/compact"
    compacted = {
        "id": "resp_c", "object": "response.compaction", "output": [{"type": "compaction"}],
        "usage": {"input_tokens": 1000, "output_tokens": 100},
    }  # fmt: skip
    openai_answers["POST", "/responses/compact"] = compacted
    answer = await client.post(path, json={"model": OPENAI, "input": "Hi"})
    assert (answer.status_code, answer.json()) == (200, compacted)
    row = await RequestRecord.objects.aget()
    assert (row.endpoint, row.tokens_in, row.tokens_out) == ("responses", 1000, 100)
    assert row.cost is not None
    assert row.cost > 0
    refused = await client.post(path, json={"model": CLAUDE, "input": "Hi"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "model")
    openai_fake.next(Reply({"error": {"message": "No"}}, 422))
    passed = await client.post(path, json={"model": OPENAI, "input": "Hi"})
    assert (passed.status_code, passed.json()) == (422, {"error": {"message": "No"}})
    calls = len(openai_fake.asked)
    await forbid("openai/*")
    refused = await client.post(path, json={"model": OPENAI, "input": "Hi"})
    assert refused.status_code == 400
    assert 'forbidden by the rule "no"' in refused.json()["error"]["message"]
    assert len(openai_fake.asked) == calls


@pytest.mark.parametrize("path", ["/v1/responses/compact", "/v1/responses/input_tokens"])
async def test_what_is_said_of_a_model_holds_for_its_snapshots(
    client: httpx.AsyncClient, openai_fake: FakeProvider, path: str
) -> None:
    await forbid(f"openai/{OPENAI}")
    body = {"model": f"{OPENAI}-2026-09-22", "input": "Hi"}
    answer = await client.post(path, json=body)
    assert not openai_fake.asked
    if path.endswith("compact"):
        assert answer.status_code == 400
        assert 'forbidden by the rule "no"' in answer.json()["error"]["message"]
    else:  # it is estimated
        assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/v1/messages/count_tokens", "/v1beta/models/{}:countTokens"])
async def test_a_forbidden_model_s_snapshot_counts_no_tokens(
    client: httpx.AsyncClient, claude_fake: FakeProvider, path: str
) -> None:
    await forbid(f"claude/{CLAUDE}")
    snapshot = f"{CLAUDE}-20260901"
    body: dict[str, Any] = {
        "model": snapshot, "messages": [{"role": "user", "content": "Hi"}],
    }  # fmt: skip
    if "countTokens" in path:
        body = {"contents": [{"parts": [{"text": "Hi"}]}]}
    answer = await client.post(path.format(snapshot), json=body)
    assert answer.status_code == 200, answer.text
    assert not claude_fake.asked


async def test_a_key_of_a_model_compacts_with_its_snapshots(
    client: httpx.AsyncClient, openai_answers: Answers
) -> None:
    openai_answers["POST", "/responses/compact"] = {"id": "resp_c", "output": [], "usage": {}}
    headers = await key_of("team", model_names=[OPENAI])
    body = {"model": f"{OPENAI}-2026-09-22", "input": "Hi"}
    answer = await client.post("/v1/responses/compact", json=body, headers=headers)
    assert answer.status_code == 200, answer.text

"""OpenAI's and Anthropic's batch APIs over any provider.

Formats: https://platform.openai.com/docs/api-reference/batch,
https://docs.anthropic.com/en/api/creating-message-batches
"""

from __future__ import annotations

import io
import json
from typing import Any

import httpx
import openai
import pytest

from analytics.models import DeferredRequest
from tests.fakes.wires import ANSWER
from tests.optimizer.api.relayed.conftest import key_of
from tests.optimizer.gateway.deferred.conftest import MODELS, PROMPT, Fakes, pass_time, rows, work

PATH = "/v1/chat/completions"
ANTHROPIC = {"anthropic-version": "2023-06-01"}


def line(number: int, model: str, **changes: Any) -> bytes:
    messages = [{"role": "user", "content": f"{PROMPT} {number}"}]
    body = {"model": model, "max_tokens": 50, "messages": messages}
    value = {"custom_id": f"line-{number}", "method": "POST", "url": PATH, "body": body}
    return json.dumps({**value, **changes}).encode() + b"\n"


async def upload(client: httpx.AsyncClient, content: bytes, **more: Any) -> dict[str, Any]:
    answer = await client.post(
        "/v1/files", files={"file": ("in.jsonl", content)}, data={"purpose": "batch"}, **more
    )
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def create(client: httpx.AsyncClient, file_id: str, **more: Any) -> dict[str, Any]:
    body = {"input_file_id": file_id, "endpoint": PATH, "completion_window": "24h"}
    answer = await client.post("/v1/batches", json={**body, "metadata": {"a": "b"}}, **more)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def finish(fakes: Fakes) -> None:
    await work()
    await pass_time(301)
    await work()
    for _, fake in fakes.values():
        fake.end()
    await pass_time(61)
    await work(2)


async def test_a_file_of_several_models_is_answered_by_their_providers(
    client: httpx.AsyncClient, batch_fakes: Fakes
) -> None:
    sdk = openai.AsyncOpenAI(
        api_key="x",
        base_url="http://localhost/v1",
        http_client=client,  # type: ignore[arg-type]
    )
    content = line(1, MODELS["claude"]) + line(2, "auto") + line(3, MODELS["gemini"])
    file = await sdk.files.create(file=("in.jsonl", io.BytesIO(content)), purpose="batch")
    batch = await sdk.batches.create(
        input_file_id=file.id, endpoint=PATH, completion_window="24h", metadata={"a": "b"}
    )
    assert (batch.status, batch.metadata) == ("in_progress", {"a": "b"})
    assert batch.request_counts is not None
    assert batch.request_counts.total == 3
    batch_fakes["gemini"][1].fate = lambda text: "failed"
    await finish(batch_fakes)
    batch = await sdk.batches.retrieve(batch.id)
    assert batch.status == "completed"
    assert batch.output_file_id is not None
    text = (await sdk.files.content(batch.output_file_id)).text
    lines = {item["custom_id"]: item for item in map(json.loads, text.splitlines())}
    assert set(lines) == {"line-1", "line-2", "line-3"}
    for item in lines.values():
        answer = item["response"]["body"]
        assert item["response"]["status_code"] == 200
        assert answer["choices"][0]["message"]["content"] == ANSWER
    assert lines["line-1"]["response"]["body"]["model"] == MODELS["claude"]
    recorded = await rows()
    assert {row.endpoint for row in recorded} == {"chat/completions"}
    assert len(recorded) == 3
    listed = await client.get("/v1/batches")
    assert listed.json()["data"][0]["id"] == batch.id


async def test_a_request_that_cannot_be_read_any_more_keeps_none_from_being_answered(
    client: httpx.AsyncClient, batch_fakes: Fakes
) -> None:
    content = line(1, MODELS["claude"]) + line(2, MODELS["claude"])
    await create(client, (await upload(client, content))["id"])
    first = await DeferredRequest.objects.order_by("line").afirst()
    assert first is not None
    await DeferredRequest.objects.filter(pk=first.pk).aupdate(request="{}")
    await finish(batch_fakes)
    states = DeferredRequest.objects.order_by("line").values_list("state", flat=True)
    assert [state async for state in states] == ["failed", "done"]


async def test_what_is_wrong_with_a_file_is_told_by_line(client: httpx.AsyncClient) -> None:
    content = line(1, "auto") + b"{broken\n" + line(1, "auto") + line(4, "auto", url="/v1/x")
    made = await create(client, (await upload(client, content))["id"])
    assert made["status"] == "failed"
    assert [(e["line"], e["code"]) for e in made["errors"]["data"]] == [
        (2, "invalid_json_line"), (3, "invalid_json_line"), (4, "invalid_json_line"),
    ]  # fmt: skip
    unstorable = line(1, "auto", custom_id="\ud800") + line(2, "auto", custom_id="a\0b")
    made = await create(client, (await upload(client, unstorable))["id"])
    assert [e["line"] for e in made["errors"]["data"]] == [1, 2]
    unreadable = line(1, "auto", body={"model": "auto", "messages": "none"})
    made = await create(client, (await upload(client, unreadable))["id"])
    assert made["errors"]["data"][0]["line"] == 1
    assert not await DeferredRequest.objects.aexists()


async def test_a_file_of_openais_own_models_is_passed_on(
    client: httpx.AsyncClient, batch_fakes: Fakes
) -> None:
    made = await upload(client, line(1, MODELS["openai"]))
    assert made["id"] in batch_fakes["openai"][1].files


async def test_a_batch_of_messages_is_answered_by_another_provider(
    client: httpx.AsyncClient, batch_fakes: Fakes
) -> None:
    params: Any = {
        "model": MODELS["openai"], "max_tokens": 50,
        "messages": [{"role": "user", "content": PROMPT}],
    }  # fmt: skip
    place = "/v1/messages/batches"
    body = {"requests": [{"custom_id": "one", "params": params}]}
    made = (await client.post(place, json=body, headers=ANTHROPIC)).json()
    assert (made["processing_status"], made["request_counts"]["processing"]) == ("in_progress", 1)
    await finish(batch_fakes)
    ended = (await client.get(f"{place}/{made['id']}", headers=ANTHROPIC)).json()
    assert (ended["processing_status"], ended["request_counts"]["succeeded"]) == ("ended", 1)
    text = (await client.get(ended["results_url"], headers=ANTHROPIC)).text
    (item,) = map(json.loads, text.splitlines())
    assert (item["custom_id"], item["result"]["type"]) == ("one", "succeeded")
    message = item["result"]["message"]
    assert (message["model"], message["content"][0]["text"]) == (MODELS["openai"], ANSWER)


async def test_a_cancelled_batch_says_so_line_by_line(
    client: httpx.AsyncClient, batch_fakes: Fakes
) -> None:
    made = await create(client, (await upload(client, line(1, "auto") + line(2, "auto")))["id"])
    await work()
    cancelled = await client.post(f"/v1/batches/{made['id']}/cancel")
    assert cancelled.json()["status"] == "cancelling"
    await work()
    body = (await client.get(f"/v1/batches/{made['id']}")).json()
    assert (body["status"], body["request_counts"]["failed"]) == ("cancelled", 2)
    text = (await client.get(f"/v1/files/{body['error_file_id']}/content")).text
    codes = [json.loads(each)["error"]["code"] for each in text.splitlines()]
    assert codes == ["batch_cancelled"] * 2


async def test_other_tenants_see_neither_files_nor_batches(client: httpx.AsyncClient) -> None:
    red, blue = await key_of("red"), await key_of("blue")
    file_id = (await upload(client, line(1, "auto"), headers=red))["id"]
    made = await create(client, file_id, headers=red)
    for path in (
        f"/v1/files/{file_id}", f"/v1/files/{file_id}/content", f"/v1/batches/{made['id']}",
        f"/v1/files/file-aco-out-{made['id'].rpartition('_')[2]}/content",
    ):  # fmt: skip
        assert (await client.get(path, headers=blue)).status_code == 404, path
    assert (await client.post(f"/v1/batches/{made['id']}/cancel", headers=blue)).status_code == 404
    body = {"input_file_id": file_id, "endpoint": PATH, "completion_window": "24h"}
    assert (await client.post("/v1/batches", json=body, headers=blue)).status_code == 404
    for place in ("/v1/files", "/v1/batches"):
        assert (await client.get(place, headers=blue)).json()["data"] == []
        assert (await client.get(place, headers=red)).json()["data"] != []


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/completions", None])
async def test_other_endpoints_are_refused(client: httpx.AsyncClient, path: str | None) -> None:
    file_id = (await upload(client, line(1, "auto")))["id"]
    body = {"input_file_id": file_id, "endpoint": path, "completion_window": "24h"}
    refused = await client.post("/v1/batches", json=body)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "endpoint")

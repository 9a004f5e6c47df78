"""Batches, files, responses and conversations go to their own provider, each to its tenant.

Wires: https://platform.openai.com/docs/api-reference/batch,
https://platform.openai.com/docs/api-reference/files,
https://docs.anthropic.com/en/api/creating-message-batches,
https://docs.anthropic.com/en/api/files-create
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from analytics.models import ProviderObject
from tests.conftest import KEY
from tests.fakes.server import FakeProvider, Reply
from tests.optimizer.api.relayed.conftest import Answers, key_of

BATCH: dict[str, Any] = {
    "id": "batch_1", "object": "batch", "endpoint": "/v1/chat/completions", "status": "validating",
    "input_file_id": "file-1", "output_file_id": None, "new_field": [1],
}  # fmt: skip
FILE = {"id": "file-1", "object": "file", "bytes": 4, "filename": "in.jsonl", "purpose": "batch"}
ANTHROPIC = {"anthropic-version": "2023-06-01"}


async def test_a_file_goes_out_and_comes_back_as_it_is(
    client: httpx.AsyncClient, openai_fake: FakeProvider, openai_answers: Answers
) -> None:
    openai_answers["POST", "/files"] = FILE
    openai_answers["GET", "/files/file-1/content"] = Reply(
        b"\x00\xffnot text", headers={"content-type": "application/octet-stream"}
    )
    answer = await client.post(
        "/v1/files", files={"file": ("in.jsonl", b"\x00\xff{}")}, data={"purpose": "batch"}
    )
    assert (answer.status_code, answer.json()) == (200, FILE)
    asked = openai_fake.asked[0]
    assert asked.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b"\x00\xff{}" in asked.raw
    assert b'name="purpose"' in asked.raw
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    content = await client.get("/v1/files/file-1/content")
    assert content.content == b"\x00\xffnot text"
    assert content.headers["content-type"] == "application/octet-stream"
    assert content.headers["x-optimizer-provider"] == "openai"


async def test_the_header_tells_the_files_of_two_apis_apart(
    client: httpx.AsyncClient, claude_fake: FakeProvider, claude_answers: Answers
) -> None:
    claude_answers["GET", "/v1/files"] = {"data": [], "has_more": False}
    headers = {**ANTHROPIC, "anthropic-beta": "files-api-2025-04-14"}
    answer = await client.get("/v1/files?limit=5&key=secret", headers=headers)
    assert answer.json() == {"data": [], "has_more": False}
    asked = claude_fake.asked[0]
    assert (asked.query, asked.headers["x-api-key"]) == ("limit=5", KEY)
    assert asked.headers["anthropic-beta"] == "files-api-2025-04-14"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/responses/resp_1"), ("DELETE", "/responses/resp_1"),
        ("POST", "/responses/resp_1/cancel"), ("GET", "/responses/resp_1/input_items"),
        ("POST", "/conversations"), ("GET", "/conversations/conv_1"),
        ("POST", "/conversations/conv_1"), ("DELETE", "/conversations/conv_1"),
        ("GET", "/conversations/conv_1/items"), ("POST", "/conversations/conv_1/items"),
        ("GET", "/conversations/conv_1/items/msg_1"), ("GET", "/batches"),
        ("GET", "/batches/batch_1"), ("POST", "/batches/batch_1/cancel"), ("GET", "/files/file-1"),
        ("DELETE", "/files/file-1"), ("GET", "/v1/messages/batches/msgbatch_1"),
        ("POST", "/v1/messages/batches/msgbatch_1/cancel"),
        ("DELETE", "/v1/messages/batches/msgbatch_1"), ("GET", "/v1/messages/batches"),
    ],
)  # fmt: skip
async def test_every_path_reaches_its_provider(
    client: httpx.AsyncClient, openai_answers: Answers, claude_answers: Answers,
    method: str, path: str,
) -> None:  # fmt: skip
    answers = claude_answers if path.startswith("/v1") else openai_answers
    answers[method, path] = {"id": "x", "unknown": True}
    answer = await client.request(method, f"/v1{path.removeprefix('/v1')}", json=None)
    assert (answer.status_code, answer.json()) == (200, {"id": "x", "unknown": True})


async def test_a_stream_of_a_stored_response_is_passed_on(
    client: httpx.AsyncClient, openai_fake: FakeProvider, openai_answers: Answers
) -> None:
    openai_answers["GET", "/responses/resp_1"] = Reply(chunks=[b"data: 1\n\n", b"data: 2\n\n"])
    answer = await client.get("/v1/responses/resp_1?stream=true&starting_after=3")
    assert answer.text == "data: 1\n\ndata: 2\n\n"
    assert openai_fake.asked[0].query == "stream=true&starting_after=3"


async def test_errors_come_back_as_they_came(
    client: httpx.AsyncClient, openai_answers: Answers
) -> None:
    error = {"error": {"message": "Too many", "type": "rate", "detail": 7}}
    openai_answers["POST", "/batches"] = Reply(error, 429, {"retry-after": "9"})
    answer = await client.post("/v1/batches", json={"input_file_id": "file-1"})
    assert (answer.status_code, answer.json()) == (429, error)
    assert answer.headers["retry-after"] == "9"


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_the_operators(
    client: httpx.AsyncClient, openai_answers: Answers, status: int
) -> None:
    openai_answers["GET", "/batches"] = Reply({"error": {"message": f"bad {KEY}"}}, status)
    answer = await client.get("/v1/batches")
    assert answer.status_code == 502
    assert "operator" in answer.json()["error"]["message"]
    assert KEY not in answer.text


async def test_another_provider_is_named_in_a_header(
    client: httpx.AsyncClient, openai_fake: FakeProvider
) -> None:
    answer = await client.get("/v1/batches", headers={"x-optimizer-provider": "groq"})
    assert answer.status_code == 400
    assert "groq" in answer.json()["error"]["message"]
    assert openai_fake.asked == []


@pytest.mark.parametrize(
    "path", ["/v1/files/..", "/v1/files/%2e%2e", "/v1/files/a%3fb", "/v1/files/a%2f..%2fb"]
)
async def test_an_id_leads_nowhere_else(
    client: httpx.AsyncClient, openai_fake: FakeProvider, path: str
) -> None:
    assert (await client.get(path)).status_code in {200, 404}
    assert [asked.path for asked in openai_fake.asked if not asked.path.startswith("/files")] == []
    assert openai_fake.asked == []


async def test_a_tenant_sees_its_own_objects_only(
    client: httpx.AsyncClient, openai_fake: FakeProvider, openai_answers: Answers
) -> None:
    red, blue = await key_of("red"), await key_of("blue")
    openai_answers["POST", "/files"] = FILE
    openai_answers["POST", "/batches"] = BATCH
    others = [{**BATCH, "id": f"batch_of_others_{n}"} for n in range(3)]
    openai_answers["GET", "/batches"] = {
        "object": "list", "data": [others[0], BATCH, *others[1:]], "has_more": False,
        "first_id": others[0]["id"], "last_id": others[-1]["id"],
    }  # fmt: skip
    openai_answers["GET", "/batches/batch_1"] = BATCH
    assert (await client.post("/v1/files", json={}, headers=red)).status_code == 200
    body = {"input_file_id": "file-1", "endpoint": "/v1/chat/completions"}
    assert (await client.post("/v1/batches", json=body, headers=blue)).status_code == 404
    assert (await client.post("/v1/batches", json=body, headers=red)).json() == BATCH
    asked = len(openai_fake.asked)
    for path in ("/v1/batches/batch_1", "/v1/files/file-1/content", "/v1/responses/resp_1"):
        answer = await client.get(path, headers=blue)
        assert answer.status_code == 404, path
        assert "not found" in answer.json()["error"]["message"]
    assert len(openai_fake.asked) == asked
    assert (await client.get("/v1/batches/batch_1", headers=red)).json() == BATCH
    listed = (await client.get("/v1/batches", headers=red)).json()
    assert (listed["data"], listed["first_id"], listed["has_more"]) == ([BATCH], "batch_1", False)
    assert (await client.get("/v1/batches", headers=blue)).json()["data"] == []


async def test_pages_of_others_are_passed_over(
    client: httpx.AsyncClient, claude_fake: FakeProvider
) -> None:
    red = {**await key_of("red"), **ANTHROPIC}
    await ProviderObject.objects.acreate(
        provider="claude", kind="batch", object_id="mine", tenant="team:red"
    )
    first = {
        "data": [{"id": "theirs"}],
        "has_more": True,
        "first_id": "theirs",
        "last_id": "theirs",
    }
    second = {"data": [{"id": "mine"}], "has_more": False, "first_id": "mine", "last_id": "mine"}
    claude_fake.next(Reply(first), Reply(second))
    listed = (await client.get("/v1/messages/batches", headers=red)).json()
    assert [item["id"] for item in listed["data"]] == ["mine"]
    assert claude_fake.asked[1].query == "after_id=theirs&limit=100"


async def test_a_list_does_not_show_that_others_have_objects(
    client: httpx.AsyncClient, openai_fake: FakeProvider, openai_answers: Answers
) -> None:
    red, blue = await key_of("red"), await key_of("blue")
    openai_answers["POST", "/batches"] = BATCH
    body = {"endpoint": "/v1/chat/completions"}
    assert (await client.post("/v1/batches", json=body, headers=red)).status_code == 200
    others = [{**BATCH, "id": f"batch_of_others_{n}"} for n in range(3)]
    openai_answers["GET", "/batches"] = {
        "object": "list", "data": [BATCH, *others], "has_more": True, "total": 4,
        "first_id": "batch_1", "last_id": others[-1]["id"],
    }  # fmt: skip
    asked = len(openai_fake.asked)
    own = (await client.get("/v1/batches?limit=1", headers=red)).json()
    assert own == {
        "object": "list", "data": [BATCH], "has_more": False, "first_id": "batch_1",
        "last_id": "batch_1",
    }  # fmt: skip
    none = (await client.get("/v1/batches", headers=blue)).json()
    assert (none["data"], none["has_more"], none["first_id"]) == ([], False, None)
    assert len(openai_fake.asked) == asked + 2


async def test_continuing_anothers_response_is_refused(
    client: httpx.AsyncClient, openai_fake: FakeProvider, openai_answers: Answers
) -> None:
    red, blue = await key_of("red"), await key_of("blue")
    openai_answers["POST", "/responses"] = {
        "id": "resp_1", "status": "completed", "model": "gpt-6-luna",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}],
        "usage": {"input_tokens": 5, "output_tokens": 1},
    }  # fmt: skip
    body = {"model": "gpt-6-luna", "input": "Hi"}
    assert (await client.post("/v1/responses", json=body, headers=red)).status_code == 200
    further = {**body, "previous_response_id": "resp_1"}
    answer = await client.post("/v1/responses", json=further, headers=blue)
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "Previous response with id 'resp_1' not found."
    assert (await client.post("/v1/responses", json=further, headers=red)).status_code == 200


async def test_a_key_for_some_models_makes_no_batch_of_others(
    client: httpx.AsyncClient, openai_fake: FakeProvider, claude_answers: Answers
) -> None:
    red = await key_of("red", model_names=["claude-haiku-4-5"])
    claude_answers["POST", "/v1/messages/batches"] = {"id": "b", "processing_status": "in_progress"}

    async def status(model: str) -> int:
        requests = [{"custom_id": "1", "params": {"model": model}}]
        answer = await client.post(
            "/v1/messages/batches", json={"requests": requests}, headers={**red, **ANTHROPIC}
        )
        return answer.status_code

    assert await status("claude-opus-4-8") == 403
    assert await status("claude-haiku-4-5") == 200


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/v1/batches", "POST"), ("/v1/messages/batches", "POST"), ("/v1/files/file-1", "DELETE")],
)
async def test_other_methods_are_refused(
    client: httpx.AsyncClient, path: str, allowed: str
) -> None:
    answer = await client.put(path)
    assert answer.status_code == 405
    assert allowed in answer.headers["allow"]
    assert "error" in answer.json()
    assert (await client.options(path)).status_code == 204


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/", "/v1/models", "/v1/messages", "/v1/messages/count_tokens",
     "/v1/responses", "/v1/responses/compact", "/v1/chat/completions", "/v1/embeddings",
     "/complete", "/v1/responses/input_tokens"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["HEAD", "GET", "OPTIONS"])
async def test_probes_are_answered(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, path)
    assert answer.status_code in {200, 204, 405}
    assert answer.status_code != 405 or answer.headers["allow"]

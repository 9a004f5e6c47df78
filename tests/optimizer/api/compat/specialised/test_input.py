"""Requests for models that do one thing: what is refused, and what is sent as it came."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx
import pytest

from analytics.models import RequestRecord
from tests.fakes.server import FakeProvider
from tests.optimizer.api.compat.specialised.conftest import IMAGE, SOUND, record_of
from tests.patience import eventually


@pytest.mark.parametrize(
    ("task", "sent", "field"),
    [
        ("images/generations", {"json": {"model": "gpt-image-2.5-flare"}}, "prompt"),
        ("images/generations", {"json": {**IMAGE, "n": 11}}, "n"),
        ("images/generations", {"json": {"prompt": "A boat"}}, "model"),
        ("images/edits", {"data": IMAGE, "files": SOUND}, "image"),
        ("images/edits", {"data": {**IMAGE, "n": "many"}, "files": {"image": ("a", b"a")}}, "n"),
        ("audio/transcriptions", {"data": {"model": "whisper-1"}, "files": {"x": ("a", b"a")}},
         "file"),
        ("audio/transcriptions", {"data": {"model": "whisper-1"}, "files": {"file": ("a", b"")}},
         "file"),
        ("audio/translations", {"data": {"model": "whisper-1", "response_format": "pdf"},
                                "files": SOUND}, "response_format"),
        ("audio/transcriptions", {"data": {"model": "whisper-1", "optimizer": "{"},
                                  "files": SOUND}, "optimizer"),
        ("audio/speech", {"json": {"model": "tts-1", "input": ""}}, "input"),
        ("moderations", {"json": {"input": []}}, "input"),
        ("rerank", {"json": {"model": "rerank-v3.5", "query": "x", "documents": []}}, "documents"),
        ("rerank", {"json": {"model": "rerank-v3.5", "query": "x", "documents": [1]}}, "documents"),
    ],
)  # fmt: skip
async def test_bad_input_is_refused_by_its_field(
    http: httpx.AsyncClient, fake: FakeProvider, task: str, sent: dict[str, Any], field: str
) -> None:
    answer = await http.post(f"/v1/{task}", **sent)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field), answer.text
    assert fake.asked == []
    await eventually(RequestRecord.objects.aexists)
    refused = await RequestRecord.objects.aget()
    assert (refused.status, refused.endpoint, refused.cost) == ("refused", task, 0)


async def test_a_form_that_is_none_is_refused(http: httpx.AsyncClient) -> None:
    head = {"content-type": "multipart/form-data; boundary=x"}
    broken = await http.post("/v1/audio/transcriptions", content=b"--x\r\nbroken", headers=head)
    as_json = await http.post("/v1/images/edits", json=IMAGE)
    unbounded = await http.post(
        "/v1/images/edits", content=b"x", headers={"content-type": "multipart/form-data"}
    )
    assert (broken.status_code, as_json.status_code, unbounded.status_code) == (400, 415, 400)
    assert "error" in broken.json()
    assert "error" in as_json.json()


async def test_names_of_other_kinds_are_unknown(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/images/generations", json={**IMAGE, "model": "whisper-1"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "model")
    chat = {"model": "gpt-image-2.5-flare", "messages": [{"role": "user", "content": "Hi"}]}
    assert (await http.post("/v1/chat/completions", json=chat)).status_code == 404
    listed = (await http.get("/v1/models")).json()["data"]
    assert {"whisper-1", "rerank-v3.5"} <= {model["id"] for model in listed}
    assert (await http.get("/v1/models/tts-1")).json()["owned_by"] == "openai"


async def test_a_body_beyond_the_limit_is_refused(http: httpx.AsyncClient) -> None:
    file = {"file": (str(uuid.uuid4()), b"\0" * (32 * 1024 * 1024 + 1))}
    answer = await http.post("/v1/audio/transcriptions", data={"model": "whisper-1"}, files=file)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("images/generations", {**IMAGE, "seed": 10**30}),
        ("images/generations", {**IMAGE, "prompt": "a\ud800"}),
        ("audio/speech", {"model": "tts-1", "input": "a\ud800", "voice": "alloy"}),
        ("rerank", {"model": "jina-reranker-v3", "query": "\udfff", "documents": [{"n": 10**30}]}),
    ],
)
async def test_whatever_json_holds_is_sent(path: str, body: Any, http: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/json"}
    answer = await http.post(f"/v1/{path}", content=json.dumps(body), headers=headers)
    assert answer.status_code == 200, answer.text
    assert (await record_of(path)).status == "ok"


async def test_the_media_type_of_a_file_adds_no_lines_to_the_form(
    http: httpx.AsyncClient, fake: FakeProvider
) -> None:
    sound = {"file": ("talk.mp3", b"sound", "audio/mpeg\nx-more: 1\n\nmore")}
    answer = await http.post("/v1/audio/transcriptions", data={"model": "whisper-1"}, files=sound)
    assert answer.status_code == 200, answer.text
    assert b"x-more" not in fake.asked[-1].raw
    assert b"octet-stream" in fake.asked[-1].raw

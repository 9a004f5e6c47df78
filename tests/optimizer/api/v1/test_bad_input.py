"""Bad input: a clear 4xx that names the field; nothing recorded, nothing charged, nobody called."""

from __future__ import annotations

import gzip
import json
import zlib

import httpx
import pytest
import zstandard
from django.conf import settings

from analytics.models import DailyTotal, Feedback, RequestRecord
from tests.fakes.server import FakeProvider

BAD_BODIES = [
    ({}, "prompt"),
    ({"prompt": ""}, "prompt"),
    ({"prompt": " \n\t "}, "prompt"),
    ({"prompt": None}, "prompt"),
    ({"prompt": 5}, "prompt"),
    ({"prompt": ["a"]}, "prompt"),
    ({"prompt": {"a": 1}}, "prompt"),
    ({"prompt": True}, "prompt"),
    ({"prompt": "nul \x00 byte"}, "prompt"),
    ({"prompt": "lone \ud800 surrogate"}, "prompt"),
    ({"prompt": "x" * (settings.MAX_PROMPT_CHARS + 1)}, "prompt"),
    ({"prompt": "hi", "max_tokens": 0}, "max_tokens"),
    ({"prompt": "hi", "max_tokens": 4001}, "max_tokens"),
    ({"prompt": "hi", "max_tokens": "ten"}, "max_tokens"),
    ({"prompt": "hi", "max_tokens": "10"}, "max_tokens"),
    ({"prompt": "hi", "max_tokens": -1}, "max_tokens"),
    ({"prompt": "hi", "max_tokens": 1.5}, "max_tokens"),
    ({"prompt": "hi", "max_tokens": None}, "max_tokens"),
    ({"prompt": "hi", "max_tokens": True}, "max_tokens"),
    ({"prompt": "hi", "auto_route": "yes"}, "auto_route"),
    ({"prompt": "hi", "auto_route": 1}, "auto_route"),
    ({"prompt": "hi", "tokenizer_id": 3}, "tokenizer_id"),
    ({"prompt": "hi", "temprature": 1}, "temprature"),
    ([], "body"),
    ("hi", "body"),
    (None, "body"),
]


def assert_error(response: httpx.Response, status: int, field: str | None) -> None:
    body = response.json()
    assert response.status_code == status, body
    assert body["status_code"] == status
    assert body["detail"]
    if field is not None:
        assert field in body["errors"]
        assert all(isinstance(m, str) for m in body["errors"][field])


async def assert_nothing_happened(fakes: dict[str, FakeProvider]) -> None:
    assert not any(fake.asked for fake in fakes.values())
    assert await RequestRecord.objects.admitted().acount() == 0
    assert await DailyTotal.objects.acount() == 0


@pytest.mark.parametrize(("body", "field"), BAD_BODIES, ids=lambda v: repr(v)[:40])
async def test_complete_names_the_field_at_fault(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider], body: object, field: str
) -> None:
    response = await client.post(
        "/complete", content=json.dumps(body), headers={"content-type": "application/json"}
    )
    assert_error(response, 400, field)
    assert response.headers["x-request-id"] == response.json()["request_id"]
    await assert_nothing_happened(fakes)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[" * 200_000, b'{"prompt": NaN}'])
async def test_what_is_not_json_is_refused(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider], raw: bytes
) -> None:
    response = await client.post(
        "/complete", content=raw, headers={"content-type": "application/json"}
    )
    assert_error(response, 400, None)
    await assert_nothing_happened(fakes)


async def test_other_media_types_are_refused(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    assert_error(await client.post("/complete", data={"prompt": "hi"}), 415, None)
    await assert_nothing_happened(fakes)


async def test_forty_megabytes_are_too_large(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    response = await client.post("/complete", json={"prompt": "x" * 40_000_000})
    assert_error(response, 413, "body")
    await assert_nothing_happened(fakes)


async def test_forty_megabytes_of_undeclared_length_are_too_large(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    async def body():
        for _ in range(40):
            yield b"x" * 1_000_000

    response = await client.post(
        "/complete", content=body(), headers={"content-type": "application/json"}
    )
    assert_error(response, 413, "body")
    await assert_nothing_happened(fakes)


@pytest.mark.parametrize("days", ["0", "366", "x", "-1", "1.5", ""])
async def test_metrics_name_days(client: httpx.AsyncClient, days: str) -> None:
    response = await client.get("/routing/metrics", params={"days": days})
    assert_error(response, 400, "days")


@pytest.mark.parametrize("path", ["/recommendation", "/routing/decision"])
@pytest.mark.parametrize("query", [{}, {"prompt": ""}, {"prompt": "  "}, {"prompt": "a\x00b"}])
async def test_decisions_name_the_prompt(
    client: httpx.AsyncClient, path: str, query: dict[str, str]
) -> None:
    assert_error(await client.get(path, params=query), 400, "prompt")


async def test_unknown_query_parameters_are_named(client: httpx.AsyncClient) -> None:
    response = await client.get("/routing/decision", params={"prompt": "hi", "autoroute": "true"})
    assert_error(response, 400, "autoroute")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"rating": 1}, "request_id"),
        ({"cache_key": "a" * 64}, "rating"),
        ({"cache_key": "a" * 64, "rating": 2}, "rating"),
        ({"cache_key": "a" * 64, "rating": "1"}, "rating"),
        ({"cache_key": "a" * 64, "score": 1.1}, "score"),
        ({"cache_key": "a" * 64, "rating": 1, "score": 1}, "rating"),
        ({"cache_key": "short", "rating": 1}, "cache_key"),
        ({"request_id": "no uuid", "rating": 1}, "request_id"),
        ({"cache_key": "a" * 64, "rating": 1, "comment": "x" * 501}, "comment"),
        ({"cache_key": "a" * 64, "rating": 1, "comment": "a\x00b"}, "comment"),
    ],
    ids=lambda v: repr(v)[:40],
)
async def test_feedback_names_the_field_at_fault(
    client: httpx.AsyncClient, body: dict, field: str
) -> None:
    assert_error(await client.post("/feedback", json=body), 400, field)
    assert await Feedback.objects.acount() == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"cache_key": "a" * 64, "rating": 1}, "cache_key"),
        ({"request_id": "019ab2f4-55a1-7c3e-9d5a-0b1f7b0f1d11", "rating": 1}, "request_id"),
    ],
)
async def test_feedback_on_nothing_known_is_404(
    client: httpx.AsyncClient, body: dict, field: str
) -> None:
    assert_error(await client.post("/feedback", json=body), 404, field)


async def test_wrong_methods_and_paths_have_the_error_shape(client: httpx.AsyncClient) -> None:
    assert_error(await client.get("/complete"), 405, None)
    assert_error(await client.get("/nowhere"), 404, None)


async def test_a_prompt_no_model_has_room_for_says_so(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider], settings, monkeypatch
) -> None:
    from optimizer.wiring.build import get_services

    tight = tuple(
        option.__class__(
            **{**{f: getattr(option, f) for f in option.__slots__}, "context_window": 5}
        )
        for option in get_services().options.options()
    )
    monkeypatch.setattr(get_services().options, "_options", tight)
    response = await client.post("/complete", json={"prompt": "hello there"})
    assert_error(response, 413, "prompt")
    assert "tokens of context" in response.text
    await assert_nothing_happened(fakes)


def compressed(encoding: str, body: bytes) -> bytes:
    if encoding == "zstd":
        return zstandard.ZstdCompressor().compress(body)
    return gzip.compress(body) if encoding == "gzip" else zlib.compress(body)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
async def test_a_compressed_body_is_read(client: httpx.AsyncClient, encoding: str) -> None:
    headers = {"content-type": "application/json", "content-encoding": encoding}
    body = compressed(encoding, json.dumps({"prompt": "What is the capital of France?"}).encode())
    answer = await client.post("/complete", content=body, headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
async def test_a_compressed_body_may_not_grow_beyond_the_limit(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider], encoding: str
) -> None:
    headers = {"content-type": "application/json", "content-encoding": encoding}
    bomb = compressed(encoding, b" " * 40_000_000)
    refused = await client.post("/v1/messages", content=bomb, headers=headers)
    assert (refused.status_code, refused.json()["error"]["type"]) == (413, "request_too_large")
    await assert_nothing_happened(fakes)


@pytest.mark.parametrize(("encoding", "status"), [("br", 415), ("gzip", 400), ("zstd", 400)])
async def test_a_body_that_cannot_be_decompressed_is_refused_by_name(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider], encoding: str, status: int
) -> None:
    headers = {"content-type": "application/json", "content-encoding": encoding}
    refused = await client.post("/v1/chat/completions", content=b"nonsense", headers=headers)
    assert refused.status_code == status
    assert encoding in refused.text
    await assert_nothing_happened(fakes)

"""The lane to the endpoints that answer prompts gives what Django and DRF would."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import httpx
import pytest
from django.test import AsyncClient
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from analytics.models import RequestRecord
from optimizer.api.endpoints import ENDPOINTS, endpoints_of
from optimizer.api.v1.complete import CompleteInput, read_complete
from optimizer.server.fast_path import FastPath
from optimizer.wiring.build import get_services
from tests.fakes.server import FakeProvider
from tests.patience import eventually

PROMPT = {"prompt": "What is the capital of France?"}
CHAT = {"model": "auto", "messages": [{"role": "user", "content": "What is Paris?"}]}
CONTENTS = {"contents": [{"parts": [{"text": "What is Paris?"}]}]}
BODIES = {
    "/complete": PROMPT,
    "/api/v1/complete": PROMPT,
    "/v1/chat/completions": CHAT,
    "/v1/responses": {"model": "auto", "input": "What is Paris?"},
    "/v1/messages": {**CHAT, "max_tokens": 50},
    "/v1/messages/count_tokens": CHAT,
    "/v1/embeddings": {"model": "nothing", "input": "x"},
    "/v1/completions": {"model": "auto", "prompt": "Hi"},
    "/v1/responses/input_tokens": {"model": "auto", "input": "Hi"},
    "/v1/responses/compact": {"model": "auto", "input": "Hi"},
    "/v1/images/generations": {"model": "nothing", "prompt": "x"},
    "/v1/audio/speech": {"model": "nothing", "input": "x", "voice": "alloy"},
    "/v1/moderations": {"model": "nothing", "input": "x"},
    "/v1/rerank": {"model": "nothing", "query": "x", "documents": ["y"]},
    "/v2/rerank": {"model": "nothing", "query": "x", "documents": ["y"]},
    ":generateContent": CONTENTS,
    ":countTokens": CONTENTS,
    ":embedContent": {"content": CONTENTS["contents"][0]},
    ":batchEmbedContents": {"requests": [{"content": CONTENTS["contents"][0]}]},
}
SCOPE: dict[str, Any] = {
    "type": "http",
    "method": "POST",
    "path": "/complete",
    "scheme": "http",
    "headers": [(b"content-type", b"application/json")],
}
WRONG = [b"", b"{", b"[]", b"null", b'"text"', b'{"prompt": ""}', b'{"model": 5}', b"\xff", b"NaN"]


def with_services() -> dict[str, Any]:
    """The scope as the gatekeeper passes it on."""
    return {**SCOPE, "optimizer.services": get_services()}


def comparable(headers: Any) -> dict[str, str]:
    """Without ids, and what only Django says of its own view."""
    theirs = {"allow", "vary", "content-length", "x-request-id", "request-id"}
    return {name.lower(): value for name, value in headers.items() if name.lower() not in theirs}


def without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: without_ids(found)
            for name, found in value.items()
            if name
            not in {"id", "request_id", "responseId", "created", "created_at", "total_cost_today"}
        }
    return [without_ids(one) for one in value] if isinstance(value, list) else value


# The method that always streams is tried where its streams are read.
@pytest.mark.parametrize("endpoint", sorted(ENDPOINTS.keys() - {":streamGenerateContent"}))
async def test_both_doors_answer_alike(client: httpx.AsyncClient, endpoint: str) -> None:
    django = AsyncClient()
    json_type = {"content-type": "application/json"}
    body = BODIES[endpoint]
    path = f"/v1beta/models/auto{endpoint}" if endpoint.startswith(":") else endpoint
    await client.post(path, json=body)  # from the cache from now on
    for raw in (json.dumps(body).encode(), *WRONG[1:]):
        quick = await client.post(path, content=raw, headers=json_type)
        usual = await django.post(path, raw, content_type="application/json")
        assert quick.status_code == usual.status_code
        assert without_ids(quick.json()) == without_ids(json.loads(usual.content))
        assert comparable(quick.headers) == comparable(usual.headers)
        assert uuid.UUID(quick.headers["x-request-id"])


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"content-type": "text/plain"}, b"{}", 415),
        ({"content-type": "application/json", "content-encoding": "gzip"}, b"{}", 400),
        ({"content-type": "application/json", "content-encoding": "br"}, b"{}", 415),
        ({"content-type": "application/json"}, b"", 400),
        ({"content-type": "Application/JSON; charset=utf-8"}, b'{"prompt": "Hi"}', 200),
    ],
)
async def test_what_is_unusual_is_told(
    client: httpx.AsyncClient, headers: dict[str, str], content: bytes, status: int
) -> None:
    assert (await client.post("/complete", content=content, headers=headers)).status_code == status
    assert (await client.get("/complete")).status_code == 405


async def test_plain_http_is_sent_to_tls_where_that_is_demanded(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_HSTS_SECONDS = 60
    passed_on = []

    async def django(scope: Any, receive: Any, send: Any) -> None:
        passed_on.append(scope["path"])

    lane = FastPath(django, endpoints_of)
    said: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        said.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}"}

    await lane(with_services(), receive, send)
    assert passed_on == ["/complete"]
    forwarded = {
        **with_services(),
        "headers": [*SCOPE["headers"], (b"x-forwarded-proto", b"https")],
    }
    await lane(forwarded, receive, send)
    assert passed_on == ["/complete"]
    assert said[0]["status"] == 400
    assert dict(said[0]["headers"])[b"strict-transport-security"].startswith(b"max-age=60")


async def test_who_leaves_amid_a_call_is_not_answered_but_recorded(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    gates = {name: asyncio.Event() for name in fakes}
    for name, fake in fakes.items():
        fake.gate = gates[name]
    begun, said = False, []

    async def receive() -> dict[str, Any]:
        nonlocal begun
        if not begun:
            begun = True
            return {"type": "http.request", "body": json.dumps(PROMPT).encode()}
        await eventually(lambda: any(fake.asked for fake in fakes.values()))
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        said.append(message)

    await FastPath(_nobody, endpoints_of)(with_services(), receive, send)
    assert said == []
    for gate in gates.values():
        gate.set()
    await get_services().routing.drain()
    # The call that was under way is paid for, so it stands in the ledger.
    assert await RequestRecord.objects.acount() == 1


async def _nobody(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("the lane serves this")


prompts = st.one_of(
    st.text(),
    st.sampled_from(["", " ", "\n\t", "\0", "a\0b", "\ud800", "Grüße", "x" * 400_001, 5, None]),
)
tokens = st.one_of(st.integers(-1, 4002), st.sampled_from([True, 1.0, "5", None]))
truths = st.sampled_from([True, False, 0, 1, "true", None])


@given(
    st.fixed_dictionaries(
        {}, optional={"prompt": prompts, "max_tokens": tokens, "auto_route": truths, "x": truths}
    )
)
def test_what_is_taken_unseen_the_serializer_takes_too(data: dict[str, Any]) -> None:
    serializer = CompleteInput(data=data)
    if not serializer.is_valid():
        with pytest.raises(ValidationError):
            read_complete(data)
        return
    valid, fields = serializer.validated_data, read_complete(data)
    assert fields["prompt"] == valid["prompt"]
    assert fields.get("max_tokens", 1000) == valid["max_tokens"]
    assert fields.get("auto_route") == (valid["auto_route"] if "auto_route" in data else None)

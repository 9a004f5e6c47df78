"""Google's official SDK, unchanged but for its base URL, and Gemini's API by hand."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import errors, types

from analytics.models import RequestRecord
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.streams import gemini_stream, sse
from tests.fakes.wires import (
    ANSWER,
    anthropic_message,
    embeddings_wire,
    gemini_response,
    openai_completion,
)

# The SDK subclasses aiohttp's session, which aiohttp discourages.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

GEMINI, HAIKU, OPENROUTER = (
    "gemini-3.5-flash-lite",
    "claude-haiku-4-5",
    "openrouter/z-ai/glm-5.3-flash",
)
QUESTION: dict[str, Any] = {
    "contents": [{"role": "user", "parts": [{"text": "The capital of France?"}]}]
}
WEATHER = {"name": "weather", "parametersJsonSchema": {"type": "object", "properties": {}}}


@pytest.fixture
async def sdk(served: str) -> AsyncIterator[Any]:
    client = genai.Client(
        api_key="any", http_options=types.HttpOptions(base_url=served, api_version="v1beta")
    )
    yield client.aio
    await client.aio.aclose()


@pytest.fixture
async def http(served: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served) as client:
        yield client


def path(model: str, method: str = "generateContent") -> str:
    return f"/v1beta/models/{model}:{method}"


def events_of(text: str) -> list[Any]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


@pytest.mark.parametrize("model", ["auto", GEMINI, HAIKU, OPENROUTER])
async def test_any_model_answers_whole_and_streamed(sdk: Any, model: str) -> None:
    whole = await sdk.models.generate_content(model=model, contents="The capital of France?")
    assert (whole.text, whole.candidates[0].finish_reason) == (ANSWER, types.FinishReason.STOP)
    assert whole.usage_metadata.prompt_token_count == 20
    pieces = [
        piece
        async for piece in await sdk.models.generate_content_stream(
            model=model, contents="The capital of France?"
        )
    ]
    assert "".join(piece.text or "" for piece in pieces) == ANSWER
    assert pieces[-1].usage_metadata.total_token_count == 29
    records = [r async for r in RequestRecord.objects.order_by("id")]
    assert [(r.endpoint, r.requested_model) for r in records] == [("generateContent", model)] * 2


@pytest.mark.parametrize("model", [GEMINI, HAIKU, OPENROUTER])
async def test_the_sdk_calls_tools_until_the_answer(
    sdk: Any, fakes: dict[str, FakeProvider], model: str
) -> None:
    fakes["gemini"].next(
        Reply(
            gemini_response(
                "m",
                candidates=[
                    {
                        "content": {
                            "parts": [
                                {
                                    "functionCall": {"name": "weather", "args": {"city": "Nice"}},
                                    "thoughtSignature": "c2VhbGVk",
                                }
                            ]
                        },
                        "finishReason": "STOP",
                    }
                ],
            )
        )
    )
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Nice"}}
    fakes["claude"].next(Reply(anthropic_message("m", content=[call], stop_reason="tool_use")))
    function = {"name": "weather", "arguments": '{"city": "Nice"}'}
    message = {
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }
    fakes["openrouter"].next(
        Reply(
            openai_completion(
                "m", choices=[{"index": 0, "message": message, "finish_reason": "tool_calls"}]
            )
        )
    )
    asked = []

    def weather(city: str) -> str:
        """Return the weather of a city."""
        asked.append(city)
        return "sunny"

    chat = sdk.chats.create(model=model, config=types.GenerateContentConfig(tools=[weather]))
    assert (await chat.send_message("The weather of Nice?")).text == ANSWER
    assert asked == ["Nice"]
    if model == GEMINI:
        parts = fakes["gemini"].asked[1].body["contents"][1]["parts"]
        assert parts[0]["thoughtSignature"] == "c2VhbGVk"


async def test_an_answer_of_gemini_passes_as_it_came(
    http: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    body = gemini_response("m", new_field={"a": 1})
    body["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["x"]}
    request = {
        **QUESTION,
        "tools": [{"googleSearch": {}}],
        "safety_settings": [{"category": "HARM", "threshold": "OFF"}],
        "unknown": {"b": 2},
        "generation_config": {"temperature": 0.5, "new": True},
    }
    fakes["gemini"].next(Reply(body))
    reply = await http.post(path(GEMINI), json=request)
    assert reply.json() == body
    assert fakes["gemini"].asked[0].body == request
    assert Decimal(reply.headers["x-optimizer-cost"]) > 0


async def test_a_stream_of_gemini_passes_as_it_came(
    http: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    body = gemini_response("m", "Paris, of course.")
    chunks = gemini_stream(body)
    fakes["gemini"].next(Reply(chunks=chunks))
    reply = await http.post(path(GEMINI, "streamGenerateContent") + "?alt=sse", json=QUESTION)
    sent, got = events_of(b"".join(chunks).decode()), events_of(reply.text)
    summary = got[-1].pop("optimizer")
    assert got == sent
    assert summary["model"] == GEMINI


@pytest.mark.parametrize("model", [GEMINI, HAIKU])
async def test_without_sse_a_stream_is_one_array(http: httpx.AsyncClient, model: str) -> None:
    reply = await http.post(path(model, "streamGenerateContent"), json=QUESTION)
    assert reply.headers["content-type"].startswith("application/json")
    texts = [p["text"] for m in reply.json() for p in m["candidates"][0]["content"]["parts"]]
    assert "".join(texts) == ANSWER
    assert len(texts) > 1


async def test_reasoning_of_another_model_comes_back_to_it_alone(
    http: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    content = [
        {"type": "thinking", "thinking": "I know it.", "signature": "signed"},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}},
    ]
    fakes["claude"].next(Reply(anthropic_message("m", content=content, stop_reason="tool_use")))
    asked = {**QUESTION, "tools": [{"functionDeclarations": [WEATHER]}]}
    answer = (await http.post(path(HAIKU), json=asked)).json()["candidates"][0]["content"]
    thought, call = answer["parts"]
    assert (thought["text"], thought["thought"]) == ("I know it.", True)
    # The signature is bytes, which a client may write in the alphabet for URLs.
    for part in (thought, call):
        raw = base64.b64decode(part["thoughtSignature"])
        part["thoughtSignature"] = base64.urlsafe_b64encode(raw).decode()
    result = {"functionResponse": {"name": "weather", "response": {"result": "sunny"}}}
    turns = [*QUESTION["contents"], answer, {"role": "user", "parts": [result]}]
    again = {**asked, "contents": turns}
    assert (await http.post(path(GEMINI), json=again)).status_code == 200
    given = fakes["gemini"].asked[0].body["contents"][1]["parts"]
    assert given == [
        {
            "functionCall": call["functionCall"],
            "thoughtSignature": "skip_thought_signature_validator",
        }
    ]
    assert "optimizer" not in json.dumps(fakes["gemini"].asked[0].body)


async def test_errors_have_google_s_form(http: httpx.AsyncClient, sdk: Any) -> None:
    for wrong, status, word in (
        ((path("nobody"), QUESTION), 404, "NOT_FOUND"),
        ((path("auto"), {}), 400, "INVALID_ARGUMENT"),
        ((path("auto"), {"contents": [5]}), 400, "INVALID_ARGUMENT"),
        (("/v1beta/nothing", {}), 404, "NOT_FOUND"),
        (("/v1/models/nobody:generateContent", QUESTION), 404, "NOT_FOUND"),
    ):
        reply = await http.post(wrong[0], json=wrong[1])
        error = reply.json()["error"]
        assert (reply.status_code, error["code"], error["status"]) == (status, status, word)
        assert error["message"]
    with pytest.raises(errors.ClientError) as caught:
        await sdk.models.generate_content(model="nobody", contents="?")
    assert caught.value.status == "NOT_FOUND"
    openai = await http.post("/v1/chat/completions", json={})
    assert openai.json()["error"]["type"] == "invalid_request_error"


async def test_google_s_own_error_keeps_its_details(
    http: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    body = {"error": {"code": 400, "message": "no", "status": "X", "details": [{"a": 1}]}}
    fakes["gemini"].always(Reply(body, 400))
    reply = await http.post(path(GEMINI), json=QUESTION)
    assert (reply.status_code, reply.json()) == (400, body)


async def test_tokens_are_counted(
    sdk: Any, http: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    fakes["gemini"].next(Reply({"totalTokens": 31}))
    counted = await sdk.models.count_tokens(model=GEMINI, contents="The capital of France?")
    assert counted.total_tokens == 31
    fakes["gemini"].next(Reply({"totalTokens": 32}))
    whole = {"generateContentRequest": {"model": "models/x", **QUESTION, "labels": {"a": "b"}}}
    reply = await http.post(path(GEMINI, "countTokens"), json=whole)
    assert reply.json() == {"totalTokens": 32}
    sent = fakes["gemini"].asked[1].body["generateContentRequest"]
    assert (sent["model"], sent["labels"]) == (f"models/{GEMINI}", {"a": "b"})
    estimated = await http.post(path("auto", "countTokens"), json=QUESTION)
    assert estimated.json()["totalTokens"] > 0


async def test_models_are_listed(served: str, sdk: Any, http: httpx.AsyncClient) -> None:
    listed = [model.name async for model in await sdk.models.list()]
    assert {"models/auto", f"models/{GEMINI}"} <= set(listed)
    assert (await sdk.models.get(model=GEMINI)).input_token_limit == 1_000_000
    missing = await http.get("/v1beta/models/nobody")
    assert (missing.status_code, missing.json()["error"]["status"]) == (404, "NOT_FOUND")
    # Under /v1 the list is OpenAI's, but for Google's clients.
    assert "data" in (await http.get("/v1/models")).json()
    of_google = await http.get("/v1/models", headers={"x-goog-api-key": "any"})
    assert "models" in of_google.json()
    with_colon = await http.get("/v1/models/auto:best")
    assert with_colon.json()["id"] == "auto:best"


async def test_synchronously_with_the_default_version(served: str) -> None:
    def ask() -> tuple[str | None, bool]:
        options = types.HttpOptions(base_url=served)
        with genai.Client(api_key="any", http_options=options) as client:
            text = client.models.generate_content(model="auto", contents="?").text
            return text, any(model.name == "models/auto" for model in client.models.list())

    assert await asyncio.to_thread(ask) == (ANSWER, True)


async def test_a_silent_stream_is_kept_alive_with_nothing_a_client_could_misread(
    sdk: Any, fakes: dict[str, FakeProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optimizer.gateway.streaming.shared_stream.KEEP_ALIVE_SECONDS", 0.05)
    fakes["gemini"].next(
        Reply(chunks=[sse({"candidates": [{"content": {"parts": [{"text": "Pa"}]}}]}),
                      *gemini_stream(gemini_response("m", "ris"))], pause=0.3)
    )  # fmt: skip
    stream = await sdk.models.generate_content_stream(model=GEMINI, contents="?")
    assert "".join([piece.text or "" async for piece in stream]) == "Paris"


async def test_embeddings_of_any_provider(
    served: str, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = await http.post(
        path("text-embedding-3-small", "embedContent"), json={"content": {"parts": [{"text": "a"}]}}
    )
    assert refused.status_code == 404
    assert refused.json()["error"]["status"] == "NOT_FOUND"
    assert "OPENAI_API_KEY" in refused.json()["error"]["message"]


async def test_embeddings_are_computed(
    transactional_db: None,
    fakes: dict[str, FakeProvider],
    monkeypatch: pytest.MonkeyPatch,
    start: Any,
) -> None:
    async with FakeProvider(embeddings_wire) as fake:
        monkeypatch.setenv("OPENAI_API_KEY", "dummy-key-for-tests")
        monkeypatch.setenv("OPENAI_BASE_URL", fake.url)
        http = await start()
        content = {"content": {"parts": [{"text": "a"}]}, "outputDimensionality": 2}
        one = await http.post(path("text-embedding-3-small", "embedContent"), json=content)
        assert one.json() == {"embedding": {"values": [0.5, -0.25]}}
        assert fake.asked[0].body["dimensions"] == 2
        several = await http.post(
            path("text-embedding-3-small", "batchEmbedContents"),
            json={"requests": [content, content]},
        )
        assert len(several.json()["embeddings"]) == 2

"""Images, audio, moderation and ranking: with the official SDK, priced, recorded and bounded.

Prices are those of the price package (genai-prices), which has them from
https://developers.openai.com/api/docs/pricing and https://groq.com/pricing.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from asgiref.sync import sync_to_async

from analytics.access.keys import key_make
from analytics.budgets.opening import budget_open
from analytics.models import (
    ApiKey,
    Budget,
    BudgetHold,
    BudgetUsage,
    RequestRecord,
    RoutingRule,
)
from optimizer.domain.identifiers import new_request_id
from optimizer.domain.options import RequestOptions
from optimizer.gateway.specialised import RecordedStream
from optimizer.wiring.build import get_services
from providers.specialised.requests import SpecialisedRequest
from tests.conftest import Start, logged_in
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.specialised import (
    IMAGE_USAGE,
    PNG,
    SPOKEN,
    TEXT,
    cohere_wire,
    form_of,
    jina_wire,
    specialised_wire,
    wav,
)
from tests.fakes.wires import KEY
from tests.optimizer.api.compat.conftest import on_a_port
from tests.patience import eventually

IMAGE: dict[str, Any] = {"model": "gpt-image-2.5-flare", "prompt": "A lighthouse"}
# gpt-image-2.5: USD 5 a million tokens of text, 8 of images, 30 of images that are made.
IMAGE_COST = (10 * Decimal(5) + 40 * 8 + 400 * 30) / 1_000_000
SOUND = {"file": ("talk.mp3", b"sound", "audio/mpeg")}
CATALOGUE = """
[providers.jina]
wire = "openai"
base_url = "https://api.jina.ai/v1"
base_url_env = "JINA_BASE_URL"
key_env = ["JINA_API_KEY"]
lacks = ["text completions"]
regions = ["eu"]

[[models]]
kind = "rerank"
provider = "cohere"
id = "rerank-v3.5"
price = { search_units = "2" }

[[models]]
kind = "rerank"
provider = "jina"
id = "jina-reranker-v3"
price = { input = "0.05" }

[[models]]
kind = "image"
provider = "xai"
id = "grok-imagine-image"
price = { images = "20", "images/2k" = "70" }

[[models]]
kind = "image"
provider = "openai"
id = "shared-image"
price = { images = "10" }

[[models]]
kind = "image"
provider = "xai"
id = "shared-image"
price = { images = "10" }
"""


@pytest.fixture
async def fake(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    settings: Any,
) -> AsyncIterator[FakeProvider]:  # fmt: skip
    catalogue = tmp_path / "catalogue.toml"
    catalogue.write_text(CATALOGUE)
    settings.CATALOGUE_FILE = str(catalogue)
    async with (
        FakeProvider(specialised_wire) as openai_,
        FakeProvider(cohere_wire) as cohere,
        FakeProvider(jina_wire) as jina,
    ):
        for name, url in (
            ("OPENAI", openai_.url), ("GROQ", openai_.url), ("XAI", openai_.url),
            ("COHERE", f"{cohere.url}/compatibility/v1"), ("JINA", jina.url),
        ):  # fmt: skip
            monkeypatch.setenv(f"{name}_API_KEY", KEY)
            monkeypatch.setenv(f"{name}_BASE_URL", url)
        yield openai_


@pytest.fixture
async def sdk(fake: FakeProvider) -> AsyncIterator[openai.AsyncOpenAI]:
    async with (
        on_a_port() as address,
        openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0) as client,
    ):
        yield client


@pytest.fixture
async def http(fake: FakeProvider, start: Start) -> httpx.AsyncClient:
    return await start()


async def record_of(endpoint: str) -> RequestRecord:
    return await RequestRecord.objects.aget(endpoint=endpoint)


async def test_images_with_the_sdk(sdk: openai.AsyncOpenAI, fake: FakeProvider) -> None:
    raw = await sdk.images.with_raw_response.generate(
        **IMAGE, n=2, quality="low", extra_body={"optimizer": {"tags": ["art"]}}
    )
    images = raw.parse()
    assert [image.b64_json for image in images.data or ()] == [PNG, PNG]
    assert images.usage is not None
    assert images.usage.output_tokens == 400
    assert fake.asked[0].body == {**IMAGE, "n": 2, "quality": "low"}
    record = await record_of("images/generations")
    assert (record.status, record.cost, record.price_basis) == ("ok", IMAGE_COST, "table")
    assert (record.prompt, record.tags) == ("A lighthouse", ["art"])
    assert (record.tokens_in, record.tokens_out) == (50, 400)
    assert record.billed_units == {
        "image_input_tokens": 40, "image_output_tokens": 400, "images": 2,
        "image_variant": "low 1024x1024",
    }  # fmt: skip
    assert Decimal(raw.headers["x-optimizer-cost"]) == IMAGE_COST
    assert raw.headers["x-optimizer-model"] == "gpt-image-2.5-flare"


async def test_images_are_streamed_and_recorded_before_the_last_event(
    sdk: openai.AsyncOpenAI,
) -> None:
    stream = await sdk.images.generate(**IMAGE, stream=True, partial_images=1)
    seen = [(event.type, await RequestRecord.objects.acount()) async for event in stream]
    assert [name for name, _ in seen] == [
        "image_generation.partial_image", "image_generation.completed",
    ]  # fmt: skip
    assert seen[-1][1] == 1
    record = await record_of("images/generations")
    assert (record.cost, record.streamed) == (IMAGE_COST, True)
    assert record.ttft_ms is not None


async def test_images_are_changed_with_the_sdk(sdk: openai.AsyncOpenAI, fake: FakeProvider) -> None:
    picture = b"\x89PNG\r\n\x1a\n\0\xff--odd\r\n"
    images = await sdk.images.edit(
        model="openai/gpt-image-2.5-flare", prompt="Add a boat", n=1,
        image=[("a.png", picture, "image/png"), ("b.png", b"b", "image/png")],
    )  # fmt: skip
    assert images.data is not None
    assert images.data[0].b64_json == PNG
    form = form_of(fake.asked[0])
    assert form["model"] == [b"gpt-image-2.5-flare"]
    assert (form["prompt"], form["n"], form["image[]"]) == (
        [b"Add a boat"],
        [b"1"],
        [picture, b"b"],
    )
    record = await record_of("images/edits")
    assert (record.cost, record.requested_model) == (IMAGE_COST, "openai/gpt-image-2.5-flare")


@pytest.mark.parametrize(
    ("model", "cost", "units"),
    [
        # 100 tokens of audio at USD 6 a million, 20 of text at 2.50, 30 written at 10.
        ("gpt-4o-transcribe", Decimal("0.00095"), {"audio_input_tokens": 100}),
        # The SDK's usage of a duration; USD 0.27 an hour.
        ("gpt-transcribe", Decimal("0.0009"), {"audio_seconds": 12.0}),
        # USD 0.36 an hour of 95 seconds; 0.04 an hour of 94.6, which Groq says in the verbose form.
        ("whisper-1", Decimal("0.0095"), {"audio_seconds": 95.0}),
        ("groq/whisper-large-v3-turbo", Decimal("0.0010511111"), {"audio_seconds": 94.6}),
    ],
)
async def test_audio_is_written_down_with_the_sdk(
    sdk: openai.AsyncOpenAI, fake: FakeProvider, model: str, cost: Decimal, units: dict[str, Any]
) -> None:
    sound = wav(1)
    transcription = await sdk.audio.transcriptions.create(
        model=model, file=("talk.wav", sound, "audio/wav"), language="fr"
    )
    assert transcription.text == TEXT
    assert transcription.usage is not None
    form = form_of(fake.asked[0])
    assert (form["file"], form["language"]) == ([sound], [b"fr"])
    record = await record_of("audio/transcriptions")
    assert (record.cost, record.prompt, record.usage_estimated) == (cost, "talk.wav", False)
    assert record.billed_units == units


async def test_forms_of_a_transcript(sdk: openai.AsyncOpenAI) -> None:
    file = ("talk.mp3", b"ID3 sound", "audio/mpeg")
    plain = await sdk.audio.transcriptions.create(
        model="whisper-1", file=file, response_format="text"
    )
    assert plain == f"{TEXT}\n"
    with pytest.deprecated_call():  # the SDK would rather have transcriptions
        subtitles = await sdk.audio.translations.create(
            model="whisper-1", file=file, response_format="srt"
        )
    assert isinstance(subtitles, str)
    assert subtitles.startswith("1\n00:00:00,000")
    # The last subtitle ends after 90.25 seconds.
    record = await record_of("audio/translations")
    assert record.billed_units == {"audio_seconds": 90.25}
    events = [
        event
        async for event in await sdk.audio.transcriptions.create(
            model="gpt-4o-transcribe", file=file, stream=True
        )
    ]
    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
    streamed = await RequestRecord.objects.aget(streamed=True)
    assert streamed.cost == Decimal("0.00095")


async def test_a_stream_that_the_model_does_not_have_is_a_whole_answer(
    http: httpx.AsyncClient, fake: FakeProvider
) -> None:
    fake.next(Reply({"text": TEXT, "duration": 10}))
    form = {"model": "whisper-1", "stream": "true"}
    answer = await http.post("/v1/audio/transcriptions", data=form, files=SOUND)
    assert answer.json()["text"] == TEXT
    assert answer.headers["content-type"] == "application/json"
    assert (await record_of("audio/transcriptions")).cost == Decimal("0.001")


async def test_a_stream_that_nobody_reads_is_closed_and_recorded(
    http: httpx.AsyncClient, fake: FakeProvider
) -> None:
    fake.next(Reply(chunks=[SPOKEN] * 500, headers={"content-type": "audio/mpeg"}, pause=0.02))
    request = SpecialisedRequest("audio/speech", {"input": "Good morning"}, text="Good morning")
    stream = await get_services().specialised.perform(
        "tts-1", request, RequestOptions(), new_request_id()
    )
    assert isinstance(stream, RecordedStream)
    stream.leave()
    await get_services().specialised.drain()
    record = await record_of("audio/speech")
    assert (record.status, record.cost) == ("partial", Decimal("0.00018"))
    await eventually(lambda: fake.hung_up_on)


@pytest.mark.parametrize(
    ("model", "cost"),
    [
        ("tts-1", Decimal("0.00018")),  # twelve characters at USD 15 a million
        # 14 tokens at USD 0.60 a million, 101 at 12: reported in events alone.
        ("gpt-4o-mini-tts", Decimal("0.0012204")),
    ],
)
async def test_speech_is_streamed_through_with_the_sdk(
    sdk: openai.AsyncOpenAI, fake: FakeProvider, model: str, cost: Decimal
) -> None:
    speech: Any = {"model": model, "voice": "alloy", "input": "Good morning"}
    async with sdk.audio.speech.with_streaming_response.create(**speech) as response:
        assert response.headers["content-type"] == "audio/mpeg"
        assert response.headers["x-optimizer-model"] == model
        pieces = [piece async for piece in response.iter_bytes(5)]
    assert b"".join(pieces) == SPOKEN
    record = await record_of("audio/speech")
    assert (record.cost, record.prompt, record.status) == (cost, "Good morning", "ok")
    assert record.billed_units == {"characters": 12}
    assert fake.asked[0].body["voice"] == "alloy"


async def test_events_of_speech_are_passed_on_if_asked_for(sdk: openai.AsyncOpenAI) -> None:
    speech = await sdk.audio.speech.create(
        model="gpt-4o-mini-tts", voice="alloy", input="Good morning", stream_format="sse"
    )
    assert b"speech.audio.delta" in speech.content
    assert b"speech.audio.done" in speech.content


async def test_moderations_with_the_sdk(sdk: openai.AsyncOpenAI, fake: FakeProvider) -> None:
    moderation = await sdk.moderations.create(input=["Good morning", "Good night"])
    assert moderation.results[0].flagged is False
    assert fake.asked[0].body["model"] == "omni-moderation-latest"
    record = await record_of("moderations")
    assert (record.cost, record.price_basis, record.prompt) == (0, "table", "Good morning")


async def test_documents_are_ranked_by_cohere(http: httpx.AsyncClient) -> None:
    body = {
        "model": "rerank-v3.5", "query": "Capital?", "top_n": 1, "return_documents": True,
        "documents": [{"text": "Paris"}, "Berlin"],
    }  # fmt: skip
    answer = await http.post("/v1/rerank", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["results"] == [
        {"index": 0, "relevance_score": 0.9, "document": {"text": "Paris"}}
    ]
    record = await record_of("rerank")
    # The catalogue of this test has USD 2 per thousand search units.
    assert (record.cost, record.billed_units) == (Decimal("0.002"), {"search_units": 1})
    assert record.prompt == "Capital?"


async def test_cohere_s_clients_use_a_path_of_their_own(http: httpx.AsyncClient) -> None:
    body = {"model": "rerank-v3.5", "query": "Capital?", "documents": ["Paris", "Berlin"]}
    answer = await http.post("/v2/rerank", json=body)
    assert [result["index"] for result in answer.json()["results"]] == [0, 1]
    assert (await record_of("rerank")).cost == Decimal("0.002")
    assert (await http.post("/v2/rerank", json={**body, "documents": []})).status_code == 400


async def test_deployments_of_azure_draw(
    fake: FakeProvider, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", fake.url)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    monkeypatch.setenv("AZURE_OPENAI_DEPLOYMENTS", "gpt-image-2.5-flare=pictures")
    fake.always(Reply({"created": 1, "data": [{"b64_json": PNG}], "usage": IMAGE_USAGE}))
    http = await start()
    body = {**IMAGE, "model": "azure/gpt-image-2.5-flare"}
    answer = await http.post("/v1/images/generations", json=body)
    assert answer.status_code == 200, answer.text
    (asked,) = fake.asked
    assert (asked.path, asked.body["model"]) == ("/openai/v1/images/generations", "pictures")
    assert asked.headers["api-key"] == KEY
    assert (await record_of("images/generations")).provider == "azure"


async def test_documents_are_ranked_by_jina(http: httpx.AsyncClient) -> None:
    body = {"model": "jina-reranker-v3", "query": "Capital?", "documents": ["Paris", "Berlin"]}
    answer = await http.post("/v1/rerank", json=body)
    assert [result["index"] for result in answer.json()["results"]] == [0, 1]
    record = await record_of("rerank")
    assert (record.tokens_in, record.cost) == (240, Decimal("0.000012"))


async def test_a_price_that_is_not_known_makes_the_cost_unknown(http: httpx.AsyncClient) -> None:
    body = {"model": "rerank-v4.0-fast", "query": "Capital?", "documents": ["Paris"]}
    answer = await http.post("/v1/rerank", json=body)
    assert answer.status_code == 200
    record = await record_of("rerank")
    assert (record.cost, record.price_basis) == (None, "unknown")


async def test_images_are_priced_by_their_size(http: httpx.AsyncClient, fake: FakeProvider) -> None:
    made = {"created": 1, "data": [{"url": "https://x.ai/1"}, {"url": "https://x.ai/2"}]}
    for resolution, cost in (("2k", "0.14"), ("1k", "0.04")):
        fake.next(Reply(made))
        body = {"model": "grok-imagine-image", "prompt": "A boat", "resolution": resolution, "n": 2}
        answer = await http.post("/v1/images/generations", json=body)
        assert answer.json() == made
        assert Decimal(answer.headers["x-optimizer-cost"]) == Decimal(cost)


async def test_what_the_provider_says_it_charged_counts(
    http: httpx.AsyncClient, fake: FakeProvider
) -> None:
    usage = {"cost_in_usd_ticks": 500_000_000}
    fake.next(Reply({"created": 1, "data": [{"url": "https://x.ai/1"}], "usage": usage}))
    body = {"model": "grok-imagine-image-2.0", "prompt": "A boat"}
    answer = await http.post("/v1/images/generations", json=body)
    assert answer.status_code == 200
    record = await record_of("images/generations")
    assert (record.cost, record.price_basis) == (Decimal("0.05"), "reported")


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


async def test_the_provider_s_error_is_relayed_and_recorded(
    sdk: openai.AsyncOpenAI, fake: FakeProvider
) -> None:
    error = {
        "message": "Your request was rejected by the safety system.",
        "type": "image_generation_user_error", "param": None, "code": "moderation_blocked",
    }  # fmt: skip
    fake.always(Reply({"error": error}, 400))
    with pytest.raises(openai.BadRequestError) as refused:
        await sdk.images.generate(**IMAGE)
    assert refused.value.body == error
    record = await record_of("images/generations")
    assert (record.status, record.cost) == ("error", 0)
    assert record.attempts[0]["status"] == 400
    fake.always(Reply({"error": {"message": "overloaded"}}, 500))
    with pytest.raises(openai.InternalServerError):
        await sdk.audio.speech.create(model="tts-1", voice="alloy", input="Good morning")
    failed = await record_of("audio/speech")
    assert failed.status == "error"


async def test_a_stream_that_breaks_off_is_recorded_as_such(
    sdk: openai.AsyncOpenAI, fake: FakeProvider
) -> None:
    fake.next(Reply(chunks=[SPOKEN[:5]], headers={"content-type": "audio/mpeg"}, drop=True))
    with pytest.raises((openai.APIError, httpx.HTTPError)):
        await sdk.audio.speech.create(model="tts-1", voice="alloy", input="Good morning")
    record = await record_of("audio/speech")
    assert (record.status, record.cost) == ("partial", Decimal("0.00018"))


ERROR = {"type": "server_error", "code": "server_error", "message": "The drawing failed."}
# A model of two providers, at USD 10 for a thousand images.
SHARED = {"model": "shared-image", "prompt": "A lighthouse"}
SHARED_COST = Decimal("0.01")
PARTIAL = {"type": "image_generation.partial_image", "b64_json": PNG, "partial_image_index": 0}


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "error": ERROR},
        {"error": ERROR},
        {"type": "image_generation.failed", "error": ERROR},
        {"type": "error", **{k: v for k, v in ERROR.items() if k != "type"}},
    ],
)
async def test_an_error_in_a_stream_of_status_200_is_a_failure_of_unknown_cost(
    event: dict[str, Any], http: httpx.AsyncClient, fake: FakeProvider
) -> None:
    fake.next(Reply(chunks=[f"data: {json.dumps(event)}\n\n".encode()]))
    answer = await http.post("/v1/images/generations", json={**IMAGE, "stream": True})
    assert answer.status_code == 503
    assert "internal failure" in answer.json()["error"]["message"]
    record = await record_of("images/generations")
    assert (record.status, record.cost, record.price_basis) == ("error", None, "unknown")
    assert record.error_code == "provider_unavailable"
    assert len(record.attempts) == 1


async def test_an_error_that_says_what_was_used_costs_that(
    http: httpx.AsyncClient, fake: FakeProvider
) -> None:
    event = {"type": "error", "error": ERROR, "usage": IMAGE_USAGE}
    fake.next(Reply(chunks=[f"event: error\ndata: {json.dumps(event)}\n\n".encode()]))
    await http.post("/v1/images/generations", json={**IMAGE, "stream": True})
    record = await record_of("images/generations")
    assert (record.status, record.cost, record.failed_cost) == ("error", IMAGE_COST, IMAGE_COST)


async def test_an_image_that_may_not_be_drawn_is_the_client_s_error_in_the_provider_s_words(
    http: httpx.AsyncClient, fake: FakeProvider
) -> None:
    # https://developers.openai.com/api/docs/guides/image-generation
    error = {"type": "image_generation_user_error", "code": "moderation_blocked", "message": "No."}
    fake.next(Reply(chunks=[f"data: {json.dumps({'type': 'error', 'error': error})}\n\n".encode()]))
    answer = await http.post("/v1/images/generations", json={**IMAGE, "stream": True})
    assert (answer.status_code, answer.json()["error"]) == (400, error)


@pytest.mark.parametrize("failure", ["error", "nothing", "connection"])
async def test_a_stream_that_fails_before_its_first_piece_is_another_provider_s(
    http: httpx.AsyncClient, fake: FakeProvider, failure: str
) -> None:
    event = {"type": "error", "error": ERROR}
    chunks = [f"data: {json.dumps(event)}\n\n".encode()] if failure == "error" else []
    fake.next(Reply(chunks=chunks, drop=failure == "connection"))
    async with http.stream(
        "POST", "/v1/images/generations", json={**SHARED, "stream": True}
    ) as got:
        assert got.status_code == 200
        text = (await got.aread()).decode()
    assert text.count("image_generation.completed") == 2  # the event's name, and its type
    assert "The drawing failed." not in text
    record = await record_of("images/generations")
    (attempt,) = record.attempts
    assert record.status == "ok"
    assert {attempt["provider"], record.provider} == {"openai", "xai"}
    assert record.cost == record.failed_cost + SHARED_COST
    assert not await BudgetHold.objects.aexists()


async def test_an_error_after_a_part_of_the_answer_leaves_a_partial_record(
    http: httpx.AsyncClient, fake: FakeProvider
) -> None:
    chunks = [
        f"data: {json.dumps(event)}\n\n".encode()
        for event in (PARTIAL, {"type": "error", "error": ERROR})
    ]
    fake.next(Reply(chunks=chunks))
    answer = await http.post("/v1/images/generations", json={**IMAGE, "stream": True})
    assert "The drawing failed." in answer.text
    record = await record_of("images/generations")
    assert (record.status, record.error_code) == ("partial", "provider_unavailable")
    assert record.usage_estimated


async def test_speech_in_events_that_report_an_error_is_no_answer(
    sdk: openai.AsyncOpenAI, fake: FakeProvider
) -> None:
    event = {"type": "error", "error": {**ERROR, "code": 503}}
    fake.next(Reply(chunks=[f"data: {json.dumps(event)}\n\n".encode()]))
    with pytest.raises((openai.APIError, httpx.HTTPError)):
        await sdk.audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input="Good morning")
    record = await record_of("audio/speech")
    assert (record.status, record.cost) == ("error", None)


async def test_a_whole_answer_that_reports_an_error_is_a_failure(
    http: httpx.AsyncClient, fake: FakeProvider
) -> None:
    fake.always(Reply({"error": ERROR}))
    answer = await http.post(
        "/v1/audio/transcriptions", files=SOUND, data={"model": "gpt-4o-transcribe"}
    )
    assert answer.status_code == 503
    record = await record_of("audio/transcriptions")
    assert record.status == "error"


async def test_a_client_that_leaves_pays_for_what_it_asked(
    sdk: openai.AsyncOpenAI, fake: FakeProvider
) -> None:
    fake.next(Reply(chunks=[SPOKEN] * 500, headers={"content-type": "audio/mpeg"}, pause=0.02))
    speech: Any = {"model": "tts-1", "voice": "alloy", "input": "Good morning"}
    async with sdk.audio.speech.with_streaming_response.create(**speech) as response:
        async for _ in response.iter_bytes():
            break
    await eventually(RequestRecord.objects.filter(status="partial").aexists)
    record = await record_of("audio/speech")
    assert (record.cost, record.error_code) == (Decimal("0.00018"), "client_disconnected")


async def budget_of(limit: str) -> None:
    name = f"budget {limit}"
    await sync_to_async(budget_open)(Budget(name=name, period="month", limit=Decimal(limit)))
    await sync_to_async(get_services().budgets.refresh)()


@pytest.mark.parametrize(
    ("task", "sent", "enough", "cost"),
    [
        # An image of USD 0.21 at most: 1536x1024 in high quality, at USD 30 a million tokens.
        ("images/generations", {"json": IMAGE}, "0.25", IMAGE_COST),
        ("images/edits", {"data": IMAGE, "files": {"image": ("a.png", b"a")}}, "0.50", IMAGE_COST),
        # WAV says how long it is: 30 seconds at USD 0.36 an hour are 0.003.
        ("audio/transcriptions", {"data": {"model": "whisper-1"},
                                  "files": {"file": ("a.wav", wav(30))}}, "0.0031", "0.0095"),
        ("audio/speech", {"json": {"model": "tts-1", "input": "Good morning"}}, "0.0002",
         "0.00018"),
        ("rerank", {"json": {"model": "rerank-v3.5", "query": "x", "documents": ["y"] * 250}},
         "0.006", "0.002"),
    ],
)  # fmt: skip
async def test_a_budget_holds_before_the_call(
    http: httpx.AsyncClient, fake: FakeProvider, task: str, sent: dict[str, Any], enough: str,
    cost: Any,
) -> None:  # fmt: skip
    await budget_of(str(Decimal(enough) / 5))
    refused = await http.post(f"/v1/{task}", **sent)
    assert refused.status_code == 429, refused.text
    assert refused.json()["error"]["code"] == "budget_exceeded"
    assert fake.asked == []
    await Budget.objects.all().adelete()
    await budget_of(enough)
    served = await http.post(f"/v1/{task}", **sent)
    assert served.status_code == 200, served.text
    await served.aread()
    usage = await BudgetUsage.objects.aget()
    assert usage.spent == Decimal(cost)
    assert not await BudgetHold.objects.aexists()


async def test_a_budget_allows_no_model_without_a_price(
    http: httpx.AsyncClient, fake: FakeProvider
) -> None:
    await budget_of("100")
    body = {"model": "rerank-v4.0-fast", "query": "Capital?", "documents": ["Paris"]}
    answer = await http.post("/v1/rerank", json=body)
    assert answer.status_code >= 400
    assert "price is unknown" in answer.text


async def test_a_key_may_use_its_models_alone(http: httpx.AsyncClient, fake: FakeProvider) -> None:
    key = ApiKey(name="speaker", model_names=["openai/tts-1"])

    made = await sync_to_async(key_make)(key)
    await sync_to_async(get_services().api_keys.refresh)()
    headers = {"authorization": f"Bearer {made.secret}"}
    answer = await http.post("/v1/images/generations", json=IMAGE, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")
    assert fake.asked == []
    allowed = await http.post(
        "/v1/audio/speech", json={"model": "tts-1", "input": "Hi"}, headers=headers
    )
    assert allowed.status_code == 200
    anonymous = await http.post("/v1/moderations", json={"input": "Hi"})
    assert anonymous.status_code == 401


async def test_a_body_beyond_the_limit_is_refused(http: httpx.AsyncClient) -> None:
    file = {"file": (str(uuid.uuid4()), b"\0" * (32 * 1024 * 1024 + 1))}
    answer = await http.post("/v1/audio/transcriptions", data={"model": "whisper-1"}, files=file)
    assert answer.status_code == 413


async def test_the_admin_shows_what_was_billed(http: httpx.AsyncClient) -> None:
    await http.post("/v1/audio/speech", json={"model": "tts-1", "input": "Good morning"})
    await http.post("/v1/images/generations", json=IMAGE)
    browser = await logged_in("operator")
    listed = (await browser.get("/admin/analytics/requestrecord/")).content.decode()
    assert "12 characters" in listed
    record = await record_of("images/generations")
    page = (await browser.get(f"/admin/analytics/requestrecord/{record.pk}/change/")).content
    assert "It was billed by 1 image (low 1024x1024)." in page.decode()
    models = (await browser.get("/admin/models/")).content.decode()
    assert "$15 per million characters" in models


async def rule(**fields: Any) -> None:
    await RoutingRule.objects.acreate(enabled=True, **fields)
    await sync_to_async(get_services().rules.refresh)()


async def test_what_a_rule_forbids_is_not_called_for_any_task(
    http: httpx.AsyncClient, fake: FakeProvider
) -> None:
    await rule(name="no OpenAI", action="forbid", model_names=["openai/*"], tags=["legal"])
    await rule(name="no Acme", action="forbid", model_names=["tts-*"], texts=["acme"])
    tagged = {"optimizer": {"tags": ["legal"]}}
    for path, body in (
        ("images/generations", IMAGE),
        ("audio/speech", {"model": "tts-1", "input": "Hello", "voice": "alloy"}),
        ("moderations", {"input": "Hello"}),
        ("embeddings", {"model": "text-embedding-3-small", "input": "Hello"}),
    ):
        answer = await http.post(f"/v1/{path}", json={**body, **tagged})
        assert (answer.status_code, path) == (400, path), answer.text
        assert 'forbidden by the rule "no OpenAI"' in answer.json()["error"]["message"]
    form = {"model": "whisper-1", "optimizer": '{"tags": ["legal"]}'}
    answer = await http.post("/v1/audio/transcriptions", data=form, files=SOUND)
    assert answer.status_code == 400
    spoken = {"model": "tts-1", "voice": "alloy"}
    answer = await http.post("/v1/audio/speech", json={**spoken, "input": "Ask Acme"})
    assert (answer.status_code, "no Acme" in answer.text) == (400, True)
    assert not fake.asked
    assert (await http.post("/v1/moderations", json={"input": "Ask Acme"})).status_code == 200
    body = {"model": "jina-reranker-v3", "query": "a", "documents": ["a", "b"], **tagged}
    assert (await http.post("/v1/rerank", json=body)).status_code == 200


async def test_a_rule_that_forces_models_refuses_others_for_any_task(
    http: httpx.AsyncClient, fake: FakeProvider
) -> None:
    await rule(name="art", action="force", model_names=[IMAGE["model"]], tags=["art"])
    tagged = {"optimizer": {"tags": ["art"]}}
    for path, body in (
        ("audio/speech", {"model": "tts-1", "input": "Hello", "voice": "alloy"}),
        ("rerank", {"model": "jina-reranker-v3", "query": "a", "documents": ["a", "b"]}),
        ("embeddings", {"model": "text-embedding-3-small", "input": "Hello"}),
    ):
        answer = await http.post(f"/v1/{path}", json={**body, **tagged})
        assert (answer.status_code, path) == (400, path), answer.text
        assert 'the rule "art" forces another model' in answer.json()["error"]["message"]
    assert not fake.asked
    answer = await http.post("/v1/images/generations", json={**IMAGE, **tagged})
    assert answer.status_code == 200
    record = await RequestRecord.objects.select_related("decision").aget(status="ok")
    assert record.decision.metadata["rules"] == ["art"]


async def test_nothing_leaves_the_regions_that_are_demanded(
    http: httpx.AsyncClient, fake: FakeProvider
) -> None:
    for place in ("header", "field", "key"):
        headers, options = {}, {}
        if place == "header":
            headers = {"x-optimizer-residency": "eu"}
        elif place == "field":
            options = {"optimizer": {"residency": "eu"}}
        else:
            made = await sync_to_async(key_make)(ApiKey(name="ann", residency=["eu"]))
            await sync_to_async(get_services().api_keys.refresh)()
            headers = {"authorization": f"Bearer {made.secret}"}
        for path, body in (
            ("images/generations", IMAGE),
            ("audio/speech", {"model": "tts-1", "input": "Hello", "voice": "alloy"}),
            ("moderations", {"input": "Hello"}),
        ):
            answer = await http.post(f"/v1/{path}", json={**body, **options}, headers=headers)
            assert answer.status_code == 400, (place, path, answer.text)
            assert answer.json()["error"]["code"] == "outside_residency"
        body = {"model": "jina-reranker-v3", "query": "a", "documents": ["a", "b"], **options}
        assert (await http.post("/v1/rerank", json=body, headers=headers)).status_code == 200
    form = {"model": "whisper-1", "optimizer": '{"residency": "eu"}'}
    answer = await http.post("/v1/audio/transcriptions", data=form, files=SOUND, headers=headers)
    assert answer.status_code == 400
    assert not fake.asked


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

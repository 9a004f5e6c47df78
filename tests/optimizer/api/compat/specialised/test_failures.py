"""Answers of models that do one thing that fail, break off or are left: relayed and recorded."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest

from analytics.models import BudgetHold, RequestRecord
from optimizer.domain.identifiers import new_request_id
from optimizer.domain.options import RequestOptions
from optimizer.gateway.specialised.recorded_answers import RecordedStream
from optimizer.wiring.build import get_services
from providers.specialised.requests import SpecialisedRequest
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.specialised import IMAGE_USAGE, PNG, SPOKEN
from tests.optimizer.api.compat.specialised.conftest import IMAGE, IMAGE_COST, SOUND, record_of
from tests.patience import eventually

ERROR = {"type": "server_error", "code": "server_error", "message": "The drawing failed."}
# A model of two providers, at USD 10 for a thousand images.
SHARED = {"model": "shared-image", "prompt": "A lighthouse"}
SHARED_COST = Decimal("0.01")
PARTIAL = {"type": "image_generation.partial_image", "b64_json": PNG, "partial_image_index": 0}


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

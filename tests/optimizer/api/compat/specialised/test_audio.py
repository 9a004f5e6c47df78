"""Speech and transcripts: with the official SDK, streamed, priced and recorded.

Prices are those of the price package (genai-prices), which has them from
https://developers.openai.com/api/docs/pricing and https://groq.com/pricing.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest

from analytics.models import RequestRecord
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.specialised import SPOKEN, TEXT, form_of, wav
from tests.optimizer.api.compat.specialised.conftest import SOUND, record_of


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

"""What is no token: its prices, its bounds, and how answers report it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from providers.catalogue import CatalogueError, load_catalogue
from providers.completion import Usage
from providers.pricing import PriceBook
from providers.specialised.bounds import most_used, usually_used
from providers.specialised.requests import SpecialisedRequest, Upload
from providers.specialised.usage import read_used, settled
from providers.units import Units
from tests.fakes.specialised import wav

BOOK = PriceBook(load_catalogue())


def cost(ref: str, usage: Usage) -> Decimal | None:
    provider, _, model = ref.partition("/")
    return BOOK.cost(provider, model, usage)


@pytest.mark.parametrize(
    ("ref", "units", "usd"),
    [
        # https://developers.openai.com/api/docs/pricing: 0.006 a minute, 15 a million characters
        ("openai/whisper-1", Units(audio_seconds=Decimal(60)), "0.006"),
        ("openai/tts-1", Units(characters=4096), "0.06144"),
        # https://groq.com/pricing: USD 0.111 an hour
        ("groq/whisper-large-v3", Units(audio_seconds=Decimal(3600)), "0.111"),
        ("openai/whisper-1", Units(characters=5), None),
        ("cohere/rerank-v3.5", Units(search_units=3), None),
    ],
)
def test_units_have_the_prices_of_the_table(ref: str, units: Units, usd: str | None) -> None:
    assert cost(ref, Usage(0, 0, units=units)) == (None if usd is None else Decimal(usd))


def test_tokens_are_priced_beside_units_that_have_no_price() -> None:
    usage = Usage(50, 400, image_input_tokens=40, image_output_tokens=400, units=Units(images=1))
    assert cost("openai/gpt-image-2.5-flare", usage) == Decimal("0.01237")
    assert cost("openai/gpt-image-2.5-flare", Usage(0, 0, units=Units(images=1))) is None


def catalogue_with(tmp_path: Path, price: str) -> PriceBook:
    path = tmp_path / "catalogue.toml"
    entry = '[[models]]\nkind = "image"\nprovider = "together"\nid = "flux"\n'
    path.write_text(f"{entry}price = {price}\n")
    return PriceBook(load_catalogue(path))


def test_images_have_prices_by_quality_and_size(tmp_path: Path) -> None:
    price = '{ images = 40, "images/hd" = 80, "images/hd 1024x1792" = 120, "images/2k" = 70 }'
    book = catalogue_with(tmp_path, price)
    for variant, usd in (
        ("", "0.04"), ("standard 1024x1024", "0.04"), ("hd 1024x1024", "0.08"),
        ("hd 1024x1792", "0.12"), ("2k", "0.07"),
    ):  # fmt: skip
        usage = Usage(0, 0, units=Units(images=1, image_variant=variant))
        assert book.cost("together", "flux", usage) == Decimal(usd)
    rates = book.rates("together", "flux")
    assert rates is not None
    assert rates.fees.units is not None
    assert "$0.12 per image (hd 1024x1792)" in rates.fees.units.in_words()


@pytest.mark.parametrize("price", ["{}", "{ pictures = 4 }", "{ images = -1 }"])
def test_a_price_that_has_no_meaning_is_refused(tmp_path: Path, price: str) -> None:
    with pytest.raises(CatalogueError, match="price"):
        catalogue_with(tmp_path, price)


def test_the_most_bounds_what_is_usual() -> None:
    sound = (Upload("file", "a.mp3", "audio/mpeg", b"x" * 80_000),)
    requests = [
        SpecialisedRequest("images/generations", {"prompt": "é" * 50, "n": 2, "size": "1024x1536"}),
        SpecialisedRequest("images/edits", {"prompt": "x", "quality": "low"}, sound),
        SpecialisedRequest("audio/transcriptions", {}, sound),
        SpecialisedRequest("audio/speech", {"input": "Good morning. " * 40}),
        SpecialisedRequest("rerank", {"query": "q" * 99, "documents": ["d" * 3000] * 150}),
    ]
    for request in requests:
        most, usual = most_used(request), usually_used(request)
        assert most.input_tokens >= usual.input_tokens
        assert most.output_tokens >= usual.output_tokens
        assert most.units is not None
        assert usual.units is not None
        for name in ("images", "audio_seconds", "characters", "search_units"):
            assert getattr(most.units, name) >= getattr(usual.units, name)


def test_a_wav_file_says_how_long_it_is_unless_it_lies() -> None:
    def seconds(content: bytes) -> Decimal:
        upload = Upload("file", "a.wav", "audio/wav", content)
        used = most_used(SpecialisedRequest("audio/transcriptions", {}, (upload,)))
        assert used.units is not None
        return used.units.audio_seconds

    sound = wav(10)
    assert seconds(sound) == 11  # with its header
    lie = sound[:28] + (2**32 - 1).to_bytes(4, "little") + sound[32:]
    assert seconds(lie) == 11
    for hidden in (
        sound[:28] + (6_000_000).to_bytes(4, "little") + sound[32:],
        # Another chunk holds what looks like the format.
        sound[:12] + b"JUNK" + (24).to_bytes(4, "little") + b"fmt " + sound[16:28]
        + (6_000_000).to_bytes(4, "little") + sound[32:36] + sound[12:],
    ):  # fmt: skip
        assert 11 <= seconds(hidden) <= 12
    compressed = sound[:20] + (2).to_bytes(2, "little") + sound[22:]
    assert seconds(compressed) > 400


@pytest.mark.parametrize(
    ("body", "text", "seconds"),
    [
        ({"usage": {"type": "duration", "seconds": 12}}, "", 12),
        ({"duration": 94.6, "text": "x"}, "", Decimal("94.6")),
        # https://docs.mistral.ai/capabilities/audio_transcription
        ({"usage": {"prompt_audio_seconds": 203, "prompt_tokens": 0}}, "", 203),
        ({}, "WEBVTT\n\n00:00.000 --> 01:02.500\nHello\n", Decimal("62.5")),
        ({}, "1\n00:00:00,000 --> 01:00:01,000\nHello\n", 3601),
        ({"duration": "NaN"}, "", None),
        ({"duration": -5}, "", None),
        ({"usage": {"seconds": 10**12}}, "", None),
    ],
)
def test_the_length_of_audio_is_read_as_providers_say_it(
    body: dict[str, Any], text: str, seconds: Any
) -> None:
    upload = Upload("file", "a.mp3", "audio/mpeg", b"x" * 16_000)
    usage = read_used(SpecialisedRequest("audio/transcriptions", {}, (upload,)), body, text)
    assert usage.units is not None
    assert usage.units.audio_seconds == (2 if seconds is None else seconds)
    assert usage.units.estimated == (seconds is None)


def test_what_is_not_reported_is_estimated_only_if_it_decides_the_cost() -> None:
    request = SpecialisedRequest("audio/speech", {"input": "Good morning"})
    usage = read_used(request)
    assert settled(usage, request, by_tokens=False) == Usage(0, 0, units=Units(characters=12))
    estimated = settled(usage, request, by_tokens=True)
    assert estimated.estimated
    assert estimated.output_tokens == 17

"""What a request for a specialised model uses: the most that it may, and about how much.

No answer is needed for it. The most bounds what is held of a budget; the estimate stands in
where a provider reports nothing, and for calls whose answer was lost.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from providers.specialised.requests import SpecialisedRequest, Task, Upload
from providers.token_bounds import LARGEST_IMAGE, utf8_size
from providers.token_estimates import estimate_tokens
from providers.units import Units

_OVERHEAD = 16
# Tokens of an image of a million pixels. OpenAI publishes USD by quality and size, for $8 a million
# tokens: https://developers.openai.com/api/docs/models/gpt-image-1-mini ($0.052 for 1536x1024,
# high). Of the two qualities above it, nothing: they are assumed to take twice as many each.
_OF_MEGAPIXEL = {"low": 700, "medium": 1_800, "high": 4_300, "xhigh": 8_600, "max": 17_200}
_USUAL_SIZE = 1_536 * 1_024
_MEGAPIXEL = 1_000_000
# https://developers.openai.com/api/docs/guides/image-generation (partial images)
_PARTIAL_IMAGE = 100
_FRAMES = 9
"""What an animation has if the request does not say."""
# Opus takes at least 6 kbit/s: https://opus-codec.org
_LEAST_BYTES_A_SECOND = 750
_USUAL_BYTES_A_SECOND = 8_000
# Speech is up to 16.7 tokens of audio a second by OpenAI's own estimate of USD 0.006 a minute:
# https://developers.openai.com/api/docs/pricing (transcription)
_MOST_OF_SECOND, _USUAL_OF_SECOND = 20, 17
_MOST_WRITTEN, _USUAL_WRITTEN = 10, 4
# 1 250 tokens of audio a minute by the estimate of USD 0.015 for gpt-4o-mini-tts, at 15 characters
# a second; a voice that is told to be slow takes a few times longer.
_MOST_SPOKEN, _USUAL_SPOKEN = 10, 1.4
# A search unit is one query with up to 100 documents of 500 tokens with the query; longer ones
# count once for each such part: https://cohere.com/pricing and https://docs.cohere.com/docs/rerank
_OF_UNIT = 100
_LEAST_PART = 250
_WAV_HEADER = 4096
# Whole numbers, fractions, A-law and µ-law; the extended form says later which of them:
# https://learn.microsoft.com/windows/win32/api/mmreg/ns-mmreg-waveformatextensible
_PLAIN_SAMPLES = frozenset({1, 3, 6, 7})
_EXTENDED = 0xFFFE


class Used(NamedTuple):
    """Tokens and other units of one request."""

    input_tokens: int
    output_tokens: int
    units: Units | None


def most_used(request: SpecialisedRequest) -> Used:
    """Return an upper bound of what ``request`` uses.

    The tokens of images and of audio are assumptions: no provider publishes a bound.
    """
    return _BOUNDS[request.task](request, True)


def usually_used(request: SpecialisedRequest) -> Used:
    """Return an estimate of what ``request`` uses."""
    return _BOUNDS[request.task](request, False)


def image_variant(request: SpecialisedRequest, answer: Mapping[str, Any] | None = None) -> str:
    """Return the quality and size of the images as "high 1024x1024", as far as they are known.

    What the ``answer`` says counts before what was asked for.
    """
    values = []
    for name in ("quality", "size"):
        made = (answer or {}).get(name) or request.text_of(name)
        if name == "size" and not made:
            made = request.text_of("resolution")  # xAI's name for it
        values.append(made[:20] if isinstance(made, str) and made != "auto" else "")
    return " ".join(filter(None, values))


def _images(request: SpecialisedRequest, most: bool) -> Used:
    count = request.number_of("n", 1)
    prompt = request.text_of("prompt")
    tokens_in = utf8_size(prompt) + _OVERHEAD if most else estimate_tokens(prompt)
    tokens_in += len(request.uploads) * (LARGEST_IMAGE if most else LARGEST_IMAGE // 16)
    quality = request.text_of("quality")
    rate = _OF_MEGAPIXEL.get(quality) or _OF_MEGAPIXEL["high" if most else "medium"]
    pixels = _pixels(request.text_of("size"))
    image = math.ceil(rate * max(pixels, _USUAL_SIZE if most else pixels) / _MEGAPIXEL)
    if request.text_of("output_format") == "gif":
        image *= request.number_of("frame_count", _FRAMES)
    image += _PARTIAL_IMAGE * request.number_of("partial_images", 0)
    return Used(tokens_in, count * image, Units(count, image_variant(request)))


def _pixels(size: str) -> int:
    width, _, height = size.partition("x")
    if width.isascii() and width.isdigit() and height.isascii() and height.isdigit():
        return min(int(width[:6]) * int(height[:6]), 100 * _MEGAPIXEL)
    return _USUAL_SIZE


def _audio(request: SpecialisedRequest, most: bool) -> Used:
    files = [upload for upload in request.uploads if upload.name == "file"]
    seconds = sum((audio_seconds(upload, most=most) for upload in files), Decimal(0))
    prompt = utf8_size(request.text_of("prompt")) + _OVERHEAD
    read, written = (
        (_MOST_OF_SECOND, _MOST_WRITTEN) if most else (_USUAL_OF_SECOND, _USUAL_WRITTEN)
    )  # tokens a second
    return Used(
        math.ceil(seconds * read) + prompt,
        math.ceil(seconds * written),
        Units(audio_seconds=seconds),
    )


def audio_seconds(upload: Upload, *, most: bool) -> Decimal:
    """Return about how long the audio of a file is, or how long it may be at ``most``."""
    size = len(upload.content)
    rate = _wav_rate(upload.content[:_WAV_HEADER])
    if not rate:
        rate = _LEAST_BYTES_A_SECOND if most else _USUAL_BYTES_A_SECOND
    return Decimal(math.ceil(size / rate))


def _wav_rate(head: bytes) -> int:
    """Return the bytes of a second in a WAV file of plain samples, 0 for other files.

    What plays a file multiplies its rate, channels and bits; the field that names their product
    may say anything.
    """
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return 0
    place = 12
    while head[place : place + 4] not in {b"fmt ", b"data", b""}:
        size = int.from_bytes(head[place + 4 : place + 8], "little")
        place += 8 + size + size % 2
    body = head[place + 8 : place + 34]
    if head[place : place + 4] != b"fmt " or len(body) < 26:
        return 0
    kind, channels, samples, claimed, _, bits = struct.unpack("<HHIIHH", body[:16])
    if kind == _EXTENDED:
        kind = int.from_bytes(body[24:26], "little")
    rate = min(claimed, channels * samples * ((bits + 7) // 8))
    # A file that claims more than 32 bits at 192 kHz on eight channels has another rate.
    known = kind in _PLAIN_SAMPLES and _LEAST_BYTES_A_SECOND <= rate <= 4 * 192_000 * 8
    return rate if known else 0


def _spoken(request: SpecialisedRequest, most: bool) -> Used:
    text, how = request.text_of("input"), request.text_of("instructions")
    if most:
        tokens_in = utf8_size(text) + utf8_size(how) + _OVERHEAD
        return Used(tokens_in, _MOST_SPOKEN * len(text) + 1_000, Units(characters=len(text)))
    tokens_in = estimate_tokens(text) + estimate_tokens(how)
    return Used(tokens_in, math.ceil(_USUAL_SPOKEN * len(text)), Units(characters=len(text)))


def _moderated(request: SpecialisedRequest, most: bool) -> Used:
    return Used(0, 0, None)


def _ranked(request: SpecialisedRequest, most: bool) -> Used:
    documents = [document_text(document) for document in request.fields.get("documents") or ()]
    query = request.text_of("query")
    if not most:
        # The query is read beside each document.
        tokens = sum(map(estimate_tokens, documents)) + len(documents) * estimate_tokens(query)
        return Used(tokens, 0, Units(search_units=math.ceil(len(documents) / _OF_UNIT)))
    sizes = [utf8_size(document) for document in documents]
    beside = utf8_size(query) + 100  # with the words that the model's own template adds
    parts = sum(1 + size // _LEAST_PART for size in sizes)
    units = Units(search_units=math.ceil(parts / _OF_UNIT))
    return Used(sum(sizes) + len(sizes) * beside, 0, units)


def document_text(document: Any) -> str:
    """Return the text of a document to rank: a text, or an object with the field ``text``."""
    if isinstance(document, Mapping):
        text = document.get("text")
        return text if isinstance(text, str) else str(dict(document))
    return document if isinstance(document, str) else ""


_BOUNDS: Mapping[Task, Callable[[SpecialisedRequest, bool], Used]] = {
    "images/generations": _images,
    "images/edits": _images,
    "audio/transcriptions": _audio,
    "audio/translations": _audio,
    "audio/speech": _spoken,
    "moderations": _moderated,
    "rerank": _ranked,
}

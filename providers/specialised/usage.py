"""Read what an answer of a specialised model used, as its provider reports it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from providers.charges import amount, reported_cost
from providers.completion import Usage
from providers.specialised.bounds import image_variant, usually_used
from providers.specialised.requests import HEARS, IMAGES, SpecialisedRequest
from providers.units import Units
from providers.usage import read_embedded_usage, read_report, read_usage, report_in

_MOST_SECONDS = 7 * 24 * 3600
_MOST_UNITS = 1_000_000
_UNREPORTED = Usage(0, 0, unreported=("input", "output"))
# The end of a subtitle: "01:02:03,456" in SRT, "02:03.456" or longer in WebVTT.
_ENDS = re.compile(r"-->\s*(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})[.,](\d{3})")


def read_used(
    request: SpecialisedRequest, body: Mapping[str, Any] | None = None, text: str = ""
) -> Usage:
    """Return what an answer used: ``body`` is its JSON, ``text`` the answer if it is none.

    Tokens that are not reported are named in ``unreported``. Units are those of the answer, else
    of the request, else estimated and marked so.
    """
    body = body or {}
    if request.task == "moderations":
        return replace(read_usage(body) or Usage(0, 0), estimated=False, unreported=())
    tokens = _tokens(request, body)
    units = _units(request, body, text, by_tokens=not tokens.unreported)
    return replace(tokens, units=units)


def settled(usage: Usage, request: SpecialisedRequest, *, by_tokens: bool) -> Usage:
    """Return ``usage`` with nothing unreported.

    The tokens of a model that is billed ``by_tokens`` are estimated; others stay zero.
    """
    if by_tokens and usage.unreported:
        estimate = usually_used(request)
        return replace(
            usage,
            input_tokens=estimate.input_tokens,
            output_tokens=estimate.output_tokens,
            estimated=True,
            unreported=(),
        )
    estimated = not by_tokens and usage.units is not None and usage.units.estimated
    return replace(usage, estimated=usage.estimated or estimated, unreported=())


def _tokens(request: SpecialisedRequest, body: Mapping[str, Any]) -> Usage:
    """Return the tokens that an answer reports."""
    # All that is ranked is input, and some report the total alone.
    usage = read_embedded_usage(body) if request.task == "rerank" else read_usage(body)
    if usage is None:
        return replace(_UNREPORTED, reported_cost=reported_cost(report_in(body)))
    if not usage.input_tokens and not usage.output_tokens:
        return replace(_UNREPORTED, reported_cost=usage.reported_cost)
    if request.task in IMAGES:
        # Images are all that such a model writes, if it does not say otherwise.
        details = report_in(body).get("output_tokens_details")
        images = usage.image_output_tokens if details else usage.output_tokens
        usage = replace(usage, image_output_tokens=images, beside=_svg_author(body))
    return replace(usage, estimated=False, unreported=())


def _svg_author(body: Mapping[str, Any]) -> tuple[tuple[str, Usage], ...]:
    """Return the model that wrote a vector image, beside the one that drew, and its usage."""
    report = body.get("svg_usage")
    if not isinstance(report, Mapping):
        return ()
    usage, model = read_report(report), report.get("model")
    return ((model, usage),) if usage is not None and isinstance(model, str) else ()


def _units(
    request: SpecialisedRequest, body: Mapping[str, Any], text: str, *, by_tokens: bool
) -> Units:
    expected = usually_used(request).units or Units()
    report = report_in(body)
    if request.task in IMAGES:
        made = body.get("data")
        count = len(made) if isinstance(made, list) else expected.images
        return Units(images=count, image_variant=image_variant(request, body))
    if request.task in HEARS:
        seconds = _seconds(body, report, text)
        if seconds is not None:
            return Units(audio_seconds=seconds)
        return Units() if by_tokens else replace(expected, estimated=True)
    if request.task == "rerank":
        units = amount(report.get("search_units"))
        if units is not None and units <= _MOST_UNITS:
            return Units(search_units=int(units))
        return Units() if by_tokens else replace(expected, estimated=True)
    return expected


def _seconds(body: Mapping[str, Any], report: Mapping[str, Any], text: str) -> Decimal | None:
    """Return the length of the audio, as one of the providers reports it.

    OpenAI: ``usage.seconds``, and ``duration`` of the verbose form, which Groq and others have,
    too. Mistral: ``usage.prompt_audio_seconds``
    (https://docs.mistral.ai/capabilities/audio_transcription).
    """
    for value in (
        report.get("seconds"), report.get("prompt_audio_seconds"), body.get("duration")
    ):  # fmt: skip
        seconds = amount(value)
        if seconds is not None and seconds <= _MOST_SECONDS:
            return seconds
    ends = _ENDS.findall(text)
    if not ends:
        return None
    hours, minutes, whole, thousandths = (Decimal(part or 0) for part in ends[-1])
    return hours * 3600 + minutes * 60 + whole + thousandths / 1000

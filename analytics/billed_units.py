"""The units that a request was billed by beside tokens, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analytics.models import RequestRecord

_ENDPOINT = RequestRecord.Endpoint
SPECIALISED = frozenset(
    {
        _ENDPOINT.IMAGES, _ENDPOINT.IMAGE_EDITS, _ENDPOINT.TRANSCRIPTIONS, _ENDPOINT.TRANSLATIONS,
        _ENDPOINT.SPEECH, _ENDPOINT.MODERATIONS, _ENDPOINT.RERANK,
    }
)  # fmt: skip
"""The endpoints of models that answer no prompts."""


def units_in_words(billed: Mapping[str, Any] | None) -> list[str]:
    """Return what ``billed_units`` of a row say of images, audio, characters and searches."""
    units = billed or {}
    words = []
    if images := units.get("images"):
        of = f" ({units['image_variant']})" if units.get("image_variant") else ""
        words.append(f"{_counted(images, 'image')}{of}")
    if seconds := units.get("audio_seconds"):
        words.append(f"{seconds:,.10g} s of audio")
    for name, noun in (("characters", "character"), ("search_units", "search unit")):
        if count := units.get(name):
            words.append(_counted(count, noun))
    return words


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"

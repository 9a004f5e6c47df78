"""The indices of Artificial Analysis as OpenRouter lists them with its models.

``GET /models`` has, for each model with such results, ``benchmarks.artificial_analysis`` with
``intelligence_index``, ``coding_index`` and ``agentic_index``, each a number or null:
https://openrouter.ai/docs/client-sdks/python/components/aabenchmarkentry.md
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date
from typing import Any

import httpx

from providers.abilities import AbilityIndex, PublishedResult

_SECONDS = 30.0
_OF_FIELD = {
    "intelligence_index": AbilityIndex(
        "openrouter_intelligence",
        "Artificial Analysis Intelligence Index, by OpenRouter",
        "intelligence",
        "points",
    ),
    "coding_index": AbilityIndex(
        "openrouter_coding", "Artificial Analysis Coding Index, by OpenRouter", "coding", "points"
    ),
    "agentic_index": AbilityIndex(
        "openrouter_agentic",
        "Artificial Analysis Agentic Index, by OpenRouter",
        "agentic",
        "points",
    ),
}
OPENROUTER_INDICES = {index.name: index for index in _OF_FIELD.values()}


class IndicesUnavailable(Exception):
    """OpenRouter gave no indices; the message says what it answered."""


def fetch_indices(base_url: str, key: str, day: date) -> list[PublishedResult]:
    """Return the indices of all models that OpenRouter lists with some, read on ``day``.

    ``key`` may be empty: the list is public. Raises :class:`IndicesUnavailable`.
    """
    url = f"{base_url.rstrip('/')}/models"
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        reply = httpx.get(url, headers=headers, timeout=_SECONDS, follow_redirects=True)
    except httpx.HTTPError as error:
        raise IndicesUnavailable(f"{url} cannot be reached ({type(error).__name__}).") from error
    if reply.status_code != httpx.codes.OK:
        raise IndicesUnavailable(f"{url} answered {reply.status_code}.")
    try:
        models = reply.json()["data"]
        results = [result for model in models for result in _results(model, url, day)]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise IndicesUnavailable(f"{url} answered something else than a list of models.") from None
    if not results:
        raise IndicesUnavailable(f"{url} listed no model with indices of Artificial Analysis.")
    return results


def _results(model: dict[str, Any], url: str, day: date) -> Iterator[PublishedResult]:
    """Yield the indices of one model; its variants (":free") are the model itself."""
    name = model["id"]
    if not isinstance(name, str) or ":" in name or name.startswith("~"):
        return
    figures = (model.get("benchmarks") or {}).get("artificial_analysis") or {}
    for field, index in _OF_FIELD.items():
        value = figures.get(field)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield PublishedResult(name, index.name, float(value), url, day)

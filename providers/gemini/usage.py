"""Read Gemini's usage: tokens from the report, searches from the grounding of the answer.

Fees of searches: https://ai.google.dev/gemini-api/docs/pricing
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from providers import usage as reports
from providers.completion import Usage

# Up to Gemini 2.5, a prompt with any search has one fee; since Gemini 3, each query has one.
_BILLED_BY_PROMPT = re.compile(r"gemini-[12]\b")


def read_usage(model: str, body: Mapping[str, Any]) -> Usage | None:
    """Return the usage that a whole answer of ``model`` reports, ``None`` if it reports none."""
    return _with_searches(model, reports.read_usage(body), set(_queries(body)))


class GeminiUsageOfStream:
    """Keeps the usage and the searches that the chunks of one stream report."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._reports = reports.UsageOfStream()
        self._usage: Usage | None = None
        self._queries: set[str] = set()

    def add(self, chunk: Mapping[str, Any]) -> Usage | None:
        """Return the usage so far, ``None`` if none is reported yet."""
        self._queries.update(_queries(chunk))
        self._usage = self._reports.add(chunk) or self._usage
        return _with_searches(self._model, self._usage, self._queries)


def _with_searches(model: str, usage: Usage | None, queries: set[str]) -> Usage | None:
    if usage is None or not queries:
        return usage
    searches = 1 if _BILLED_BY_PROMPT.match(model) else len(queries)
    return replace(usage, web_searches=searches)


def _queries(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the queries for Google Search; empty ones are not billed."""
    candidates = body.get("candidates")
    for candidate in candidates if isinstance(candidates, list) else ():
        grounding = candidate.get("groundingMetadata") if isinstance(candidate, Mapping) else None
        queries = grounding.get("webSearchQueries") if isinstance(grounding, Mapping) else None
        for query in queries if isinstance(queries, list) else ():
            if query and isinstance(query, str):
                yield query

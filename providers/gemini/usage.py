"""Read Gemini's usage: tokens from the report, tools with a fee from the answer's grounding.

Fees: https://ai.google.dev/gemini-api/docs/pricing. Sources from Google Maps have one fee a
prompt, however many there are: https://ai.google.dev/gemini-api/docs/maps-grounding
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
    return _with_tools(model, reports.read_usage(body), set(_queries(body)), _has_maps(body))


class GeminiUsageOfStream:
    """Keeps the usage and the searches that the chunks of one stream report."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._reports = reports.UsageOfStream()
        self._usage: Usage | None = None
        self._queries: set[str] = set()
        self._maps = False

    def add(self, chunk: Mapping[str, Any]) -> Usage | None:
        """Return the usage so far, ``None`` if none is reported yet."""
        self._queries.update(_queries(chunk))
        self._maps = self._maps or _has_maps(chunk)
        self._usage = self._reports.add(chunk) or self._usage
        return _with_tools(self._model, self._usage, self._queries, self._maps)


def _with_tools(model: str, usage: Usage | None, queries: set[str], maps: bool) -> Usage | None:
    if usage is None or not (queries or maps):
        return usage
    searches = len(queries)
    if queries and _BILLED_BY_PROMPT.match(model):
        searches = 1
    return replace(usage, web_searches=searches, map_prompts=int(maps))


def _queries(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the queries for Google Search, those for images marked; empty ones are not billed."""
    for name, mark in (("webSearchQueries", ""), ("imageSearchQueries", "image:")):
        for query in _grounded(body, name):
            if query and isinstance(query, str):
                yield mark + query


def _has_maps(body: Mapping[str, Any]) -> bool:
    """Return whether the answer has a source from Google Maps; without one there is no fee."""
    sources = _grounded(body, "groundingChunks")
    return any(isinstance(source, Mapping) and source.get("maps") for source in sources)


def _grounded(body: Mapping[str, Any], name: str) -> Iterator[Any]:
    candidates = body.get("candidates")
    for candidate in candidates if isinstance(candidates, list) else ():
        grounding = candidate.get("groundingMetadata") if isinstance(candidate, Mapping) else None
        values = grounding.get(name) if isinstance(grounding, Mapping) else None
        yield from values if isinstance(values, list) else ()

"""Anthropic's message batches: created with all their requests at once.

Wire: https://docs.anthropic.com/en/api/creating-message-batches,
https://docs.anthropic.com/en/api/retrieving-message-batch-results

A batch has no name. Only its results hold the ids of its requests, so a batch that may have been
created is known for certain once it has ended.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from providers.batches.jobs import (
    CLOCK_SKEW,
    JSON_TYPE,
    MOST_PAGES,
    PAGE,
    BatchApi,
    BatchOrder,
    BatchView,
    ExpectedLines,
    LineEnding,
    LineResult,
    Sought,
)
from providers.batches.json_lines import line_of, object_of
from providers.errors import MalformedResponse, ModelNotFound
from providers.http.side_calls import SideCall
from providers.http.wire import WireClient

_PATH = "/v1/messages/batches"
_ENDINGS: Mapping[str, LineEnding] = {
    "succeeded": "answered",
    "errored": "failed",
    "canceled": "cancelled",
    "expired": "expired",
}
_COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")


class AnthropicBatches(BatchApi):
    """Message batches of Anthropic's API."""

    most_lines = 100_000
    most_bytes = 200 * 1024 * 1024
    uploads = False

    def __init__(self, provider: WireClient) -> None:
        self._provider = provider

    async def upload(self, order: BatchOrder) -> str:
        """Return nothing: the lines are a part of the batch's own request."""
        return ""

    async def create(self, order: BatchOrder, file_id: str) -> str:
        """Create the batch with all its requests."""
        requests = [{"custom_id": line.custom_id, "params": line.body} for line in order.lines]
        content = line_of({"requests": requests})
        headers = {**JSON_TYPE, **order.headers}
        call = SideCall("POST", _PATH, headers=headers, content=content)
        _, body = await self._provider.pass_on_whole(call)
        made = body.get("id")
        if not isinstance(made, str) or not made:
            raise MalformedResponse(self._provider.name, "returned a batch without an id")
        return made

    async def seek(
        self, name: str, lines: ExpectedLines, since: datetime, other: Collection[str]
    ) -> Sought:
        """Look at the batches of as many requests that were created since then."""
        query: list[tuple[str, str]] = [("limit", str(PAGE))]
        undecided = False
        for _ in range(MOST_PAGES):
            _, page = await self._provider.pass_on_whole(SideCall("GET", _PATH, query=query))
            data = page.get("data")
            batches = [b for b in data if isinstance(b, dict)] if isinstance(data, list) else []
            for batch in batches:
                batch_id = str(batch.get("id"))
                if batch_id in other or _count(batch) != lines.count:
                    continue
                if not _since(batch, since):
                    continue
                if batch.get("processing_status") != "ended":
                    undecided = True
                elif await self._holds(batch_id, lines.custom_ids):
                    return Sought(batch_id)
            past = bool(batches) and not _since(batches[-1], since)
            if not batches or not page.get("has_more") or past:
                return Sought(known=not undecided)
            query = [("limit", str(PAGE)), ("after_id", str(batches[-1].get("id")))]
        return Sought(known=False)

    async def _holds(self, batch_id: str, custom_ids: Collection[str]) -> bool:
        async for result in self.results(batch_id, BatchView("ended")):
            return result.custom_id in custom_ids
        return False

    async def view(self, batch_id: str) -> BatchView:
        """Return the batch as it is now."""
        try:
            _, body = await self._provider.pass_on_whole(SideCall("GET", f"{_PATH}/{batch_id}"))
        except ModelNotFound:
            return BatchView("gone", reason="the provider does not know the batch any more")
        if body.get("archived_at"):
            return BatchView("gone", reason="the results are archived")
        return BatchView("ended" if body.get("processing_status") == "ended" else "running")

    async def results(self, batch_id: str, view: BatchView) -> AsyncGenerator[LineResult, None]:
        """Yield the results."""
        call = SideCall("GET", f"{_PATH}/{batch_id}/results")
        async for line in self._provider.pass_on_lines(call):
            result = _result(object_of(line))
            if result is not None:
                yield result

    async def cancel(self, batch_id: str) -> None:
        """Ask for the end of the batch."""
        await self._provider.pass_on_whole(SideCall("POST", f"{_PATH}/{batch_id}/cancel"))

    async def clean_up(self, batch_id: str, files: Sequence[str]) -> None:
        """Delete the batch with its results."""
        try:
            await self._provider.pass_on_whole(SideCall("DELETE", f"{_PATH}/{batch_id}"))
        except ModelNotFound:
            return


def _count(batch: Mapping[str, Any]) -> int:
    counts = batch.get("request_counts")
    if not isinstance(counts, dict):
        return -1
    return sum(counts[name] for name in _COUNTS if isinstance(counts.get(name), int))


def _since(batch: Mapping[str, Any], since: datetime) -> bool:
    try:
        created = datetime.fromisoformat(str(batch.get("created_at")))
    except ValueError:
        return True
    return created.tzinfo is None or created >= since - CLOCK_SKEW


def _result(line: Mapping[str, Any]) -> LineResult | None:
    custom_id, result = line.get("custom_id"), line.get("result")
    if not isinstance(custom_id, str) or not isinstance(result, dict):
        return None
    ending = _ENDINGS.get(str(result.get("type")), "failed")
    message = result.get("message")
    if ending == "answered":
        if not isinstance(message, dict):
            return LineResult(custom_id, "failed", message="no answer")
        return LineResult(custom_id, ending, json.dumps(message).encode())
    error = result.get("error")
    inner = error.get("error") if isinstance(error, dict) else None
    error = inner if isinstance(inner, dict) else error if isinstance(error, dict) else {}
    return LineResult(custom_id, ending, message=str(error.get("type") or ""))

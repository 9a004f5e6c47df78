"""Gemini's batches: a file of lines, a batch of it, and a file of results.

Wire: https://ai.google.dev/api/batch-api, https://ai.google.dev/api/files. Requests that are
sent without a file lose their keys: https://github.com/googleapis/python-genai/issues/2008.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from providers.batches.jobs import (
    CLOCK_SKEW,
    JSON_TYPE,
    MOST_PAGES,
    PAGE,
    BatchApi,
    BatchOrder,
    BatchView,
    ExpectedLines,
    LineResult,
    Sought,
)
from providers.batches.json_lines import line_of, object_of
from providers.errors import MalformedResponse, ModelNotFound
from providers.http.side_calls import SideCall
from providers.http.wire import WireClient

_ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")


class GeminiBatches(BatchApi):
    """Batches of Google's Gemini API."""

    most_lines = 50_000
    most_bytes = 200 * 1024 * 1024
    uploads = True

    def __init__(self, provider: WireClient) -> None:
        self._provider = provider

    async def upload(self, order: BatchOrder) -> str:
        """Upload the lines by Google's resumable protocol; files end by themselves in two days."""
        lines = b"".join(
            line_of({"key": line.custom_id, "request": line.body}) for line in order.lines
        )
        start = {
            **JSON_TYPE,
            "x-goog-upload-protocol": "resumable",
            "x-goog-upload-command": "start",
            "x-goog-upload-header-content-length": str(len(lines)),
            "x-goog-upload-header-content-type": "application/jsonl",
        }
        named = json.dumps({"file": {"display_name": order.name}}).encode()
        call = SideCall("POST", "/upload/v1beta/files", headers=start, content=named)
        headers, _ = await self._provider.pass_on_whole(call)
        # Only path and query count: the file goes where this provider is.
        place = urlsplit(headers.get("x-goog-upload-url", ""))
        if not place.path:
            raise MalformedResponse(self._provider.name, "did not say where to upload a file")
        finish = {"x-goog-upload-offset": "0", "x-goog-upload-command": "upload, finalize"}
        call = SideCall("POST", place.path, parse_qsl(place.query), finish, lines)
        _, body = await self._provider.pass_on_whole(call)
        return self._name_of(body.get("file"))

    async def create(self, order: BatchOrder, file_id: str) -> str:
        """Create the batch; its display name names it."""
        batch = {"displayName": order.name, "inputConfig": {"fileName": file_id}}
        path = f"/v1beta/models/{quote(order.model, safe='')}:batchGenerateContent"
        content = json.dumps({"batch": batch}).encode()
        call = SideCall("POST", path, headers=JSON_TYPE, content=content)
        _, body = await self._provider.pass_on_whole(call)
        return self._name_of(body)

    async def seek(
        self, name: str, lines: ExpectedLines, since: datetime, other: Collection[str]
    ) -> Sought:
        """Look for the batch by its display name."""
        query: list[tuple[str, str]] = [("pageSize", str(PAGE))]
        for _ in range(MOST_PAGES):
            call = SideCall("GET", "/v1beta/batches", query=query)
            _, page = await self._provider.pass_on_whole(call)
            listed = page.get("operations")
            batches = [b for b in listed if isinstance(b, dict)] if isinstance(listed, list) else []
            for batch in batches:
                if _metadata(batch).get("displayName") == name:
                    return Sought(self._name_of(batch))
            token = page.get("nextPageToken")
            past = bool(batches) and not _since(_metadata(batches[-1]), since)
            if not token or past:
                return Sought()
            query = [("pageSize", str(PAGE)), ("pageToken", str(token))]
        return Sought(known=False)

    async def view(self, batch_id: str) -> BatchView:
        """Return the batch as it is now."""
        try:
            _, body = await self._provider.pass_on_whole(SideCall("GET", f"/v1beta/{batch_id}"))
        except ModelNotFound:
            return BatchView("gone", reason="the provider does not know the batch any more")
        metadata = _metadata(body)
        state = str(metadata.get("state") or "").removeprefix("BATCH_STATE_")
        state = state.removeprefix("JOB_STATE_")
        if state not in _ENDED and body.get("done") is not True:
            return BatchView("running")
        for output in (body.get("response"), metadata.get("output")):
            if isinstance(output, dict) and isinstance(output.get("responsesFile"), str):
                return BatchView("ended", (output["responsesFile"],))
        return BatchView("ended", (), f"the batch is {state.lower() or 'ended'} without results")

    async def results(self, batch_id: str, view: BatchView) -> AsyncGenerator[LineResult, None]:
        """Yield the results."""
        for file_id in view.files:
            path = f"/download/v1beta/{file_id}:download"
            async for line in self._provider.pass_on_lines(
                SideCall("GET", path, query=[("alt", "media")])
            ):
                result = _result(object_of(line))
                if result is not None:
                    yield result

    async def cancel(self, batch_id: str) -> None:
        """Ask for the end of the batch."""
        await self._provider.pass_on_whole(SideCall("POST", f"/v1beta/{batch_id}:cancel"))

    async def clean_up(self, batch_id: str, files: Sequence[str]) -> None:
        """Delete the batch and its files."""
        for name in (batch_id, *files):
            try:
                await self._provider.pass_on_whole(SideCall("DELETE", f"/v1beta/{name}"))
            except ModelNotFound:
                continue

    def _name_of(self, value: Any) -> str:
        name = value.get("name") if isinstance(value, dict) else None
        if not isinstance(name, str) or not name:
            raise MalformedResponse(self._provider.name, "returned an object without a name")
        return name


def _metadata(body: Mapping[str, Any]) -> Mapping[str, Any]:
    value = body.get("metadata")
    return value if isinstance(value, dict) else {}


def _since(metadata: Mapping[str, Any], since: datetime) -> bool:
    text = str(metadata.get("createTime") or "")
    # Google writes nanoseconds, of which Python reads six digits.
    whole, _, fraction = text.rstrip("Zz").partition(".")
    try:
        created = datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}+00:00")
    except ValueError:
        return True
    return created >= since - CLOCK_SKEW


def _result(line: Mapping[str, Any]) -> LineResult | None:
    key = line.get("key")
    if not isinstance(key, str):
        return None
    response, error = line.get("response"), line.get("error")
    if isinstance(response, dict):
        return LineResult(key, "answered", json.dumps(response).encode())
    code = error.get("code") if isinstance(error, dict) else None
    return LineResult(key, "failed", status=code if isinstance(code, int) else None)

"""OpenAI's batches: a file of lines, a batch of it, and a file of results.

Wire: https://platform.openai.com/docs/api-reference/batch,
https://platform.openai.com/docs/api-reference/files/create
"""

from __future__ import annotations

import json
import uuid
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

_MARK = "optimizer_batch"
_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_KEPT_SECONDS = 3 * 24 * 3600
_ENDINGS: Mapping[str, LineEnding] = {
    "batch_expired": "expired",
    "batch_cancelled": "cancelled",
}


class OpenAIBatches(BatchApi):
    """Batches of OpenAI's own API."""

    most_lines = 50_000
    most_bytes = 100 * 1024 * 1024
    uploads = True

    def __init__(self, provider: WireClient) -> None:
        self._provider = provider

    async def upload(self, order: BatchOrder) -> str:
        """Upload the lines; return the id of the file, which ends by itself after three days."""
        lines = b"".join(
            line_of(
                {
                    "custom_id": line.custom_id,
                    "method": "POST",
                    "url": f"/v1{line.path}",
                    "body": line.body,
                }
            )
            for line in order.lines
        )
        boundary = uuid.uuid4().hex
        fields = {
            "purpose": "batch",
            "expires_after[anchor]": "created_at",
            "expires_after[seconds]": str(_KEPT_SECONDS),
        }
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        file = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; '
            f'filename="{order.name}.jsonl"\r\nContent-Type: application/jsonl\r\n\r\n'
        )
        content = "".join([*parts, file]).encode() + lines + f"\r\n--{boundary}--\r\n".encode()
        headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
        return await self._id_of(SideCall("POST", "/files", headers=headers, content=content))

    async def create(self, order: BatchOrder, file_id: str) -> str:
        """Create the batch; its metadata name it."""
        body = {
            "input_file_id": file_id,
            "endpoint": f"/v1{order.lines[0].path}",
            "completion_window": "24h",
            "metadata": {_MARK: order.name},
        }
        content = json.dumps(body).encode()
        return await self._id_of(SideCall("POST", "/batches", headers=JSON_TYPE, content=content))

    async def seek(
        self, name: str, lines: ExpectedLines, since: datetime, other: Collection[str]
    ) -> Sought:
        """Look for the batch by its metadata; the latest batches are listed first."""
        query: list[tuple[str, str]] = [("limit", str(PAGE))]
        for _ in range(MOST_PAGES):
            _, page = await self._provider.pass_on_whole(SideCall("GET", "/batches", query=query))
            data = page.get("data")
            batches = [b for b in data if isinstance(b, dict)] if isinstance(data, list) else []
            for batch in batches:
                marks = batch.get("metadata")
                if isinstance(marks, dict) and marks.get(_MARK) == name:
                    return Sought(str(batch["id"]))
            created = [b["created_at"] for b in batches if isinstance(b.get("created_at"), int)]
            past = bool(created) and min(created) < (since - CLOCK_SKEW).timestamp()
            if not batches or not page.get("has_more") or past:
                return Sought()
            query = [("limit", str(PAGE)), ("after", str(batches[-1].get("id")))]
        return Sought(known=False)

    async def view(self, batch_id: str) -> BatchView:
        """Return the batch as it is now."""
        try:
            _, body = await self._provider.pass_on_whole(SideCall("GET", f"/batches/{batch_id}"))
        except ModelNotFound:
            return BatchView("gone", reason="the provider does not know the batch any more")
        if body.get("status") not in _ENDED:
            return BatchView("running")
        names = ("output_file_id", "error_file_id")
        files = tuple(str(body[name]) for name in names if body.get(name))
        return BatchView("ended", files, "" if files else _reason(body))

    async def results(self, batch_id: str, view: BatchView) -> AsyncGenerator[LineResult, None]:
        """Yield the results: the answers' file first, then that of the errors."""
        for file_id in view.files:
            call = SideCall("GET", f"/files/{file_id}/content")
            async for line in self._provider.pass_on_lines(call):
                result = _result(object_of(line))
                if result is not None:
                    yield result

    async def cancel(self, batch_id: str) -> None:
        """Ask for the end of the batch."""
        await self._provider.pass_on_whole(SideCall("POST", f"/batches/{batch_id}/cancel"))

    async def clean_up(self, batch_id: str, files: Sequence[str]) -> None:
        """Delete the files of the batch."""
        for file_id in files:
            try:
                await self._provider.pass_on_whole(SideCall("DELETE", f"/files/{file_id}"))
            except ModelNotFound:
                continue

    async def _id_of(self, call: SideCall) -> str:
        _, body = await self._provider.pass_on_whole(call)
        made = body.get("id")
        if not isinstance(made, str) or not made:
            raise MalformedResponse(self._provider.name, "returned an object without an id")
        return made


def _reason(body: Mapping[str, Any]) -> str:
    errors = body.get("errors")
    data = errors.get("data") if isinstance(errors, dict) else None
    codes = [str(e.get("code")) for e in data or () if isinstance(e, dict)]
    return f"the batch is {body.get('status')}" + (f" ({', '.join(codes[:3])})" if codes else "")


def _result(line: Mapping[str, Any]) -> LineResult | None:
    """Return a result. https://platform.openai.com/docs/api-reference/batch/request-output."""
    custom_id = line.get("custom_id")
    if not isinstance(custom_id, str):
        return None
    error, response = line.get("error"), line.get("response")
    if isinstance(response, dict) and not error:
        status, body = response.get("status_code"), response.get("body")
        if status == 200 and isinstance(body, dict):
            return LineResult(custom_id, "answered", json.dumps(body).encode())
        inner = body.get("error") if isinstance(body, dict) else None
        error = inner if isinstance(inner, dict) else {}
        known = status if isinstance(status, int) else None
        return LineResult(custom_id, "failed", status=known, message=str(error.get("code") or ""))
    code = str(error.get("code") or "") if isinstance(error, dict) else ""
    return LineResult(custom_id, _ENDINGS.get(code, "failed"), message=code)

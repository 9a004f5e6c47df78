"""Clients' batches and files that this service keeps itself; all others are passed on.

A batch is taken here if a model of it is not of the provider that it would be passed on to, or
if it leaves the choice of a model to this service.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from analytics.deferred import client_batches as kept
from analytics.models import ClientBatch, DeferredRequest, StoredFile
from optimizer.api.deferred import batch_bodies as bodies
from optimizer.api.deferred.batch_lines import (
    BATCH_SECONDS,
    LINE_PATHS,
    BatchItem,
    InvalidLine,
    belongs_to,
    items_of_file,
    models_of_lines,
    rows_of_items,
)
from optimizer.api.deferred.results import deferred_reply
from optimizer.api.http.body_reader import InvalidField
from optimizer.api.http.errors import failure_of
from optimizer.api.http.json_out import as_json
from optimizer.api.relayed.calls import wire_of
from optimizer.api.relayed.places import Kind, Place
from optimizer.api.relayed.views import View, failed, view_of
from optimizer.domain.client import ANONYMOUS, Client
from optimizer.domain.request_bounds import RESIDENCY_HEADER
from optimizer.domain.result import UnknownObject
from optimizer.shared.unambiguous_json import unambiguous_json
from optimizer.wiring.build import get_services
from optimizer.wiring.services import Services
from providers.storable import storable_json, storable_text

_OWN = re.compile(r"(?:file-aco-(?:out-|err-)?|batch_aco_|msgbatch_aco_)[0-9a-f]{32}")
_RESULTS = re.compile(r"file-aco-(out|err)-([0-9a-f]{32})")
_USUAL = {"openai": "openai", "anthropic": "claude"}
_MESSAGES = "/v1/messages"
_HEADERS = ("anthropic-version", "anthropic-beta", RESIDENCY_HEADER)
_SANDBOX = {"Content-Security-Policy": "sandbox; default-src 'none'"}
Body = Mapping[str, Any]


def batch_view_of(place: Place) -> View:
    """Return the view of a path about batches or their files."""
    relayed = view_of(place)

    async def view(request: HttpRequest, **ids: str) -> HttpResponseBase:
        method = "GET" if request.method == "HEAD" else str(request.method)
        object_id = ids.get("object_id", "")
        if method not in place.actions or (object_id and not _OWN.fullmatch(object_id)):
            return await relayed(request, **ids)
        own = _Own(request, place)
        try:
            if object_id:
                return await own.about(method, object_id)
            if method == "GET":
                return await own.with_listed(await _listed(relayed, request, own))
            taken = await own.take()
        except Exception as error:  # noqa: BLE001 - reported in the API's format
            return failed(request, place, failure_of(error))
        return await relayed(request) if taken is None else taken

    return view


async def _listed(relayed: View, request: HttpRequest, own: _Own) -> HttpResponseBase | None:
    """Return the provider's list, ``None`` if it is not configured."""
    return await relayed(request) if own.provider in own.services.registry.providers else None


class _Own:
    """A request about batches or files of this service; ``wire`` is the API of its client."""

    def __init__(self, request: HttpRequest, place: Place) -> None:
        self.request = request
        self.place = place
        self.services: Services = get_services()
        self.client: Client = getattr(request, "scope", {}).get("optimizer.client", ANONYMOUS)
        self.wire = wire_of(request, place)
        self.provider = _USUAL[self.wire]
        self.tenant = None if self.client is ANONYMOUS else self.client.tenant

    async def do(self, step: Callable[..., Any], *args: Any) -> Any:
        return await self.services.object_database.run(partial(step, *args))

    async def take(self) -> HttpResponse | None:
        """Create a file or a batch here, or return ``None`` if it is to be passed on."""
        if self.request.headers.get("x-optimizer-provider"):
            return None
        if self.place.kind == Kind.FILE:
            return await self._take_file() if self.wire == "openai" else None
        raw = self.request.body
        try:
            body = unambiguous_json(raw)
        except ValueError:
            return None  # it is refused there
        if not isinstance(body, dict):
            return None
        taken = self._openai_batch if self.wire == "openai" else self._anthropic_batch
        return await taken(body)

    async def _take_file(self) -> HttpResponse | None:
        _ = self.request.body  # read before the form, so that it can be passed on
        file = self.request.FILES.get("file")
        if self.request.POST.get("purpose") != "batch" or file is None:
            return None
        content = file.read()
        if self.provider in self.services.registry.providers:
            models = await asyncio.to_thread(models_of_lines, content)
            if await asyncio.to_thread(belongs_to, self.services, models, self.provider):
                return None
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise InvalidField("file", "file: must be UTF-8.", "invalid_file") from None
        row = StoredFile(
            id=f"file-aco-{uuid.uuid4().hex}", tenant=self.client.tenant, size=len(content),
            api_key=self.client.key, purpose="batch", name=storable_text(str(file.name))[:200],
            content=storable_text(text), created_at=datetime.now(UTC),
        )  # fmt: skip
        await self.do(kept.file_store, row)
        return _json(bodies.openai_file(row))

    async def _openai_batch(self, body: Body) -> HttpResponse | None:
        file_id, path = body.get("input_file_id"), body.get("endpoint")
        if not isinstance(file_id, str) or not _OWN.fullmatch(file_id):
            return None
        file = await self.do(kept.file_find, file_id, self.tenant)
        if file is None:
            raise UnknownObject(f"File with id '{file_id}' not found.", "input_file_id")
        if path not in LINE_PATHS:
            words = f"endpoint: must be {' or '.join(LINE_PATHS)} for a batch over any provider."
            raise InvalidField("endpoint", words, "invalid_value")
        if body.get("completion_window") != "24h":
            raise InvalidField("completion_window", "completion_window: must be 24h.", "invalid")
        items, faults = await asyncio.to_thread(items_of_file, file.content.encode(), path)
        metadata = body.get("metadata")
        batch = self._batch(ClientBatch.Format.OPENAI, "batch_aco_", path)
        batch.input_file_id = file_id
        batch.metadata = storable_json(metadata) if isinstance(metadata, dict) else None
        await self._create(batch, items, faults)
        return await self._shown(batch.pk)

    async def _anthropic_batch(self, body: Body) -> HttpResponse | None:
        requests = body.get("requests")
        if not isinstance(requests, list) or not requests:
            return None
        items = [
            BatchItem(str(item.get("custom_id") or ""), item["params"])
            for item in requests
            if isinstance(item, dict) and isinstance(item.get("params"), dict)
        ]
        models = {str(item.body.get("model") or "") for item in items}
        configured = self.provider in self.services.registry.providers
        if len(items) < len(requests) or (
            configured and belongs_to(self.services, models, self.provider)
        ):
            return None
        names = [item.custom_id for item in items]
        if len(set(names)) < len(names) or not all(re.fullmatch(r"[\w-]{1,64}", n) for n in names):
            words = "requests: each custom_id must be unique, of 1 to 64 letters, digits, - and _."
            raise InvalidField("requests", words)
        batch = self._batch(ClientBatch.Format.ANTHROPIC, "msgbatch_aco_", _MESSAGES)
        faults: list[InvalidLine] = []
        await self._create(batch, items, faults)
        if faults:
            first = faults[0]
            words = f"requests[{(first.line or 1) - 1}]: {first.message}"
            raise InvalidField("requests", words, first.code)
        return await self._shown(batch.pk)

    def _batch(self, form: str, prefix: str, path: str) -> ClientBatch:
        now = datetime.now(UTC)
        return ClientBatch(
            id=f"{prefix}{uuid.uuid4().hex}", format=form, tenant=self.client.tenant,
            api_key=self.client.key, path=path, created_at=now,
            deadline_at=now + timedelta(seconds=BATCH_SECONDS),
        )  # fmt: skip

    async def _create(
        self, batch: ClientBatch, items: list[BatchItem], faults: list[InvalidLine]
    ) -> None:
        """Write the batch with its requests, or with what is wrong with them."""
        headers = {
            name: value for name in _HEADERS if (value := self.request.headers.get(name, ""))
        }
        rows: list[DeferredRequest] = []
        if not faults:
            rows, unreadable = await rows_of_items(
                self.services, self.client, items, batch.path, headers
            )
            faults += unreadable
        if faults:
            if batch.format == ClientBatch.Format.ANTHROPIC:
                return
            rows, batch.ended_at = [], batch.created_at
            batch.errors = [
                {"code": f.code, "line": f.line, "message": f.message, "param": None}
                for f in faults[:100]
            ]
        for row in rows:
            row.client_batch = batch
        batch.total, batch.headers = len(items), headers
        await self.do(kept.client_batch_create, batch, rows)

    async def about(self, method: str, object_id: str) -> HttpResponseBase:
        """Answer a request about one file or batch of this service."""
        if self.place.kind == Kind.FILE:
            return await self._about_file(method, object_id)
        batch = await self._find(object_id)
        if self.place.path.endswith("cancel"):
            await self.do(kept.client_batch_cancel, batch.pk)
            return await self._shown(batch.pk)
        if self.place.path.endswith("results"):
            if batch.ended_at is None:
                raise UnknownObject("The batch has no results yet.")
            return self._lines(batch, "all")
        if method == "DELETE":
            if not await self.do(kept.client_batch_delete, batch.pk, self.tenant):
                raise InvalidField("id", "The batch has not ended: cancel it first.", "invalid")
            return _json({"id": batch.pk, "type": "message_batch_deleted"})
        return await self._shown(batch.pk)

    async def _about_file(self, method: str, file_id: str) -> HttpResponseBase:
        missing = UnknownObject(f"File with id '{file_id}' not found.")
        if match := _RESULTS.fullmatch(file_id):
            batch = await self._find(f"batch_aco_{match[2]}")
            if batch.ended_at is None:
                raise missing
            if self.place.path.endswith("content"):
                return self._lines(batch, match[1])
            if method == "DELETE":
                raise InvalidField("id", "Results end with their batch, after 29 days.", "invalid")
            return _json(bodies.results_file(batch, file_id))
        if method == "DELETE":
            if not await self.do(kept.file_delete, file_id, self.tenant):
                raise missing
            return _json({"id": file_id, "object": "file", "deleted": True})
        file = await self.do(kept.file_find, file_id, self.tenant)
        if file is None:
            raise missing
        if self.place.path.endswith("content"):
            return HttpResponse(file.content.encode(), "application/octet-stream", headers=_SANDBOX)
        return _json(bodies.openai_file(file))

    async def with_listed(self, listed: HttpResponseBase | None) -> HttpResponseBase:
        """Return the provider's list with the objects of this service before it."""
        own: list[Body] = []
        if not {"after", "after_id", "before_id"} & self.request.GET.keys():
            own = await self._own_list()
        if listed is None:
            return _json({"object": "list", "data": own, "has_more": False})
        if not own or listed.status_code != 200 or listed.streaming:
            return listed
        assert isinstance(listed, HttpResponse)
        body = unambiguous_json(listed.content)
        if not isinstance(body, dict) or not isinstance(body.get("data"), list):
            return listed
        listed.content = as_json({**body, "data": [*own, *body["data"]]})
        return listed

    async def _own_list(self) -> list[Body]:
        if self.place.kind == Kind.FILE:
            files = await self.do(kept.files_list, self.tenant) if self.wire == "openai" else []
            return [bodies.openai_file(file) for file in files]
        batches = await self.do(kept.client_batches_list, self.wire, self.tenant)
        counts = await self.do(kept.client_batch_counts, [batch.pk for batch in batches])
        return [self._body(batch, counts[batch.pk]) for batch in batches]

    async def _find(self, batch_id: str) -> ClientBatch:
        batch: ClientBatch | None = await self.do(kept.client_batch_find, batch_id, self.tenant)
        if batch is None or batch.format != self.wire:
            raise UnknownObject(f"Batch with id '{batch_id}' not found.")
        return batch

    async def _shown(self, batch_id: str) -> HttpResponse:
        batch = await self._find(batch_id)
        counts = await self.do(kept.client_batch_counts, [batch.pk])
        return _json(self._body(batch, counts[batch.pk]))

    @staticmethod
    def _body(batch: ClientBatch, counts: Mapping[str, int]) -> Body:
        if batch.format == ClientBatch.Format.OPENAI:
            return bodies.openai_batch(batch, counts)
        return bodies.anthropic_batch(batch, counts)

    def _lines(self, batch: ClientBatch, which: str) -> StreamingHttpResponse:
        kind = "application/x-jsonl" if which == "all" else "application/octet-stream"
        return StreamingHttpResponse(
            self._results(batch, which), content_type=kind, headers=_SANDBOX
        )

    async def _results(self, batch: ClientBatch, which: str) -> AsyncGenerator[bytes, None]:
        write = bodies.anthropic_line if which == "all" else bodies.openai_line
        last = 0
        while rows := await self.do(kept.client_batch_rows, batch.pk, last):
            last = rows[-1].line
            for row in rows:
                done = row.state == DeferredRequest.State.DONE
                if which == "all" or done is (which == "out"):
                    reply = await deferred_reply(self.services, row, self.client)
                    yield as_json(write(row, reply)) + b"\n"


def _json(body: Body) -> HttpResponse:
    return HttpResponse(as_json(body), "application/json")

"""Reads the requests of a client's batch, each as its own endpoint reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from analytics.models import DeferredRequest
from optimizer.api.compat.chat_endpoint import ChatEndpoint
from optimizer.api.endpoints import endpoints_of
from optimizer.api.http.endpoint import ApiRequest
from optimizer.api.http.errors import failure_of
from optimizer.domain.client import Client
from optimizer.domain.identifiers import new_request_id
from optimizer.domain.model_names import UnknownModel
from optimizer.domain.request import GatewayRequest
from optimizer.gateway.deferred.restored import SentRequest, unadmitted_row
from optimizer.shared.unambiguous_json import unambiguous_json
from optimizer.wiring.services import Services
from providers.storable import storable_text

MOST_LINES = 10_000
_READ_TOGETHER = 50
_KEPT_HEADERS = frozenset({"anthropic-version", "anthropic-beta", "cache-control"})
BATCH_SECONDS = 24 * 3600
LINE_PATHS = ("/v1/chat/completions",)
"""The endpoints that an input file of OpenAI's format may be for."""


@dataclass(frozen=True, slots=True)
class InvalidLine:
    """A line that cannot be read: its number from 1, or ``None`` for the whole file, and why."""

    line: int | None
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One request: the client's own name of it, and its body."""

    custom_id: str
    body: Mapping[str, Any]


def items_of_file(content: bytes, path: str) -> tuple[list[BatchItem], list[InvalidLine]]:
    """Return the requests of an input file for ``path``, and what is wrong with it.

    Format: https://platform.openai.com/docs/api-reference/batch/request-input
    """
    items: list[BatchItem] = []
    faults: list[InvalidLine] = []
    names: set[str] = set()
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            item = _item(unambiguous_json(line), path, names)
        except ValueError as error:
            faults.append(InvalidLine(number, "invalid_json_line", str(error)))
            continue
        names.add(item.custom_id)
        items.append(item)
    if not items and not faults:
        faults.append(InvalidLine(None, "empty_file", "The file has no requests."))
    if len(items) > MOST_LINES:
        words = f"The file has more than {MOST_LINES} requests."
        faults.append(InvalidLine(None, "too_many_requests", words))
    return items, faults


def _item(value: Any, path: str, names: set[str]) -> BatchItem:
    if not isinstance(value, dict):
        raise ValueError("it is no object of JSON")
    custom_id, body = value.get("custom_id"), value.get("body")
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= 200:
        raise ValueError("custom_id must be a text of 1 to 200 characters")
    if storable_text(custom_id) != custom_id:
        raise ValueError("custom_id must be Unicode, without NUL")
    if custom_id in names:
        raise ValueError(f"custom_id '{custom_id}' is used twice")
    if value.get("method") != "POST" or value.get("url") != path:
        raise ValueError(f"method must be POST, and url {path}, as the batch's endpoint says")
    if not isinstance(body, dict):
        raise ValueError("body must be an object")
    return BatchItem(custom_id, body)


def models_of_lines(content: bytes) -> set[str]:
    """Return the models that the lines of an input file name, as far as they can be read."""
    models = set()
    for line in content.splitlines():
        try:
            value = unambiguous_json(line)
        except ValueError:
            continue
        body = value.get("body") if isinstance(value, dict) else None
        model = body.get("model") if isinstance(body, dict) else None
        if isinstance(model, str):
            models.add(model)
    return models


def belongs_to(services: Services, models: Iterable[str], provider: str) -> bool:
    """Return whether all ``models`` are this provider's own, or names that nobody knows.

    A request that names no model, or leaves the choice to this service, is no provider's own.
    """
    for model in models:
        try:
            only = services.names.select(model).only
        except UnknownModel:
            continue
        if only is None or any(ref.provider != provider for ref in only):
            return False
    return True


async def rows_of_items(
    services: Services,
    client: Client,
    items: Sequence[BatchItem],
    path: str,
    headers: Mapping[str, str],
) -> tuple[list[DeferredRequest], list[InvalidLine]]:
    """Return the rows of the requests, and those that the client may not send so."""
    endpoint = endpoints_of(services)[path]
    assert isinstance(endpoint, ChatEndpoint)
    rows: list[DeferredRequest] = []
    faults: list[InvalidLine] = []
    for number, item in enumerate(items, 1):
        api_request = ApiRequest(
            data=item.body,
            request_id=new_request_id(),
            client=client,
            header=lambda name: headers.get(name, ""),
            path=path,
        )
        try:
            request = endpoint.gateway_request(api_request)
            await endpoint.check(request)
        except Exception as error:  # noqa: BLE001 - told to the client with its line
            failure = failure_of(error)
            faults.append(InvalidLine(number, failure.code or "invalid_request", failure.message))
            continue
        row = _row(request, item, path, headers)
        row.line = number
        rows.append(row)
        if number % _READ_TOGETHER == 0:
            await asyncio.sleep(0)  # others are served in between
    return rows, faults


def _row(
    request: GatewayRequest, item: BatchItem, path: str, headers: Mapping[str, str]
) -> DeferredRequest:
    request = replace(
        request, deadline=BATCH_SECONDS, accepts_later=True, streamed=False, webhook="",
        asked_at=datetime.now(UTC),
    )  # fmt: skip
    kept = {name: value for name, value in headers.items() if name in _KEPT_HEADERS}
    row = unadmitted_row(request, SentRequest(path, item.body, kept))
    row.custom_id = item.custom_id
    return row

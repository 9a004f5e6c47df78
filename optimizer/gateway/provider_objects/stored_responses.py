"""Stores responses given with the models of other wires, and resolves references to them.

Only OpenAI stores what its own models answer. What others answer to a client of its Responses
API is stored here, so that the client can go on by ``previous_response_id`` and by the ids of
items, on any model.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from analytics.database.aside import DatabaseThread
from analytics.models import StoredResponse
from analytics.privacy.masking import Mask
from analytics.stored_responses import (
    conversation_load,
    response_delete,
    response_store,
    responses_load,
)
from optimizer.domain.client import ANONYMOUS, Client
from optimizer.domain.result import UnknownObject

logger = logging.getLogger(__name__)

# So many are looked through in a few milliseconds.
_MANY_ITEMS = 10_000
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_OWN_RESPONSE = re.compile(f"resp_{_UUID}")
_OWN_ITEM = re.compile(rf"[a-z]+_({_UUID})_\d+")
_NOT_STORED = (
    " Responses are not stored here, as STORE_PROMPTS is not full: send the items themselves, "
    "with store: false."
)
# What no person wrote, or what would lose its meaning.
_NOT_MASKED = frozenset(
    {"id", "type", "role", "status", "call_id", "name", "namespace", "encrypted_content",
     "file_id", "file_data", "image_url", "file_url"}
)  # fmt: skip
Item = Mapping[str, Any]


def is_own_response(value: Any) -> bool:
    """Return whether ``value`` is the id of a response that this service gave."""
    return isinstance(value, str) and _OWN_RESPONSE.fullmatch(value) is not None


class StoredResponses:
    """Stores responses if ``on``; ``mask`` is applied to what clients sent."""

    def __init__(self, database: DatabaseThread, *, on: bool, mask: Mask | None = None) -> None:
        self._database = database
        self._mask = mask
        self.on = on

    async def resolved(self, body: Any, client: Client) -> Any:
        """Return the request's body with the items that it refers to in place of references.

        Raises :class:`optimizer.domain.result.UnknownObject` if one is not stored.
        """
        if not isinstance(body, dict):
            return body
        previous = body.get("previous_response_id")
        if not is_own_response(previous):
            sent = _items_of(body.get("input"))
            many = len(sent) > _MANY_ITEMS
            if not (await asyncio.to_thread(_refers, sent) if many else _refers(sent)):
                return body
            previous = None
        before = await self._conversation(previous, client) if previous else []
        items = await self._full([*before, *_items_of(body.get("input"))], client)
        without = {k: v for k, v in body.items() if previous is None or k != "previous_response_id"}
        return {**without, "input": items}

    async def keep(
        self, response: Mapping[str, Any], body: Mapping[str, Any], client: Client
    ) -> None:
        """Store a response to the request ``body``; an error is logged, as the answer is paid."""
        previous = body.get("previous_response_id")
        previous = previous if is_own_response(previous) else ""

        def write() -> None:
            items = [_masked(item, self._mask) for item in _items_of(body.get("input"))]
            response_store(
                response["id"], client.tenant, str(previous), json.dumps(items),
                json.dumps(response, default=str),
            )  # fmt: skip

        try:
            await self._database.run(write)
        except Exception as error:
            logger.error("A response could not be stored", exc_info=error)

    async def find(self, response_id: str, client: Client) -> dict[str, Any]:
        """Return the stored response. Raises UnknownObject."""
        row = await self._row(response_id, client)
        response: dict[str, Any] = json.loads(row.response)
        return response

    async def input_items(self, response_id: str, client: Client) -> list[dict[str, Any]]:
        """Return the input of a stored response, each item with an id. Raises UnknownObject."""
        row = await self._row(response_id, client)
        items = await self._full(json.loads(row.input), client)
        plain = response_id.removeprefix("resp_")
        return [
            {"id": f"msg_{plain}_in{n}", "type": "message", **item} for n, item in enumerate(items)
        ]

    async def delete(self, response_id: str, client: Client) -> None:
        """Delete a stored response. Raises UnknownObject."""
        if not await self._database.run(partial(response_delete, response_id, _tenant(client))):
            raise self._unknown(f"Response with id '{response_id}' not found.")

    async def _row(self, response_id: str, client: Client) -> StoredResponse:
        rows = await self._database.run(partial(responses_load, [response_id], _tenant(client)))
        if response_id not in rows:
            raise self._unknown(f"Response with id '{response_id}' not found.")
        return rows[response_id]

    async def _conversation(self, previous: str, client: Client) -> list[Item]:
        rows = await self._database.run(partial(conversation_load, previous, _tenant(client)))
        if not rows:
            raise self._unknown(
                f"Previous response with id '{previous}' not found.",
                "previous_response_id",
                "previous_response_not_found",
            )
        return [item for row in rows for item in (*json.loads(row.input), *_output_of(row))]

    async def _full(self, items: Sequence[Item], client: Client) -> list[Item]:
        """Return ``items`` with the stored items in place of references to them."""
        referred = {item_id: f"resp_{match[1]}" for item in items if (match := _referred(item))
                    for item_id in [item["id"]]}  # fmt: skip
        if not referred:
            return list(items)
        ids = set(referred.values())
        rows = await self._database.run(partial(responses_load, ids, _tenant(client)))
        known = {
            item["id"]: {k: v for k, v in item.items() if k != "id"}
            for row in rows.values()
            for item in _output_of(row, with_ids=True)
            if "id" in item
        }
        for item_id in referred:
            if item_id not in known:
                raise self._unknown(f"Item with id '{item_id}' not found.", "input")
        return [known[item["id"]] if _referred(item) else item for item in items]

    def _unknown(self, message: str, param: str = "", code: str = "") -> UnknownObject:
        return UnknownObject(message if self.on else message + _NOT_STORED, param, code)


def _items_of(value: Any) -> list[Item]:
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": value}] if value else []
    return value if isinstance(value, list) else []


def _output_of(row: StoredResponse, *, with_ids: bool = False) -> Iterable[dict[str, Any]]:
    """Yield the output items; without their ids, they are nothing that OpenAI should know."""
    for item in json.loads(row.response).get("output") or ():
        yield item if with_ids else {k: v for k, v in item.items() if k != "id"}


def _refers(items: Sequence[Any]) -> bool:
    return any(map(_referred, items))


def _referred(item: Any) -> re.Match[str] | None:
    """Return the match of the id if ``item`` refers to an item of this service."""
    if not isinstance(item, dict) or "role" in item or "content" in item:
        return None
    if item.get("type") not in (None, "item_reference"):
        return None
    item_id = item.get("id")
    return _OWN_ITEM.fullmatch(item_id) if isinstance(item_id, str) else None


def _masked(value: Any, mask: Mask | None, name: str = "") -> Any:
    if mask is None:
        return value
    if isinstance(value, dict):
        return {k: _masked(v, mask, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_masked(item, mask, name) for item in value]
    if isinstance(value, str) and value and name not in _NOT_MASKED:
        return mask(value)
    return value


def _tenant(client: Client) -> str | None:
    return None if client is ANONYMOUS else client.tenant

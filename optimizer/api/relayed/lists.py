"""Lists of a provider's objects, without those of other tenants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from optimizer.api.relayed.calls import RelayedCall
from optimizer.domain.client import ANONYMOUS

_MOST_PAGES = 20
_PAGE = 100
_USUAL_LIMIT = 20
_AFTER = {"openai": "after", "anthropic": "after_id"}


async def own_list(call: RelayedCall, first: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the list with the client's own objects; ``first`` is the provider's first page.

    Pages of others' objects are passed over, so that a client that reads page by page finds
    all of its own. Once all of its own are in the list, the rest is not looked at, and the list
    says that there is no more: whether others have objects does not show.
    """
    if call.client is ANONYMOUS or not isinstance(first.get("data"), list):
        return first
    asked = call.request.GET
    limit = _limit(asked.get("limit"))
    after = _AFTER[call.wire]
    total = await call.services.provider_objects.count(
        call.place.kind, call.provider.name, call.client
    )
    page, data = first, await _own(call, first["data"]) if total else []
    for _ in range(_MOST_PAGES):
        last = _last_id(page)
        complete = len(data) >= min(limit, total) or "before_id" in asked
        if complete or not page.get("has_more") or not last:
            break
        query = {**{k: str(v) for k, v in asked.items()}, after: last, "limit": str(_PAGE)}
        answer = await call.send(query)
        raw = await answer.read()
        if answer.status != 200:
            break
        page = _object(raw)
        data += await _own(call, page.get("data") or [])
    more = len(data) > limit or (len(data) < total and bool(page.get("has_more")))
    data = data[:limit]
    return {
        # Nothing else of the provider's page: a count would be that of all tenants.
        **({"object": first["object"]} if "object" in first else {}),
        "data": data,
        "has_more": more and bool(data),
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


async def _own(call: RelayedCall, items: list[Any]) -> list[Any]:
    known = [item for item in items if isinstance(item, dict) and isinstance(item.get("id"), str)]
    ids = [item["id"] for item in known]
    own = await call.services.provider_objects.own(call.place.kind, ids, call.client)
    return [item for item in known if item["id"] in own]


def _limit(value: str | None) -> int:
    return int(value) if value and value.isascii() and value.isdigit() else _USUAL_LIMIT


def _last_id(page: Mapping[str, Any]) -> str:
    data = page.get("data")
    last = data[-1] if isinstance(data, list) and data else {}
    last_id = page.get("last_id") or (last.get("id") if isinstance(last, dict) else "")
    return last_id if isinstance(last_id, str) else ""


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}

"""OpenRouter's activity: the last 30 complete UTC days, by model.

https://openrouter.ai/docs/api/api-reference/analytics/get-user-activity-grouped-by-endpoint:
``usage`` is what was charged in USD; calls with a provider key of one's own are charged by
that provider (``byok_usage_inference``). A management key is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from providers.statements.api_pages import ReportClient
from providers.statements.lines import StatedLine, amount_of

BASE_URL = "https://openrouter.ai/api/v1"
KEY_HINT = "Give a management key in OPENROUTER_ADMIN_KEY; it is made in the key settings."


def headers_for(key: str) -> dict[str, str]:
    """Return the headers of a call."""
    return {"Authorization": f"Bearer {key}"}


def read_report(client: ReportClient, since: date, until: date) -> Iterator[StatedLine]:
    """Yield what was charged on the days from ``since`` until before ``until``."""
    page = client.get("/activity", [])
    yield from (line for line in read_pages([page]) if since <= line.day < until)


def read_pages(pages: Iterable[Mapping[str, Any]]) -> Iterator[StatedLine]:
    """Yield the lines of an answer."""
    for page in pages:
        for item in page["data"]:
            yield StatedLine(
                day=date.fromisoformat(str(item["date"])[:10]),
                model=str(item["model"]),
                item=f"activity by {item.get('provider_name') or 'unknown'}",
                amount=amount_of(item["usage"]),
                requests=int(item["requests"]),
                tokens_in=int(item["prompt_tokens"]),
                tokens_out=int(item["completion_tokens"]),
            )

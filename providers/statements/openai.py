"""OpenAI's organization costs and usage.

https://platform.openai.com/docs/api-reference/usage/costs: days in UTC, ``amount.value`` in USD,
``line_item`` "model, kind of tokens" or the name of a tool. An admin key is needed:
https://platform.openai.com/docs/api-reference/admin-api-keys
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from providers.statements.api_pages import Query, ReportClient
from providers.statements.lines import StatedLine, amount_of, in_dollars

BASE_URL = "https://api.openai.com/v1"
KEY_HINT = "Give an organization's admin key (sk-admin-…) in OPENAI_ADMIN_KEY."
_USAGE = ("completions", "embeddings")


def headers_for(key: str) -> dict[str, str]:
    """Return the headers of a call."""
    return {"Authorization": f"Bearer {key}"}


def read_report(client: ReportClient, since: date, until: date) -> Iterator[StatedLine]:
    """Yield costs and usage of the days from ``since`` until before ``until``."""
    span = [
        ("start_time", _seconds(since)), ("end_time", _seconds(until)), ("bucket_width", "1d"),
    ]  # fmt: skip
    costs: Query = [*span, ("limit", "180"), ("group_by", "line_item"), ("group_by", "project_id")]
    for page in client.pages("/organization/costs", costs):
        yield from read_pages([page])
    usage: Query = [*span, ("limit", "31"), ("group_by", "model"), ("group_by", "project_id")]
    for kind in _USAGE:
        for page in client.pages(f"/organization/usage/{kind}", usage):
            yield from read_pages([page])


def read_pages(pages: Iterable[Mapping[str, Any]]) -> Iterator[StatedLine]:
    """Yield the lines of pages of either report."""
    for page in pages:
        for bucket in page["data"]:
            day = datetime.fromtimestamp(int(bucket["start_time"]), UTC).date()
            for result in bucket["results"]:
                yield _cost(day, result) if "amount" in result else _usage(day, result)


def _cost(day: date, result: Mapping[str, Any]) -> StatedLine:
    amount = result["amount"]
    in_dollars(str(amount.get("currency") or ""))
    item = str(result.get("line_item") or "")
    model, comma, _ = item.rpartition(",")
    return StatedLine(
        day=day, model=model.strip() if comma else "", item=item,
        key=str(result.get("project_id") or ""), amount=amount_of(amount["value"]),
    )  # fmt: skip


def _usage(day: date, result: Mapping[str, Any]) -> StatedLine:
    return StatedLine(
        day=day,
        model=str(result.get("model") or ""),
        key=str(result.get("project_id") or ""),
        item="usage",
        requests=result.get("num_model_requests"),
        tokens_in=result.get("input_tokens"),
        tokens_out=result.get("output_tokens") or 0,
    )


def _seconds(day: date) -> str:
    return str(int(datetime.combine(day, time(), UTC).timestamp()))

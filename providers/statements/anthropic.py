"""Anthropic's cost and usage reports, by its Admin API.

https://platform.claude.com/docs/en/api/admin/cost_report.md: days in UTC, ``amount`` is a decimal
string in the lowest unit of the currency, that is cents.
https://platform.claude.com/docs/en/manage-claude/usage-cost-api: the usage report; what the
priority tier costs is in no report. An admin key is needed (sk-ant-admin…).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

from providers.statements.api_pages import Query, ReportClient
from providers.statements.lines import StatedLine, amount_of, in_dollars

BASE_URL = "https://api.anthropic.com/v1"
KEY_HINT = "Give an organization's admin key (sk-ant-admin…) in ANTHROPIC_ADMIN_KEY."


def headers_for(key: str) -> dict[str, str]:
    """Return the headers of a call."""
    return {"x-api-key": key, "anthropic-version": "2023-06-01"}


def read_report(client: ReportClient, since: date, until: date) -> Iterator[StatedLine]:
    """Yield costs and usage of the days from ``since`` until before ``until``."""
    span = [
        ("starting_at", f"{since}T00:00:00Z"), ("ending_at", f"{until}T00:00:00Z"),
        ("bucket_width", "1d"), ("limit", "31"),
    ]  # fmt: skip
    costs: Query = [*span, ("group_by[]", "workspace_id"), ("group_by[]", "description")]
    for page in client.pages("/organizations/cost_report", costs):
        yield from read_pages([page])
    usage: Query = [*span, ("group_by[]", "workspace_id"), ("group_by[]", "model")]
    for page in client.pages("/organizations/usage_report/messages", usage):
        yield from read_pages([page])


def read_pages(pages: Iterable[Mapping[str, Any]]) -> Iterator[StatedLine]:
    """Yield the lines of pages of either report."""
    for page in pages:
        for bucket in page["data"]:
            day = datetime.fromisoformat(bucket["starting_at"]).date()
            for result in bucket["results"]:
                yield _cost(day, result) if "amount" in result else _usage(day, result)


def _cost(day: date, result: Mapping[str, Any]) -> StatedLine:
    in_dollars(str(result.get("currency") or ""))
    return StatedLine(
        day=day,
        model=str(result.get("model") or ""),
        key=str(result.get("workspace_id") or ""),
        item=str(result.get("description") or result.get("cost_type") or ""),
        amount=amount_of(result["amount"]).scaleb(-2),
    )


def _usage(day: date, result: Mapping[str, Any]) -> StatedLine:
    written = result.get("cache_creation") or {}
    return StatedLine(
        day=day,
        model=str(result.get("model") or ""),
        key=str(result.get("workspace_id") or ""),
        item="usage",
        tokens_in=sum(
            int(count or 0)
            for count in (
                result.get("uncached_input_tokens"), result.get("cache_read_input_tokens"),
                *written.values(),
            )
        ),
        tokens_out=int(result.get("output_tokens") or 0),
    )  # fmt: skip

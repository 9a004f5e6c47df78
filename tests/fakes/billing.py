"""A server that speaks the billing APIs of OpenAI, Anthropic and OpenRouter, as documented.

https://platform.openai.com/docs/api-reference/usage/costs
https://platform.claude.com/docs/en/api/admin/cost_report.md
https://platform.claude.com/docs/en/manage-claude/usage-cost-api
https://openrouter.ai/docs/api/api-reference/analytics/get-user-activity-grouped-by-endpoint

It sums the calls that it is given by UTC day, gives the buckets of a page by ``limit`` and
``page``, wants an administrator's key and the headers that each API wants.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

ADMIN = {"openai": "sk-admin-1", "claude": "sk-ant-admin-1", "openrouter": "sk-or-mgmt-1"}


@dataclass(frozen=True)
class BilledCall:
    """A call as the provider charged it."""

    at: datetime
    model: str
    cost: Decimal
    tokens_in: int = 100
    tokens_out: int = 10
    project: str = "proj_gateway"
    item: str = ""


@dataclass
class FakeBilling:
    """The calls of all customers of one account; ``failures`` are answered first, one each."""

    calls: list[BilledCall] = field(default_factory=list)
    failures: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    most_buckets: int = 180
    url: str = ""

    def days(self, since: datetime, until: datetime) -> list[datetime]:
        """Return the starts of the days."""
        return [since + timedelta(days=n) for n in range((until - since).days)]

    def on(self, day: datetime, *names: str) -> dict[tuple[str, ...], list[BilledCall]]:
        """Return the calls of a day by the attributes."""
        groups: dict[tuple[str, ...], list[BilledCall]] = defaultdict(list)
        for call in self.calls:
            if day <= call.at < day + timedelta(days=1):
                groups[tuple(getattr(call, name) for name in names)].append(call)
        return groups


def openai_costs(calls: FakeBilling, day: datetime) -> list[dict[str, Any]]:
    return [
        {
            "object": "organization.costs.result",
            "amount": {"value": float(sum(c.cost for c in of)), "currency": "usd"},
            "line_item": item or f"{model}, input",
            "project_id": project,
            "organization_id": "org_1",
        }
        for (model, item, project), of in calls.on(day, "model", "item", "project").items()
    ]


def openai_usage(calls: FakeBilling, day: datetime) -> list[dict[str, Any]]:
    return [
        {
            "object": "organization.usage.completions.result",
            "input_tokens": sum(c.tokens_in for c in of),
            "output_tokens": sum(c.tokens_out for c in of),
            "input_cached_tokens": 0,
            "num_model_requests": len(of),
            "project_id": project,
            "user_id": None,
            "api_key_id": None,
            "model": model,
            "batch": None,
        }
        for (model, project), of in calls.on(day, "model", "project").items()
        if model
    ]


def anthropic_costs(calls: FakeBilling, day: datetime) -> list[dict[str, Any]]:
    return [
        {
            "amount": f"{sum(c.cost for c in of) * 100:f}",
            "currency": "USD",
            "cost_type": "web_search" if item else "tokens",
            "description": item or f"{model} Usage - Input Tokens",
            "model": model or None,
            "service_tier": "standard",
            "token_type": "uncached_input_tokens",
            "workspace_id": project,
            "context_window": "0-200k",
        }
        for (model, item, project), of in calls.on(day, "model", "item", "project").items()
    ]


def anthropic_usage(calls: FakeBilling, day: datetime) -> list[dict[str, Any]]:
    return [
        {
            "uncached_input_tokens": sum(c.tokens_in for c in of) - 3,
            "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 1},
            "cache_read_input_tokens": 2,
            "output_tokens": sum(c.tokens_out for c in of),
            "server_tool_use": {"web_search_requests": 0},
            "api_key_id": None,
            "workspace_id": project,
            "model": model,
            "service_tier": "standard",
            "context_window": "0-200k",
        }
        for (model, project), of in calls.on(day, "model", "project").items()
        if model
    ]


def activity(calls: FakeBilling) -> list[dict[str, Any]]:
    days = sorted({c.at.replace(hour=0, minute=0, second=0, microsecond=0) for c in calls.calls})
    return [
        {
            "date": f"{day:%Y-%m-%d}",
            "model": model,
            "model_permaslug": f"{model}-2026-01-01",
            "endpoint_id": "550e8400-e29b-41d4-a716-446655440000",
            "provider_name": "Some",
            "usage": float(sum(c.cost for c in of)),
            "byok_usage_inference": 0,
            "requests": len(of),
            "prompt_tokens": sum(c.tokens_in for c in of),
            "completion_tokens": sum(c.tokens_out for c in of),
            "reasoning_tokens": 0,
        }
        for day in days
        for (model,), of in calls.on(day, "model").items()
    ]


REPORTS = {
    "/v1/organization/costs": ("openai", 180, openai_costs),
    "/v1/organization/usage/completions": ("openai", 31, openai_usage),
    "/v1/organization/usage/embeddings": ("openai", 31, lambda calls, day: []),
    "/v1/organizations/cost_report": ("claude", 31, anthropic_costs),
    "/v1/organizations/usage_report/messages": ("claude", 31, anthropic_usage),
}


class _Handler(BaseHTTPRequestHandler):
    billing: FakeBilling

    def do_GET(self) -> None:
        self.billing.asked.append(self.path)
        status, headers, body = self._answer()
        text = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(text))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def _answer(self) -> tuple[int, dict[str, str], dict[str, Any]]:
        if self.billing.failures:
            status, headers = self.billing.failures.pop(0)
            return status, headers, {"error": {"message": "Slow down, sk-secret", "type": "x"}}
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        if parts.path == "/api/v1/activity":
            if self.headers["authorization"] != f"Bearer {ADMIN['openrouter']}":
                return 403, {}, {"error": {"message": "Only management keys", "code": 403}}
            return 200, {}, {"data": activity(self.billing)}
        if parts.path not in REPORTS:
            return 404, {}, {"error": {"message": "Not found"}}
        provider, limit, results = REPORTS[parts.path]
        if provider == "openai":
            if self.headers["authorization"] != f"Bearer {ADMIN['openai']}":
                return 401, {}, {"error": {"message": "Incorrect API key", "type": "x"}}
            span = [
                datetime.fromtimestamp(int(query[n][0]), UTC) for n in ("start_time", "end_time")
            ]
        else:
            if self.headers["x-api-key"] != ADMIN["claude"]:
                return 401, {}, {"type": "error", "error": {"message": "invalid x-api-key"}}
            if not self.headers["anthropic-version"]:
                return 400, {}, {"error": {"message": "anthropic-version: header is required"}}
            span = [datetime.fromisoformat(query[n][0]) for n in ("starting_at", "ending_at")]
        asked = int(query.get("limit", ["7"])[0])
        if asked > limit:
            return 400, {}, {"error": {"message": f"limit must be at most {limit}"}}
        days = self.billing.days(*span)
        at = int(query.get("page", ["page_0"])[0].removeprefix("page_"))
        size = min(asked, self.billing.most_buckets)
        shown = days[at : at + size]
        more = at + size < len(days)
        return 200, {}, {
            "object": "page",
            "data": [self._bucket(provider, day, results(self.billing, day)) for day in shown],
            "has_more": more,
            "next_page": f"page_{at + size}" if more else None,
        }  # fmt: skip

    @staticmethod
    def _bucket(provider: str, day: datetime, results: list[Any]) -> dict[str, Any]:
        end = day + timedelta(days=1)
        if provider == "openai":
            span: dict[str, Any] = {
                "start_time": int(day.timestamp()), "end_time": int(end.timestamp()),
            }  # fmt: skip
            return {"object": "bucket", **span, "results": results}
        form = "%Y-%m-%dT%H:%M:%SZ"
        return {
            "starting_at": day.strftime(form), "ending_at": end.strftime(form), "results": results,
        }  # fmt: skip

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def fake_billing() -> Iterator[FakeBilling]:
    """Run the server on a free port."""
    billing = FakeBilling()
    handler = type("Handler", (_Handler,), {"billing": billing})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    billing.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield billing
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

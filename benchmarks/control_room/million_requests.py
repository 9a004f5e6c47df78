"""Fills a database with made-up requests over thirty days, and with what is summed of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.control_room.other_tables import MODELS, other_tables_fill


def fill(count: int) -> None:
    """Make requests, decisions and totals, unless they are there."""
    from django.db import connection

    from analytics.ledger.rollups import totals_update
    from analytics.models import HourlyRollup, RequestRecord
    from benchmarks.analytics.report import DECIDE, FILL

    with connection.cursor() as cursor:
        if not RequestRecord.objects.exists():
            start = datetime.now(UTC) - timedelta(days=29.9)
            cursor.execute(FILL, {"start": start, "days": 29.9, "count": count})
            cursor.execute(_RARE)
            cursor.execute(_RUNS.format(providers=_of_model(0), models=_of_model(1), run=_RUN))
            developers_make(cursor)
            cursor.execute(DECIDE)
            cursor.execute(_SESSIONS)
            cursor.execute(_DAILY)
            budgets_make()
        other_tables_fill()
        for _ in totals_update():
            pass
        cursor.execute("VACUUM ANALYZE")
    print(f"{count} requests, {HourlyRollup.objects.count()} hourly totals")


def budgets_make() -> None:
    """Of each kind that is drawn: one account or many, begun anew or bit by bit."""
    from decimal import Decimal

    from analytics.budgets.marking import budgets_mark
    from analytics.budgets.opening import budget_open
    from analytics.models import Budget

    for name, limit, fields in (
        ("the week", 5000, {"period": "week"}),
        ("any three days", 2000, {"period": "rolling", "rolling_minutes": 3 * 24 * 60}),
        ("each user's day", 2, {"period": "day", "scope": "user"}),
    ):
        budget_open(Budget(name=name, limit=Decimal(limit), **fields))
    budgets_mark()


def developers_make(cursor: Any) -> None:
    """Of developers with few, some and very many requests, each with a key."""
    from analytics.access.developers import developer_add
    from analytics.access.keys import digest_of
    from analytics.models import ApiKey, Developer

    for name, below in DEVELOPERS.items():
        developer = developer_add(Developer(name=name))
        key = ApiKey(name=name, prefix=f"aco_{name}", digest=digest_of(name), developer=developer)
        key.origin = key.prefix
        key.save()
        change = "UPDATE requests SET api_key = %s, user_id = %s WHERE prompt_hash < %s"
        cursor.execute(change, [key.prefix, name, below])


def _of_model(part: int) -> str:
    """Return SQL for the provider (0) or name (1) that stands for "model-0" and so on."""
    names = ", ".join(f"'{model[part]}'" for model in MODELS)
    return f"(ARRAY[{names}])[1 + right(model, 1)::int]"


_RUN = "(extract(epoch FROM created_at) / 400)::bigint"
# The requests of a developer: those whose hash is below it, the later ones first taken away.
DEVELOPERS = {"busy": "33", "usual": "01", "few": "0003"}
# A value that few of the requests have, all over the month.
_RARE = """
UPDATE requests SET user_id = 'rare', tags = '["rare"]'
WHERE id IN (SELECT id FROM requests ORDER BY prompt_hash LIMIT 40)
"""
# Runs of an agent of a hundred calls, one in ten of a sub-agent, and conversations of one call;
# three teams and projects; one request in five names a model, and one in fifty failed.
_RUNS = """
UPDATE requests SET provider = {providers}, model = {models},
    agent = CASE WHEN strategy = 'cached' THEN 'chat' ELSE 'claude-code' END,
    turn = (ARRAY['human', 'tool_result', 'tool_result', 'title'])[1 + tokens_in % 4],
    sub_agent = CASE WHEN tokens_in % 10 = 0 THEN 'a' || tokens_out % 3 ELSE '' END,
    tools_called = (ARRAY['["Read"]', '["Bash", "Edit"]', NULL])[1 + tokens_in % 3]::jsonb,
    project = (ARRAY['', 'web', 'search'])[1 + tokens_out % 3],
    tenant = (ARRAY['', 'team:web', 'team:search'])[
        1 + CASE WHEN strategy = 'cached' THEN 0 ELSE {run} % 3 END],
    requested_model = CASE WHEN tokens_in % 5 = 1 THEN {models} ELSE '' END,
    status = CASE WHEN NOT cache_hit AND tokens_out % 50 = 7 THEN 'error' ELSE 'ok' END,
    error_code = CASE WHEN NOT cache_hit AND tokens_out % 50 = 7 THEN 'rate_limited' ELSE '' END,
    session_id = CASE WHEN strategy = 'cached' THEN 'chat-' || prompt_hash ELSE 'run-' || {run} END
"""
_SESSIONS = """
INSERT INTO sessions (
    tenant, session_id, sub_agent, parent_agent, agent, user_id, api_key, project, started_at,
    last_at, requests, errors, cache_hits, unpriced, human_turns, tool_calls, tokens_in,
    tokens_out, cache_read_tokens, cache_write_tokens, cost, savings, prompt_cache_saved,
    stop_reason
)
SELECT max(tenant), session_id, COALESCE(sub_agent, ''), '', max(agent), max(user_id), '', '',
    min(created_at), max(created_at), count(*), 0, count(*) FILTER (WHERE cache_hit), 0, 0, 0,
    sum(tokens_in), sum(tokens_out), 0, 0, sum(cost), 0, 0, ''
FROM requests GROUP BY GROUPING SETS ((session_id), (session_id, sub_agent))
HAVING NOT GROUPING(sub_agent) = 0 OR sub_agent <> ''
"""
_DAILY = """
INSERT INTO daily_totals (
    date, provider, model, strategy, requests, errors, cache_hits, unpriced, tokens_in,
    tokens_out, cost, baseline_cost, routing_saved, cache_saved
)
SELECT (created_at AT TIME ZONE 'UTC')::date, provider, model, strategy, count(*), 0,
    count(*) FILTER (WHERE cache_hit), 0, sum(tokens_in), sum(tokens_out), sum(cost),
    sum(cost * 1.7), sum(cost * 0.7), 0
FROM requests GROUP BY 1, 2, 3, 4
"""

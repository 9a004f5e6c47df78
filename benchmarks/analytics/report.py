"""python -m benchmarks.analytics.report: how long a report over a million requests takes.

Fills a scratch database on PostgreSQL (DATABASE_URL; it is made and dropped) with
made-up requests over thirty days, then times the report read from the requests
alone and from hourly totals, what keeping those costs, and compares both to the
last place.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import django

FILL = """
INSERT INTO requests (
    id, created_at, status, prompt, prompt_hash, max_tokens, auto_route, endpoint,
    requested_model, streamed, tags, user_id, session_id, pattern, complexity, tier, strategy,
    confidence, provider, model, tokens_in, tokens_out, cache_read_tokens, cache_write_tokens,
    reasoning_tokens, tokens_estimated, usage_estimated, finish_reason, cost, failed_cost,
    cache_hit, cache_key, savings, latency_ms, attempts, error_code, error_detail, api_key,
    tenant, project, experiment, arm, replayed
)
SELECT gen_random_uuid(), %(start)s + (n * %(days)s / %(count)s) * interval '1 day', 'ok',
    'What is ' || n || ' plus one, and why does it matter to anyone at all?', md5(n::text), 1000,
    true, 'complete', '', false,
    (ARRAY['[]', '["checkout"]', '["search", "beta"]'])[1 + n %% 3]::jsonb,
    'user-' || (random() * 500)::int, 'session-' || n / 4,
    (ARRAY['code', 'factual', 'general', 'reasoning'])[1 + (n * 7) %% 4], random(),
    (ARRAY['simple', 'moderate', 'complex'])[1 + (n * 5) %% 3],
    (ARRAY['hybrid', 'complexity', 'cached'])[1 + n %% 3],
    (ARRAY['high', 'medium', 'low'])[1 + (n * 3) %% 3],
    (ARRAY['claude', 'gemini', 'openai', 'openrouter'])[1 + n %% 4],
    'model-' || (n * 11) %% 8, 100 + (random() * 2000)::int, 20 + (random() * 800)::int, 0, 0, 0,
    100 + (random() * 2000)::int, false, 'stop', round((0.0001 + random() * 0.02)::numeric, 10), 0,
    n %% 3 = 2, md5(n::text), 0,
    200 + random() * 3000, '[]', '', '', 'sk-' || n %% 5, '', '', '', '', false
FROM generate_series(1, %(count)s) n
"""
DECIDE = """
INSERT INTO routing_metrics (
    request_id, created_at, provider, model, strategy_used, confidence, reasoning, fallback_used,
    pattern, complexity, tier, actual_cost, baseline_provider, baseline_model, baseline_cost,
    baseline_output_cost, routing_saved, cache_saved, prompt_cache_saved, explored, metadata
)
SELECT id, created_at, provider, model, strategy, confidence, 'Made up.', false, pattern,
    complexity, tier, cost, 'claude', 'claude-opus-5', cost * 1.7, cost, cost * 0.7, 0, 0, false,
    '{}'
FROM requests
"""


def timed(work: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    """The median of ``times`` runs in seconds, and what the last one returned."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        found = work()
        taken.append(time.perf_counter() - begun)
    return sorted(taken)[len(taken) // 2], found


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.analytics.report", description=__doc__
    )
    parser.add_argument("--requests", type=int, default=1_000_000, help="(%(default)s)")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "optimizer.settings")
    django.setup()

    from django.db import connection

    if connection.vendor != "postgresql":
        parser.error("DATABASE_URL must name a PostgreSQL server")
    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        measure(options.requests)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def measure(count: int) -> None:
    from django.db import connection

    from analytics.ledger.rollups import totals_rebuild, totals_update
    from analytics.models import HourlyRollup
    from analytics.reports.report import routing_report

    now = datetime.now(UTC)
    with connection.cursor() as cursor:
        start = now - timedelta(days=29.9)
        cursor.execute(FILL, {"start": start, "days": 29.9, "count": count})
        cursor.execute(DECIDE)
        cursor.execute("VACUUM ANALYZE requests")
        cursor.execute("VACUUM ANALYZE routing_metrics")
        cursor.execute("SHOW server_version")
        print(f"PostgreSQL {cursor.fetchone()[0]}, Python {platform.python_version()}", end="; ")
    print(f"{count} requests over 30 days, seconds:")

    def report() -> Any:
        return routing_report(30, now, by="user")

    rows, from_rows = timed(report)
    print(f"  report, from the requests      {rows:8.2f}")
    first, _ = timed(lambda: list(totals_update(now)), times=1)
    print(f"  summing all hours, once        {first:8.2f}  ({HourlyRollup.objects.count()} totals)")
    again, _ = timed(lambda: list(totals_update(now)))
    print(f"  looking for new hours          {again:8.4f}")
    rebuilt, _ = timed(lambda: list(totals_rebuild()), times=1)
    print(f"  rebuilding them all            {rebuilt:8.2f}")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE hourly_totals")
    kept, from_totals = timed(report)
    print(f"  report, from hourly totals     {kept:8.2f}  ({rows / kept:.1f} times faster)")
    print(f"  both say the same: {from_rows == from_totals}")


if __name__ == "__main__":
    main()

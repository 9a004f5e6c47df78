"""python -m benchmarks.control_room.admin_pages: the cost of admin pages over a million rows.

Fills a scratch database on PostgreSQL (DATABASE_URL; it is made and, without
--keep, dropped) with made-up requests over thirty days, sums their hours, and
opens every page of the control room: server time in milliseconds, median and
slowest of several, the CPU time of the fastest, in Python and in PostgreSQL's own process for
the connection, and how many queries it makes. On a machine that others load, read the CPU time.
"""

from __future__ import annotations

import argparse
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import django

MOST_QUERIES, MOST_MS = 15, 300.0


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.control_room.admin_pages", description=__doc__
    )
    parser.add_argument("--requests", type=int, default=1_000_000, help="(%(default)s)")
    parser.add_argument("--times", type=int, default=7, help="each page is opened (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the database for another run")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "optimizer.settings")
    django.setup()

    from django.db import connection

    if connection.vendor != "postgresql":
        parser.error("DATABASE_URL must name a PostgreSQL server")
    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(
        verbosity=0, autoclobber=True, keepdb=options.keep, serialize=False
    )
    try:
        fill(options.requests)
        measure(options.times)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0, keepdb=options.keep)


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
            cursor.execute(_RUNS)
            developers_make(cursor)
            cursor.execute(DECIDE)
            cursor.execute(_SESSIONS)
            cursor.execute(_DAILY)
            budgets_make()
        for _ in totals_update():
            pass
        for table in ("requests", "routing_metrics", "hourly_totals", "daily_totals", "sessions"):
            cursor.execute(f"VACUUM ANALYZE {table}")
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

    for name, below in _DEVELOPERS.items():
        developer = developer_add(Developer(name=name))
        key = ApiKey(name=name, prefix=f"aco_{name}", digest=digest_of(name), developer=developer)
        key.origin = key.prefix
        key.save()
        change = "UPDATE requests SET api_key = %s, user_id = %s WHERE prompt_hash < %s"
        cursor.execute(change, [key.prefix, name, below])


# The requests of a developer: those whose hash is below it, the later ones first taken away.
_DEVELOPERS = {"busy": "33", "usual": "01", "few": "0003"}
# A value that few of the requests have, all over the month.
_RARE = """
UPDATE requests SET user_id = 'rare', tags = '["rare"]'
WHERE id IN (SELECT id FROM requests ORDER BY prompt_hash LIMIT 40)
"""
# Runs of an agent of a hundred calls, one in ten of a sub-agent, and conversations of one call.
_RUNS = """
UPDATE requests SET agent = CASE WHEN strategy = 'cached' THEN 'chat' ELSE 'claude-code' END,
    turn = (ARRAY['human', 'tool_result', 'tool_result', 'title'])[1 + tokens_in % 4],
    sub_agent = CASE WHEN tokens_in % 10 = 0 THEN 'a' || tokens_out % 3 ELSE '' END,
    tools_called = (ARRAY['["Read"]', '["Bash", "Edit"]', NULL])[1 + tokens_in % 3]::jsonb,
    session_id = CASE WHEN strategy = 'cached' THEN 'chat-' || prompt_hash
        ELSE 'run-' || (extract(epoch FROM created_at) / 400)::bigint END
"""
_SESSIONS = """
INSERT INTO sessions (
    tenant, session_id, sub_agent, parent_agent, agent, user_id, api_key, project, started_at,
    last_at, requests, errors, cache_hits, unpriced, human_turns, tool_calls, tokens_in,
    tokens_out, cache_read_tokens, cache_write_tokens, cost, savings, prompt_cache_saved,
    stop_reason
)
SELECT '', session_id, COALESCE(sub_agent, ''), '', max(agent), max(user_id), '', '',
    min(created_at), max(created_at), count(*), 0, count(*) FILTER (WHERE cache_hit), 0, 0, 0,
    sum(tokens_in), sum(tokens_out), 0, 0, sum(cost), 0, 0, ''
FROM requests GROUP BY GROUPING SETS ((session_id), (session_id, sub_agent))
HAVING NOT GROUPING(sub_agent) = 0 OR sub_agent <> ''
"""
_LED_TO = (
    ("user_id", "user-7"), ("user_id", "rare"), ("tag", "search"), ("tag", "rare"),
    ("pattern__exact", "code"),
)  # fmt: skip
# Read from kept sums, from the requests of many and of few values, and of one user.
_EXPLORED = (
    "days=7", "days=30&by=user", "days=90&by=time&then=model", "days=30&by=kind&then=model",
    "days=30&by=agent&then=turn", "days=30&by=user&then=model", "days=30&by=session",
    "days=30&by=model&user=user-7", "days=30&by=all&agent=claude-code", "days=30&tag=search",
)  # fmt: skip
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


def measure(times: int) -> None:
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.test import Client

    from analytics.models import Developer

    settings.ALLOWED_HOSTS = ["*"]
    user, _ = User.objects.get_or_create(username="bench", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(user)
    missed = sum(opened(client, page, times) for page in pages())
    for developer in Developer.objects.all():
        developer.account, _ = User.objects.get_or_create(username=developer.name)
        developer.save()
        client = Client()
        client.force_login(developer.account)
        for page in ("", "requests/", "sessions/", "keys/"):
            missed += opened(client, f"/me/{page}", times, developer.name)
    print(f"{missed} pages take over {MOST_MS:.0f} ms or {MOST_QUERIES} queries")


def opened(client: Any, page: str, times: int, whose: str = "") -> bool:
    """Open a page several times, and print its costs; return whether it costs too much."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client.get(page)
    taken, cpu = [], []
    for _ in range(times):
        begun, used = time.perf_counter(), cpu_ms(connection)
        response = client.get(page)
        taken.append((time.perf_counter() - begun) * 1000)
        cpu.append(cpu_ms(connection) - used)
    with CaptureQueriesContext(connection) as found:
        client.get(page)
    median = sorted(taken)[len(taken) // 2]
    over = median > MOST_MS or len(found) > MOST_QUERIES
    print(
        f"{median:8.0f} ms {max(taken):8.0f} slowest {min(cpu):6.0f} CPU "
        f"{len(found):4} queries "
        f"{response.status_code} {page} {whose}{'  <-- over' if over else ''}"
    )
    return over


def cpu_ms(connection: Any) -> float:
    """The CPU time of this process and of its PostgreSQL backend so far, in milliseconds."""
    connection.ensure_connection()
    fields = Path(f"/proc/{connection.connection.info.backend_pid}/stat").read_text()
    user, system = map(int, fields.rpartition(")")[2].split()[11:13])
    return (time.process_time() + (user + system) / os.sysconf("SC_CLK_TCK")) * 1000


def pages() -> list[str]:
    """The control room's own pages, every list of the admin, and one row's page of each."""
    from django.apps import apps
    from django.contrib import admin
    from django.urls import reverse

    from optimizer.control_room.pages.period import ReportPeriod

    found = [f"{reverse('admin:index')}?days={days}" for days in (1, 7, 30, 90)]
    found += [f"{reverse(f'admin:{name}')}?days=30" for name in ("details", "whose")]
    found += [
        reverse(f"admin:{name}")
        for name in ("live", "playground", "models", "start", "tools", "whatif")
    ]
    found += [f"{reverse('admin:palette')}?q={query}" for query in ("user", uuid4())]
    found.append(f"{reverse('admin:tools')}?days=90")
    explore = reverse("admin:explore")
    found += [f"{explore}?{query}" for query in _EXPLORED]
    for model in apps.get_app_config("analytics").get_models():
        if admin.site.is_registered(model):
            name = f"admin:analytics_{model._meta.model_name}"
            found.append(reverse(f"{name}_changelist"))
            row = model._default_manager.values_list("pk", flat=True).first()
            if row is not None:
                found.append(reverse(f"{name}_change", args=[row]))
    found += [f"{reverse('admin:charts')}?days={days}" for days in (1, 7, 30, 90)]
    sessions = reverse("admin:analytics_agentsession_changelist")
    table = apps.get_model("analytics", "AgentSession")
    dearest = table._default_manager.filter(sub_agent="").order_by("-cost").first()
    request = apps.get_model("analytics", "RequestRecord")._default_manager.first()
    if dearest is not None and request is not None:
        found.append(reverse("admin:analytics_agentsession_change", args=[dearest.pk]))
        found += [
            f"{sessions}?q={dearest.session_id}", f"{sessions}?q={request.pk}",
            f"{sessions}?q=unknown", f"{sessions}?o=-12", f"{sessions}?agent=claude-code",
            f"{sessions}?state=runaway", f"{sessions}?state=moved",
        ]  # fmt: skip
    # What the home leads to: frequent values and rare ones.
    requests = reverse("admin:analytics_requestrecord_changelist")
    month = ReportPeriod.last_days(30)
    found += [f"{requests}?o={column}" for column in (2, 5, 6)]
    found += [f"{sessions}?o={column}" for column in (6, 7, 8)]
    found += [f"{requests}?{month.list_query(**{by: value})}" for by, value in _LED_TO]
    return found


if __name__ == "__main__":
    main()

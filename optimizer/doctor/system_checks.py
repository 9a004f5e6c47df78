"""Settings, disk, database, shared cache and clocks."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.core import checks
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor

from analytics.ledger.journal import Journal
from optimizer.doctor.findings import Finding, ok, warning, wrong

_LITTLE_SPACE, _LEAST_SPACE = 2 * 1024**3, 200 * 1024**2
_SKEW_SECONDS, _MUCH_SKEW_SECONDS = 2.0, 30.0


def configuration() -> Iterator[Finding]:
    """What Django's own checks say, and what they do not know."""
    told = checks.run_checks(include_deployment_checks=settings.PRODUCTION)
    found = [message for message in told if not message.is_silenced()]
    serious = [message for message in found if message.is_serious()]
    minor = [m for m in found if not m.is_serious() and m.level >= checks.WARNING]
    for message in serious:
        yield wrong("settings", f"{message.id}: {message.msg}", str(message.hint or ""))
    for message in minor:
        yield warning("settings", f"{message.id}: {message.msg}", str(message.hint or ""))
    if settings.DEBUG:
        yield warning("settings", "DEBUG is on.", "Turn it off wherever others can reach it.")
    where = "production" if settings.PRODUCTION else "development"
    if not serious and not minor:
        yield ok("settings", f"They hold together, for {where}.")
    if settings.WORKERS > 1 and not settings.SHARED_STORE:
        yield warning(
            "workers",
            f"{settings.WORKERS} workers share no limits and no live page.",
            "Set CACHE_URL to a Redis, redis://127.0.0.1:6379/0 say.",
        )


def disk(journal: Journal) -> Iterator[Finding]:
    """Room, and whether the journal can stand in for the database."""
    folder = Path(settings.DATA_DIR)
    free = shutil.disk_usage(folder).free
    words = f"{free / 1024**3:.1f} GiB free in {folder}."
    if free < _LEAST_SPACE:
        yield wrong("disk", words, "Make room: records will be refused soon.")
    elif free < _LITTLE_SPACE:
        yield warning("disk", words, "Make room, or let manage.py prune take old records away.")
    else:
        yield ok("disk", words)
    if not journal.writable():
        yield wrong(
            "journal",
            "Where records wait while the database is away cannot be written.",
            f"Give this user the right to write in {folder}.",
        )
    elif waiting := journal.pending():
        yield warning(
            "journal",
            f"Records wait in {len(waiting)} files for the database.",
            "They are written within a minute of its being back, if a worker runs.",
        )
    else:
        yield ok("journal", "Empty, and can be written.")


def database() -> Iterator[Finding]:
    """Whether it answers, how fast, and whether its tables are those of this version."""
    begun = time.perf_counter()
    try:
        connection.ensure_connection()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        took = (time.perf_counter() - begun) * 1000
        pending = _pending_migrations()
    except Error as error:
        yield wrong(
            "database",
            f"It cannot be reached ({type(error).__name__}).",
            "Does it run, and is DATABASE_URL right? Records wait in the journal meanwhile.",
        )
        return
    yield ok("database", f"{connection.display_name} answers in {took:.0f} ms.")
    if pending:
        yield wrong(
            "migrations", f"{pending} are to be applied.", "Run manage.py migrate, then restart."
        )
    else:
        yield ok("migrations", "All are applied.")
    if settings.WORKERS > 1 and connection.vendor == "sqlite":
        yield warning(
            "database",
            "Several workers wait for each other to write SQLite.",
            "Set DATABASE_URL to a PostgreSQL.",
        )
    yield from _clock("the database's", _database_seconds())


def shared_cache() -> Iterator[Finding]:
    """Redis, where there is one."""
    if not settings.SHARED_STORE:
        yield ok("shared cache", "None: this process counts for itself.")
        return
    from redis import Redis
    from redis.exceptions import RedisError

    redis = Redis.from_url(settings.SHARED_STORE, socket_timeout=2, socket_connect_timeout=2)
    begun = time.perf_counter()
    try:
        seconds, micros = redis.time()
        policy = redis.config_get("maxmemory-policy").get("maxmemory-policy", "")
    except RedisError as error:
        yield wrong(
            "shared cache",
            f"Redis cannot be reached ({type(error).__name__}).",
            "Does it run, and is CACHE_URL right? Limits are not kept meanwhile.",
        )
        return
    finally:
        redis.close()
    took = (time.perf_counter() - begun) * 1000
    yield ok("shared cache", f"Redis answers in {took:.0f} ms (memory policy {policy}).")
    yield from _clock("Redis's", seconds + micros / 1e6)


def _pending_migrations() -> int:
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _database_seconds() -> float:
    if connection.vendor != "postgresql":
        return time.time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        return float(cursor.fetchone()[0])


def _clock(whose: str, seconds: float) -> Iterator[Finding]:
    skew = abs(time.time() - seconds)
    cure = "Let both machines keep time by NTP: days, budgets and limits depend on it."
    if skew > _MUCH_SKEW_SECONDS:
        yield wrong("clock", f"{skew:.0f} s from {whose}.", cure)
    elif skew > _SKEW_SECONDS:
        yield warning("clock", f"{skew:.1f} s from {whose}.", cure)
    else:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        yield ok("clock", f"{now}, as {whose}.")

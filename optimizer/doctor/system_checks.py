"""Checks of settings, disk, database, shared cache and clocks."""

from __future__ import annotations

import os
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
from analytics.ledger.write_health import least_free_space
from optimizer.doctor.findings import Finding, ok, warning, wrong
from providers.http.proxies import Proxies, SocksProxy

_LOW_SPACE = 2 * 1024**3
_SOON = 3
"""Times the space below which records are refused: less than that is a failure."""
_SKEW_SECONDS, _MAX_SKEW_SECONDS = 2.0, 30.0


def configuration() -> Iterator[Finding]:
    """Run Django's own checks, then check DEBUG and the store that workers share."""
    results = checks.run_checks(include_deployment_checks=settings.PRODUCTION)
    messages = [message for message in results if not message.is_silenced()]
    serious = [message for message in messages if message.is_serious()]
    minor = [m for m in messages if not m.is_serious() and m.level >= checks.WARNING]
    for message in serious:
        yield wrong("settings", f"{message.id}: {message.msg}", str(message.hint or ""))
    for message in minor:
        yield warning("settings", f"{message.id}: {message.msg}", str(message.hint or ""))
    if settings.DEBUG:
        yield warning("settings", "DEBUG is on.", "Turn it off if others can reach the service.")
    environment = "production" if settings.PRODUCTION else "development"
    if not serious and not minor:
        yield ok("settings", f"No problems, for {environment}.")
    try:
        Proxies.of(os.environ)
    except SocksProxy as error:
        yield wrong("proxy", str(error), "The service does not start with it.")
    if settings.WORKERS > 1 and not settings.SHARED_STORE:
        yield warning(
            "workers",
            f"{settings.WORKERS} workers share no limits and no live page.",
            "Set CACHE_URL to a Redis, for example redis://127.0.0.1:6379/0.",
        )


def disk(journal: Journal) -> Iterator[Finding]:
    """Check the free disk space, and whether the journal can replace the database."""
    folder = Path(settings.DATA_DIR)
    usage = shutil.disk_usage(folder)
    free, least = usage.free, least_free_space(usage.total)
    words = f"{free / 1024**3:.1f} GiB free in {folder}."
    if free < least:
        words = f"{free // 1024**2} MiB free in {folder}; {least // 1024**2} are kept free."
        yield wrong(
            "disk", words, "Free disk space (see MIN_FREE_DISK_MB): requests are refused now."
        )
    elif free < _SOON * least:
        yield wrong("disk", words, "Free disk space: records will be refused soon.")
    elif free < _LOW_SPACE:
        yield warning("disk", words, "Free disk space, or delete old records with manage.py prune.")
    else:
        yield ok("disk", words)
    if not journal.writable():
        yield wrong(
            "journal",
            "It cannot be written, so records are lost while the database is unavailable.",
            f"Give this user write permission in {folder}.",
        )
    elif waiting := journal.pending():
        yield warning(
            "journal",
            f"Records in {len(waiting)} files wait for the database.",
            "A running worker writes them within a minute once the database is back.",
        )
    else:
        yield ok("journal", "Empty and writable.")


def database() -> Iterator[Finding]:
    """Check that the database answers, how fast, and whether its tables are of this version."""
    started = time.perf_counter()
    try:
        connection.ensure_connection()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        elapsed_ms = (time.perf_counter() - started) * 1000
        pending = _pending_migrations()
    except Error as error:
        yield wrong(
            "database",
            f"It cannot be reached ({type(error).__name__}).",
            "Is it running, and is DATABASE_URL right? Until then, records wait in the journal.",
        )
        return
    yield ok("database", f"{connection.display_name} answers in {elapsed_ms:.0f} ms.")
    if pending:
        yield wrong(
            "migrations", f"{pending} are not applied.", "Run manage.py migrate, then restart."
        )
    else:
        yield ok("migrations", "All are applied.")
    if settings.WORKERS > 1 and connection.vendor == "sqlite":
        yield warning(
            "database",
            "Several workers must wait for each other to write to SQLite.",
            "Set DATABASE_URL to a PostgreSQL database.",
        )
    yield from _clock("the database's", _database_seconds())


def shared_cache() -> Iterator[Finding]:
    """Check Redis, if one is configured."""
    if not settings.SHARED_STORE:
        yield ok("shared cache", "None: each process counts its own limits.")
        return
    from redis import Redis
    from redis.exceptions import RedisError

    redis = Redis.from_url(settings.SHARED_STORE, socket_timeout=2, socket_connect_timeout=2)
    started = time.perf_counter()
    try:
        seconds, micros = redis.time()
        policy = redis.config_get("maxmemory-policy").get("maxmemory-policy", "")
    except RedisError as error:
        yield wrong(
            "shared cache",
            f"Redis cannot be reached ({type(error).__name__}).",
            "Is it running, and is CACHE_URL right? Until then, limits are not enforced.",
        )
        return
    finally:
        redis.close()
    elapsed_ms = (time.perf_counter() - started) * 1000
    yield ok("shared cache", f"Redis answers in {elapsed_ms:.0f} ms (memory policy {policy}).")
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


def _clock(other: str, seconds: float) -> Iterator[Finding]:
    skew = abs(time.time() - seconds)
    cure = "Synchronize both machines with NTP: days, budgets and limits depend on it."
    if skew > _MAX_SKEW_SECONDS:
        yield wrong("clock", f"{skew:.0f} s apart from {other} clock.", cure)
    elif skew > _SKEW_SECONDS:
        yield warning("clock", f"{skew:.1f} s apart from {other} clock.", cure)
    else:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        yield ok("clock", f"{now}, the same as {other} clock.")

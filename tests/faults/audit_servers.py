"""The two installations that are audited, with a database that can be frozen."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from django.conf import settings

from tests.faults.servers import Postgres, RedisServer
from tests.running import Running


class Audited(Running):
    """The service, which writes its log to a file, on a small disk and on a database that the
    audit can freeze."""

    log: Path

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "serve", "--prepare"],
                cwd=settings.BASE_DIR,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> str:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return self.log.read_text()[-3000:]


class OnSqlite:
    """One worker, its database on its disk."""

    environment = {"WORKERS": "1", "MAX_CONCURRENT_REQUESTS": "24"}
    id = "id"

    def __init__(self, folder: Path) -> None:
        self.service: Audited
        self._database = folder / "db.sqlite3"

    def rows(self, statement: str) -> list[Any]:
        connection = sqlite3.connect(self._database, timeout=20)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        connection = sqlite3.connect(self._database, timeout=20, check_same_thread=False)
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.rollback()
            connection.close()

    @contextmanager
    def unwritable(self) -> Iterator[None]:
        """Beside a full disk."""
        yield

    def others(self) -> list[Callable[[], Any]]:
        return []


class OnServices:
    """Four workers on PostgreSQL and Redis."""

    environment = {"WORKERS": "4", "MAX_CONCURRENT_REQUESTS": "8"}
    id = "id::text"

    def __init__(self, postgres: Postgres, redis: RedisServer) -> None:
        self.environment = self.environment | {
            "DATABASE_URL": postgres.url, "CACHE_URL": redis.url,
        }  # fmt: skip
        self._postgres = postgres
        self._redis = redis
        self.rows = postgres.rows

    @contextmanager
    def frozen(self) -> Iterator[None]:
        self._postgres.freeze()
        try:
            yield
        finally:
            self._postgres.thaw()

    unwritable = frozen

    @contextmanager
    def redis_gone(self) -> Iterator[None]:
        self._redis.kill()
        try:
            yield
        finally:
            self._redis.start()

    def others(self) -> list[Callable[[], Any]]:
        return [self.redis_gone]

"""The real service, in processes of its own."""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

import httpx
import pytest
from django.conf import settings
from django.db import connection as tests_connection

from tests.fakes.wires import KEY
from tests.patience import PATIENCE, eventually

own_database = pytest.mark.skipif(
    tests_connection.vendor == "postgresql",
    reason="brings its own database: runs once, without services",
)

_LOWEST_PORT, _EPHEMERAL_PORTS = 10_240, 32_768


def free_port() -> int:
    """One that no outgoing connection is given (Linux, ip_local_port_range): what listens there
    can be killed and started again, however many connections are made meanwhile."""
    while True:
        port = _LOWEST_PORT + secrets.randbelow(_EPHEMERAL_PORTS - _LOWEST_PORT)
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port


def client_of(port: int) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=200)
    base = f"http://127.0.0.1:{port}"
    return httpx.AsyncClient(base_url=base, timeout=PATIENCE, limits=limits)


@lru_cache(maxsize=1)
def _migrated() -> Path:
    """A database as it is after all migrations: made once, as they take longer than all else."""
    folder = Path(tempfile.mkdtemp(prefix="optimizer-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    database = folder / "db.sqlite3"
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v0"],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "optimizer.settings",
            "DATA_DIR": str(folder),
            "DATABASE_URL": f"sqlite:///{database}",
        },
        check=True,
    )
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return database


class Running:
    """``manage.py serve --prepare`` on a database of its own; ``environment`` changes its own."""

    command: tuple[str, ...] = ("manage.py", "serve", "--prepare")

    def __init__(self, folder: Path, upstream: str, **environment: str) -> None:
        self.database = folder / "db.sqlite3"
        self.port = free_port()
        self._environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "optimizer.settings",
            "DATA_DIR": str(folder),
            "DATABASE_URL": f"sqlite:///{self.database}",
            "DATABASE_TIMEOUT": "1",
            "CACHE_URL": "locmemcache://",
            "PORT": str(self.port),
            "ANTHROPIC_API_KEY": KEY,
            "ANTHROPIC_BASE_URL": upstream,
            **environment,
        }
        if self._environment["DATABASE_URL"].endswith(str(self.database)):
            shutil.copy(_migrated(), self.database)
        self.start()

    def start(self) -> None:
        # A file, as a pipe that nobody reads would stop the service once it is full.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed once its process has ended
        self.process = subprocess.Popen(
            [sys.executable, *self.command],
            cwd=settings.BASE_DIR,
            env=self._environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def manage(self, *args: str) -> str:
        """What another command says on the same database."""
        return subprocess.run(
            [sys.executable, "manage.py", *args],
            cwd=settings.BASE_DIR,
            env=self._environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def workers(self) -> list[int]:
        """The processes that serve, by their ids."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        serving = []
        for child in map(int, children.split()):
            try:
                command = Path(f"/proc/{child}/cmdline").read_bytes()
            except OSError:
                continue
            if b"multiprocessing.spawn" in command:
                serving.append(child)
        return serving

    def stop(self, how: int = signal.SIGTERM) -> str:
        self.process.send_signal(how)
        return self.ended()

    async def ready(self, client: httpx.AsyncClient) -> None:
        async def healthy() -> bool:
            try:
                return (await client.get("/health")).status_code == 200
            except httpx.TransportError:
                return False

        try:
            await eventually(healthy)
        except TimeoutError:
            raise AssertionError(self.kill()) from None

    def kill(self) -> str:
        """End all of its processes at once, where it runs; what they said."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.ended()

    def ended(self) -> str:
        """Wait until it has ended; what it said."""
        self.process.wait(timeout=PATIENCE)
        if not self._log.closed:
            self._log.seek(0)
            self._said = self._log.read().decode()
            self._log.close()
        return self._said

    def recorded(self) -> set[str]:
        with sqlite3.connect(self.database) as database:
            rows = {row[0] for row in database.execute("SELECT id FROM requests")}
        database.close()
        return rows

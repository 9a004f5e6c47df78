"""A PostgreSQL and a Redis of a test's own, to be killed at will."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg
from redis import Redis

from tests.patience import PATIENCE
from tests.running import free_port


def _binary(name: str) -> str:
    found = shutil.which(name) or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None
    )
    if found is None:
        raise RuntimeError(f"{name} is not installed")
    return found


def _as_nobody_special(command: list[str]) -> list[str]:
    """PostgreSQL will not run as root."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _family(pid: int) -> list[int]:
    """A process and all below it, whatever sessions they made."""
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{found[-1]}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
    return found


class Daemon:
    """A server's process and all below it."""

    def __init__(self, log: Path) -> None:
        self.port = free_port()
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        ends = time.monotonic() + PATIENCE
        while True:
            if self._process is None or self._process.poll() is not None:
                # Also again: what the dead one held may not be free at once.
                with self._log.open("ab") as log:
                    self._process = subprocess.Popen(
                        self.command(), stdout=log, stderr=log, start_new_session=True
                    )
            if self.answers():
                return
            if time.monotonic() > ends:
                raise RuntimeError(f"It did not start, and said: {self._log.read_text()[-2000:]}")
            time.sleep(0.1)

    def answers(self) -> bool:
        return _listens(self.port)

    def kill(self) -> None:
        """All at once, as when the power of its machine goes."""
        if self._process is not None:
            self._tell_all(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Connections stand, and nothing comes over them: as when its disk or host hangs."""
        self._tell_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._tell_all(signal.SIGCONT)

    def _tell_all(self, what: int) -> None:
        if self._process is not None:
            for pid in _family(self._process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, what)


class Postgres(Daemon):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder.with_suffix(".log"))
        self._folder = folder
        folder.mkdir()
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
            for parent in folder.parents:
                if parent.stat().st_mode & 0o001 == 0:
                    parent.chmod(parent.stat().st_mode | 0o011)
        initdb = [_binary("initdb"), "-D", str(folder), "-A", "trust", "-U", "postgres", "-N"]
        subprocess.run(_as_nobody_special(initdb), check=True, capture_output=True)

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def command(self) -> list[str]:
        return _as_nobody_special(
            [
                _binary("postgres"), "-D", str(self._folder), "-p", str(self.port),
                "-c", "listen_addresses=127.0.0.1",
                # In its own folder, so that nothing stays when it is killed.
                "-c", "dynamic_shared_memory_type=mmap",
                "-c", f"unix_socket_directories={self._folder}",
            ]
        )  # fmt: skip

    def answers(self) -> bool:
        try:
            self.rows("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, connect_timeout=2) as connection:
            return connection.execute(statement).fetchall()


class RedisServer(Daemon):
    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        return [
            _binary("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1",
            "--save", "", "--appendonly", "no",
        ]  # fmt: skip

    def answers(self) -> bool:
        return _listens(self.port) and bool(Redis(port=self.port).ping())

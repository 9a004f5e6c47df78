"""The demo's file: made by a process of its own, watched while it is made, and removed.

That process has the demo's file as its only database, and none of the service's settings. So
nothing of the demo can get into the real ledger, whatever happens.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from django.conf import settings

from analytics.database.demo import demo_database, demo_folder

BUILDING = "building"
_PROGRESS, _LOCK = "progress.json", "lock"
# What a process needs of its environment to run at all.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_PROCESSES: list[subprocess.Popen[bytes]] = []


class DemoBusy(Exception):
    """The demo is being made, so that it can be neither made nor removed."""


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """How much demo to make: about ``requests`` over the last ``days``; ``seed`` decides which."""

    requests: int = 3000
    days: int = 60
    seed: int = 1


@dataclass(frozen=True, slots=True)
class DemoState:
    """What there is of the demo.

    While it is made, ``done`` of ``total`` are done of the ``step``. ``error`` is why it could
    not be made.
    """

    phase: Literal["absent", "making", "ready", "failed"]
    step: str = ""
    done: int = 0
    total: int = 0
    error: str = ""


def demo_state() -> DemoState:
    """Return what there is of the demo now."""
    progress = _read(demo_folder() / _PROGRESS)
    if _is_locked():
        return DemoState(
            "making",
            progress.get("step", "Starting"),
            progress.get("done", 0),
            progress.get("total", 0),
        )
    if demo_exists():
        return DemoState("ready")
    if progress:
        return DemoState("failed", error=progress.get("error") or "The process ended too early.")
    return DemoState("absent")


def demo_exists() -> bool:
    """Return whether there is a demo that can be shown."""
    return demo_database().exists()


def demo_begin(plan: DemoPlan) -> subprocess.Popen[bytes]:
    """Start the process that makes the demo in place of any earlier one.

    Raises :class:`DemoBusy`, and ``OSError`` if the folder cannot be written.
    """
    demo_folder().mkdir(parents=True, exist_ok=True)
    with (demo_folder() / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoBusy from None
        _write(demo_folder() / _PROGRESS, {"step": "Starting", "done": 0, "total": 0})
        building = demo_folder() / BUILDING
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir()
        process = subprocess.Popen(  # noqa: S603 - our own command
            [
                sys.executable, "-m", "django", "demo", "--write", "--requests",
                str(plan.requests), "--days", str(plan.days), "--seed", str(plan.seed),
            ],
            cwd=settings.BASE_DIR,
            env=_environment(building),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            # The process holds the lock as long as it lives, and nobody else in between.
            pass_fds=(lock.fileno(),),
        )  # fmt: skip
    # The processes that have ended are waited for, so that they do not stay as zombies.
    _PROCESSES[:] = [earlier for earlier in _PROCESSES if earlier.poll() is None]
    _PROCESSES.append(process)
    return process


def _environment(building: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {
        **kept,
        "DJANGO_SETTINGS_MODULE": "optimizer.settings",
        "ENV_FILE": os.devnull,
        "DATA_DIR": str(building),
        "LOCAL_PROVIDER": "off",
    }


def demo_remove() -> bool:
    """Remove the demo; return whether there was one. Raises :class:`DemoBusy`."""
    if _is_locked():
        raise DemoBusy
    existed = demo_exists()
    shutil.rmtree(demo_folder(), ignore_errors=True)
    return existed


class DemoWriter:
    """What the process that makes the demo says of it, and where it puts it when it is done."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def progress(self, step: str, done: int, total: int) -> None:
        """Say how far it is."""
        _write(self._folder / _PROGRESS, {"step": step, "done": done, "total": total})

    def failed(self, error: str) -> None:
        """Say why it could not be made."""
        _write(self._folder / _PROGRESS, {"error": error})

    def done(self, database: Path) -> None:
        """Put the finished database where pages find it."""
        for earlier in self._folder.glob("demo-*.sqlite3"):
            if earlier.name != demo_database().name:
                earlier.unlink()
        database.replace(self._folder / demo_database().name)
        (self._folder / _PROGRESS).unlink(missing_ok=True)


def _is_locked() -> bool:
    path = demo_folder() / _LOCK
    try:
        with path.open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # it was never made
        return False
    return False


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` as a whole, so that nobody reads half of it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(content), encoding="utf-8")
    fresh.replace(path)

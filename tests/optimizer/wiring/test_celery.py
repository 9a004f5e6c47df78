"""Background work on Celery: the same chores, over a real broker."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from analytics.ledger.ledger import LedgerEntry
from optimizer.wiring.build import get_services
from optimizer.wiring.installation.tasks import periodic_tasks_of_installation
from optimizer.wiring.periodic import PeriodicTask, PeriodicTasks
from tests.factories import RequestRecordFactory
from tests.patience import PATIENCE, eventually

redis_url = settings.SHARED_STORE


def test_a_chore_is_done_by_its_name() -> None:
    done: list[str] = []
    periodic_tasks = PeriodicTasks(
        [PeriodicTask("a", 5, lambda: done.append("a")), PeriodicTask("b", 7, lambda: None)]
    )
    assert periodic_tasks.every == {"a": 5, "b": 7}
    periodic_tasks.do("a")
    assert done == ["a"]
    with pytest.raises(LookupError):
        periodic_tasks.do("c")


def test_each_chore_has_its_turn() -> None:
    pytest.importorskip("celery")
    from optimizer.wiring.celery import TASK, app

    schedule = app.conf.beat_schedule
    assert set(schedule) == set(periodic_tasks_of_installation(lambda: None).every)
    assert {turn["task"] for turn in schedule.values()} == {TASK}


@pytest.mark.django_db
def test_what_a_chore_records_is_counted_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("celery")
    from optimizer.wiring.celery import run_periodic_task

    services = get_services()

    def record() -> None:
        services.meter.observe(LedgerEntry(RequestRecordFactory.build(model="m")))

    tasks = PeriodicTasks([PeriodicTask("Recording", 60, record)])
    monkeypatch.setattr(services, "periodic_tasks", tasks)
    run_periodic_task("Recording")
    counted = [
        sample.value
        for family in services.meter.registry.collect()
        for sample in family.samples
        if sample.name == "optimizer_requests_total"
    ]
    assert counted == [1]


@pytest.mark.skipif(not redis_url, reason="needs a broker")
def test_a_worker_does_what_its_turn_is(tmp_path: Path) -> None:
    """An hour that was not summed is summed by the worker, without any web worker."""
    queue = f"test-{os.getpid()}"
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "optimizer.settings",
        "DATA_DIR": str(tmp_path),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
        "CACHE_URL": "locmemcache://",
        "CELERY_BROKER_URL": redis_url,
    }

    def manage(*args: str) -> str:
        return subprocess.run(
            [sys.executable, "manage.py", *args], cwd=settings.BASE_DIR, env=environment,
            check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip

    manage("migrate", "-v0")
    at = datetime.now(UTC) - timedelta(hours=5)
    manage(
        "shell", "-v0", "-c",
        "import uuid; from datetime import datetime; from analytics.models import RequestRecord;"
        "RequestRecord.objects.create(id=uuid.uuid4(), complexity=0, pattern='code', tier='simple',"
        f" strategy='complexity', confidence='low', created_at=datetime.fromisoformat('{at}'))",
    )  # fmt: skip
    worker = subprocess.Popen(
        [
            sys.executable, "-m", "celery", "-A", "optimizer.wiring.celery", "worker",
            "--concurrency", "1", "--queues", queue, "--loglevel", "WARNING",
        ],
        cwd=settings.BASE_DIR,
        env=environment,
    )  # fmt: skip
    try:
        from celery import Celery

        with Celery(broker=redis_url).connection() as connection:
            Celery(broker=redis_url).send_task(
                "optimizer.chore", ["Summing the hours"], queue=queue, connection=connection
            )

        def summed() -> Any:
            count = "from analytics.models import HourlyRollup as H; print(H.objects.count())"
            return int(manage("shell", "-v0", "-c", count))

        asyncio.run(eventually(summed))
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(PATIENCE)

"""The periodic tasks on Celery: ``celery -A optimizer.wiring.celery worker --beat``.

These are the tasks that every worker runs by itself if there is no broker. One beat is enough
for an installation; any Celery worker runs the tasks that it queues.
"""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "optimizer.settings")

import django
from celery import Celery
from celery.signals import worker_process_shutdown

django.setup()

from django.conf import settings  # noqa: E402
from django.db import close_old_connections  # noqa: E402

from optimizer.wiring.build import forget_services, get_services  # noqa: E402
from optimizer.wiring.installation.tasks import periodic_tasks_of_installation  # noqa: E402

# Messages on the queue carry it, so it outlives the functions' names.
TASK = "optimizer.chore"

app = Celery("optimizer", broker=settings.CELERY_BROKER_URL or None)
app.conf.update(
    task_ignore_result=True,
    timezone="UTC",
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    beat_schedule_filename=str(settings.DATA_DIR / "celery-beat"),
    beat_schedule={
        name: {
            "task": TASK,
            "schedule": seconds,
            "args": [name],
            # A run that no worker took in time is dropped, as the next one does its work.
            "options": {"expires": seconds},
        }
        for name, seconds in periodic_tasks_of_installation(lambda: None).every.items()
    },
)


@app.task(name=TASK)
def run_periodic_task(name: str) -> None:
    """Run the periodic task ``name`` now."""
    close_old_connections()
    try:
        services = get_services()
        try:
            services.periodic_tasks.do(name)
        finally:
            # No event loop flushes it here each second.
            services.meter.flush()
    finally:
        close_old_connections()


@worker_process_shutdown.connect
def _stop(**_: object) -> None:
    services = forget_services()
    if services is not None:
        services.close()

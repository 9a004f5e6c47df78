"""Periodic tasks, which run beside the requests on a thread of their own."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import connection

from optimizer.shared.log_once import LogOnce

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class PeriodicTask:
    """A task that runs every ``seconds``; its ``work`` reads or writes the database."""

    name: str
    seconds: float
    work: Callable[[], object]
    due: float = 0.0
    errors: LogOnce = field(default_factory=lambda: LogOnce(logger, logging.ERROR))


class PeriodicTasks:
    """Runs the tasks that are due, one after the other.

    A task that fails runs again when it is next due.
    """

    def __init__(self, periodic_tasks: Sequence[PeriodicTask]) -> None:
        self._tasks = periodic_tasks

    @property
    def every(self) -> Mapping[str, float]:
        """Return the seconds between two runs of each task, by its name."""
        return {task.name: task.seconds for task in self._tasks}

    def do(self, name: str) -> None:
        """Run one task now, whether due or not. Raises ``LookupError``, and what it raises."""
        for task in self._tasks:
            if task.name == name:
                task.work()
                return
        raise LookupError(name)

    def run_due(self) -> None:
        """Run every task that is due; an error is logged, and does not stop the others."""
        for task in self._tasks:
            if time.monotonic() >= task.due:
                self._run(task)

    @staticmethod
    def _run(task: PeriodicTask) -> None:
        try:
            task.work()
        except Exception as error:  # noqa: BLE001 - logged below
            connection.close()  # so that the next task starts on a new connection
            task.errors.log("%s cannot be done now", task.name, exc_info=error)
        else:
            task.errors.resolved()
        finally:
            task.due = time.monotonic() + task.seconds

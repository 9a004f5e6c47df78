"""Work that comes round again and again beside the requests, on a thread of its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.db import connection

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class PeriodicTask:
    """``work`` is done every ``seconds``; it reads or writes the database."""

    name: str
    seconds: float
    work: Callable[[], object]
    due: float = 0.0
    failing: bool = False


class PeriodicTasks:
    """Does what is due, one after the other. A chore that fails is tried again when next due."""

    def __init__(self, periodic_tasks: Sequence[PeriodicTask]) -> None:
        self._chores = periodic_tasks

    @property
    def every(self) -> Mapping[str, float]:
        """Each chore's name, and its seconds."""
        return {chore.name: chore.seconds for chore in self._chores}

    def do(self, name: str) -> None:
        """One of them now, whether due or not. Raises ``LookupError`` and what it raises."""
        for chore in self._chores:
            if chore.name == name:
                chore.work()
                return
        raise LookupError(name)

    def run_due(self) -> None:
        for chore in self._chores:
            if time.monotonic() >= chore.due:
                self._run(chore)

    @staticmethod
    def _run(chore: PeriodicTask) -> None:
        try:
            chore.work()
        except Exception as error:
            connection.close()  # the next one begins on a new connection
            if not chore.failing:  # said once, not every time
                logger.error("%s cannot be done now", chore.name, exc_info=error)
            chore.failing = True
        else:
            chore.failing = False
        finally:
            chore.due = time.monotonic() + chore.seconds
